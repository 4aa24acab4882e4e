"""Print how many rounds of `setting.burn` take a number of microseconds on this Python.

python calibrate.py 2000
"""

import os
import sys
import time

os.environ.setdefault("API_ROOT", "")
os.environ.setdefault("BOT_TOKEN", "")

from setting import burn

ROUNDS = 20_000


def main() -> None:
    """Take the fastest of several runs, so that a busy machine does not count."""
    burn(ROUNDS)
    fastest_s = float("inf")
    for _ in range(30):
        begun_s = time.thread_time()
        burn(ROUNDS)
        fastest_s = min(fastest_s, time.thread_time() - begun_s)
    print(round(float(sys.argv[1]) * 1e-6 / fastest_s * ROUNDS))


if __name__ == "__main__":
    main()
