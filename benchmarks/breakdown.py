"""Measure what the parts of an echo cost by themselves: one thread, warm caches, no system calls.

    python benchmarks/breakdown.py [--rounds 7]

Prints the CPU time of each part in µs per update, the smallest of the rounds. What they add up to is less than what an
update costs in a running bot: there the caches are cold after each switch of threads, and the system takes its share.
"""

import argparse
import socket
import time
from collections.abc import Callable

import ujson
from engine import measure as measure_engine
from machine import describe

from pyruntime import Bot
from pyruntime.api import ApiClient
from pyruntime.transport.connection import Connection
from pyruntime.upload import encode_json
from runner_c import plain_reply

TOKEN = "123456789:" + "T" * 35
REPEATS = 10_000
RESULT = b'{"ok":true,"result":{"message_id":123456,"date":1700000000,"chat":{"id":77,"type":"private"},"text":"hi"}}'
REPLY = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"Connection: keep-alive\r\n\r\n%b" % (len(RESULT), RESULT)
)
PERSON = {
    "id": 77,
    "is_bot": False,
    "first_name": "Ada",
    "last_name": "Byron",
    "username": "ada",
    "language_code": "en",
}
CHAT = {"id": 77, "first_name": "Ada", "last_name": "Byron", "username": "ada", "type": "private"}
TEXT = "hello there, this is a message of ordinary length " * 6
UPDATE = {
    "update_id": 500_000_001,
    "message": {"message_id": 123456, "from": PERSON, "chat": CHAT, "date": 1_700_000_000, "text": TEXT},
}


class Recorder:
    """Stand in for the client."""

    def send_message(self, **parameters: object) -> None:
        """Do nothing."""


class Wireless(Connection):
    """A connection whose reply is always there."""

    __slots__ = ()

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock, 1 << 26)
        self._begin = lambda request, limit: REPLY
        self._timeout_s = 60.0


def cpu_us(function: Callable[[], object], rounds: int) -> float:
    """Return the CPU µs of one call, the smallest of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        begun_s = time.process_time()
        for _ in range(REPEATS):
            function()
        best = min(best, time.process_time() - begun_s)
    return best / REPEATS * 1e6


def make_bot(api: object) -> Bot:
    """Return an echo bot with a client."""
    bot = Bot(TOKEN, me={"id": 1, "is_bot": True, "first_name": "echo", "username": "EchoBot"})
    bot.api = api  # type: ignore[assignment]
    bot.on("message:text", lambda ctx: ctx.reply(ctx.text))
    return bot


def main() -> None:
    """Measure every part and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    print(describe())
    client = ApiClient(TOKEN, "http://127.0.0.1:1")
    here, there = socket.socketpair()
    with here, there:
        connection = Wireless(here)
        transport = client._caller.transport
        transport._pool.give(connection)  # type: ignore[union-attr]
        batch = ujson.dumps([UPDATE] * 100).encode()
        alone, whole = make_bot(Recorder()), make_bot(client)
        body = {"chat_id": 77, "text": TEXT}
        parts = {
            "decode the update, a hundredth of a poll": cpu_us(lambda: ujson.loads(batch), 1) / 100,
            "engine: admission, lanes, ring, settlement": min(
                measure_engine(100_000, 1000, 32)[1] for _ in range(rounds)
            ),
            "bot layer: context, filter, chain, handler, address": cpu_us(lambda: alone.handle_update(UPDATE), rounds),
            "encode the call": cpu_us(lambda: encode_json(body), rounds),
            "connection: pool, request, deadline": cpu_us(lambda: transport.call("sendMessage", b"{}"), rounds),
            "  of it the head of the reply": cpu_us(lambda: plain_reply(REPLY, 1 << 26), rounds),
            "decode the result": cpu_us(lambda: ujson.loads(RESULT), rounds),
        }
        both = cpu_us(lambda: whole.handle_update(UPDATE), rounds)
    names = ("bot layer: context, filter, chain, handler, address", "encode the call", "decode the result")
    rest = both - sum(parts[name] for name in names) - parts["connection: pool, request, deadline"]
    parts["client: parameters, retries, result"] = rest
    for name, cost_us in parts.items():
        print(f"{cost_us:8.2f}  {name}")
    print(f"{sum(cost for name, cost in parts.items() if not name.startswith(' ')):8.2f}  together")


if __name__ == "__main__":
    main()
