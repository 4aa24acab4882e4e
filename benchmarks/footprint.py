"""Measure what a runner costs when it does little: memory, CPU while idle, the time of a stop. Linux only.

    python benchmarks/footprint.py [--idle-s 10]

The bot polls the fake server, which runs in a process of its own.
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from typing import Any

from machine import describe, resident_kb

from pyruntime import Bot
from runner_c import run

HANDLERS = 500


def main() -> None:
    """Measure once and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--idle-s", type=float, default=10.0)
    options = parser.parse_args()
    print(describe())
    token = "123456:" + "T" * 35
    environment = {**os.environ, "BOT_TOKEN": token}
    command = [sys.executable, "-m", "pyruntime.testing"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        bot = Bot(token, server.stdout.readline().strip())
        release = threading.Event()

        @bot.on("message:text")
        def wait(ctx: Any) -> None:
            release.wait()

        handle = run(bot)
        time.sleep(1.0)
        print(f"memory at start: {resident_kb() / 1024:.1f} MB")
        cpu_s = time.process_time()
        time.sleep(options.idle_s)
        print(f"CPU while idle: {(time.process_time() - cpu_s) / options.idle_s:.3%} of a core")
        for number in range(HANDLERS):
            chat = {"id": number, "type": "private"}
            handle.offer({"update_id": number + 1, "message": {"message_id": 1, "date": 0, "chat": chat, "text": "x"}})
        while handle.stats().running < HANDLERS:
            time.sleep(0.01)
        print(f"memory with {HANDLERS} handlers in flight: {resident_kb() / 1024:.1f} MB")
        release.set()
        while handle.size():
            time.sleep(0.01)
        time.sleep(3.5)
        begun_s = time.perf_counter()
        handle.stop()
        print(f"stop in the long poll: {(time.perf_counter() - begun_s) * 1000:.1f} ms")
        server.terminate()


if __name__ == "__main__":
    main()
