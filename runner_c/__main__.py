"""Run a bot from the command line: `python -m runner_c TARGET`."""

import sys

from runner_c.command.cli import main

if __name__ == "__main__":
    sys.exit(main())
