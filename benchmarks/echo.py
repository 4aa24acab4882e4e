"""Measure an echo bot against the fake Bot API server, which runs in a process of its own.

    python benchmarks/echo.py [--updates 20000] [--chats 1000] [--latency-ms 0] [--concurrency 500] [--rounds 5]

Prints the medians of updates/s and of the bot's CPU µs per update, and how busy the server was: near 100 % it is the
server that was measured.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import requests
from machine import describe

from pyruntime import Bot
from runner_c import run


def measure(api_root: str, token: str, options: argparse.Namespace) -> tuple[float, float, float]:
    """Return updates/s, CPU µs per update of this process, and the share of a core that the server used."""
    bot = Bot(token, api_root)

    @bot.on("message:text")
    def echo(ctx: Any) -> None:
        ctx.reply(ctx.text)

    with requests.Session() as control:
        control.trust_env = False

        def ask(path: str, body: dict[str, Any] | None = None) -> Any:
            method = "GET" if body is None else "POST"
            return control.request(method, f"{api_root}/control/{path}", json=body, timeout=600).json()["result"]

        ask("clear", {})
        ask("flood", {"count": options.updates, "chats": options.chats})
        before = ask("counters")
        begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
        with run(bot, concurrency=options.concurrency) as handle:
            while handle.stats().handled < options.updates:
                time.sleep(0.005)
            elapsed_s, cpu_s = time.perf_counter() - begun_s, time.process_time() - begun_cpu_s
            after = ask("counters")
        busy = (after["cpu_s"] - before["cpu_s"]) / elapsed_s
        return options.updates / elapsed_s, cpu_s / options.updates * 1e6, busy


def main() -> None:
    """Run the rounds and print the medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--updates", type=int, default=20_000)
    parser.add_argument("--chats", type=int, default=1000)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--concurrency", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    token = "123456:" + "T" * 35
    command = [sys.executable, "-m", "pyruntime.testing", "--max-calls", "1000"]
    command += ["--latency-ms", str(options.latency_ms)]
    environment = {**os.environ, "BOT_TOKEN": token}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        api_root = server.stdout.readline().strip()
        runs = [measure(api_root, token, options) for _ in range(options.rounds)]
        server.terminate()
    print(describe())
    print(
        f"{options.updates} updates, {options.chats} chats, latency {options.latency_ms:g} ms, "
        f"concurrency {options.concurrency}, median of {options.rounds}: "
        f"{statistics.median(rate for rate, _, _ in runs):,.0f} updates/s, "
        f"{statistics.median(cpu for _, cpu, _ in runs):.0f} µs CPU per update, "
        f"server busy {statistics.median(busy for _, _, busy in runs):.0%}"
    )


if __name__ == "__main__":
    main()
