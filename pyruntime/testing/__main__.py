"""Run a fake Bot API server in a process of its own, until TERM or INT.

The first line on standard output is its address (`api_root` for bots); with --playground the second is the page's.
"""

import argparse
import os
import re
import signal
import sys
import threading
from types import FrameType

from pyruntime.testing.server import TEST_TOKEN, FakeBotApi


def main(arguments: list[str] | None = None) -> int:
    """Serve as the command line says; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pyruntime.testing", description="Run a fake Bot API server.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one (default)")
    parser.add_argument(
        "--token",
        default=os.environ.get("BOT_TOKEN") or TEST_TOKEN,
        type=_token,
        help=f"the token to accept: never a real one (default: BOT_TOKEN from the environment, else {TEST_TOKEN})",
    )
    parser.add_argument("--latency-ms", type=float, default=0.0, help="delay of every reply (default: none)")
    parser.add_argument("--seed", type=int, default=None, help="seed of the first update id (default: random)")
    parser.add_argument(
        "--max-calls", type=_count, default=100_000, help="calls to remember in the transcript (default: %(default)s)"
    )
    parser.add_argument("--playground", action="store_true", help="serve the page on which to chat with the bot, too")
    options = parser.parse_args(arguments)

    is_over = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        is_over.set()

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, on_signal)
    try:
        server = FakeBotApi(
            options.token,
            options.host,
            options.port,
            seed=options.seed,
            latency_s=options.latency_ms / 1000,
            max_calls=options.max_calls,
        )
        if options.playground:
            from pyruntime.testing.playground import add_playground_routes

            add_playground_routes(server)
        server.start()
    except (OSError, OverflowError) as error:
        print(f"cannot listen on {options.host}:{options.port}: {error}", file=sys.stderr)
        return 1
    print(server.url, flush=True)
    if options.playground:
        print(f"{server.url}/", flush=True)
    is_over.wait()
    server.stop()
    return 0


def _token(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9:_-]+(/test)?", text):
        raise argparse.ArgumentTypeError("a token consists of letters, digits, : _ and -, such as 123456:TEST")
    return text


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
