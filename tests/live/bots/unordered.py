"""Run the bot of counter.py without any order of the runner's: only the session knows which updates belong together."""

from counter import bot

from runner_c import run

if __name__ == "__main__":
    run(bot, sequentialize=None).wait()
