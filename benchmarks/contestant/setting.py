"""What the driver tells a Python contestant, and the work that a CPU-bound handler does."""

import os

API_ROOT = os.environ["API_ROOT"]
TOKEN = os.environ["BOT_TOKEN"]
# Updates handled at the same time, at most; each peer gets the number that was best for it.
CONCURRENCY = int(os.environ.get("CONCURRENCY", "500"))
# Count the messages of each chat in a session and answer with the count.
SESSION = os.environ.get("SESSION") == "1"
# The certificate to trust over TLS; checks stay on.
CA_FILE = os.environ.get("CA_FILE") or None
# Rounds of `burn` in each handler; the same number for all contestants of one runtime.
CPU_LOOPS = int(os.environ.get("CPU_LOOPS", "0"))


def burn(loops: int) -> int:
    """Compute on data that nobody else touches."""
    cells = [0] * 97
    for number in range(loops):
        cells[number % 97] += number & 1023
    return cells[0]
