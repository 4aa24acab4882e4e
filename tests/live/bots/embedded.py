"""Run the bot of moody.py inside a program of one's own, driven by signals.

USR1 stops the runner and prints its report and how long the call took, as JSON; USR2 starts it again; TERM ends the
program. STOP_S is the time given to a stop; ACK is the mode of confirmation.
"""

import dataclasses
import json
import logging
import os
import signal
import sys
import time

from moody import bot

from runner_c import run

COMMANDS = {signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM}
STOP_S = float(os.environ["STOP_S"]) if "STOP_S" in os.environ else None

logging.basicConfig(level=logging.INFO, stream=sys.stderr)
# Blocked before the first thread is made, so that no thread of the runner takes the signals.
signal.pthread_sigmask(signal.SIG_BLOCK, COMMANDS)
handle = run(bot, ack=os.environ.get("ACK"))
while (command := signal.sigwait(COMMANDS)) != signal.SIGTERM:
    if command == signal.SIGUSR2:
        handle.start()
        continue
    begun_s = time.monotonic()
    report = handle.stop(STOP_S)
    took_s = time.monotonic() - begun_s
    print(json.dumps({**dataclasses.asdict(report), "took_s": took_s}), file=sys.stderr, flush=True)
os._exit(0)
