"""Run the engine alone: admission, lanes, ring, hand-off, settlement; handlers that do nothing.

    engine.py WARM_UP SHORT LONG BURST CONCURRENCY

Updates come in bursts, over half as many chats, so that every second one waits for another. While a burst is admitted
no worker runs, and nothing is admitted while they run: the source waits until the burst has been handled. With bursts
of 1 each update wakes a worker and the poller.
"""

import sys
import threading
from collections.abc import Iterator
from typing import Any

from segment import lengths, segments

from runner_c import by_chat, create_concurrent_sink, create_runner, create_source

BATCH = 100


def main() -> None:
    """Handle all segments."""
    burst, concurrency = int(sys.argv[4]), int(sys.argv[5])
    chats = max(1, burst // 2)
    updates = [{"update_id": number, "message": {"chat": {"id": number % chats}}} for number in range(sum(lengths()))]
    for update in updates[burst - 1 :: burst]:
        update["is_last"] = True
    is_handled = threading.Lock()
    is_handled.acquire()

    def batches() -> Iterator[list[dict[str, Any]]]:
        end = 0
        for length in segments():
            for _ in range(0, length, burst):
                begin, end = end, end + burst
                for first in range(begin, end, BATCH):
                    yield updates[first : min(first + BATCH, end)]
                is_handled.acquire()

    def consume(update: dict[str, Any]) -> None:
        if "is_last" in update:
            is_handled.release()

    def fail(error: BaseException, update: dict[str, Any]) -> None:
        raise error

    supply = batches()
    sink = create_concurrent_sink(consume, fail, concurrency=concurrency, keys=by_chat)
    runner = create_runner(create_source(lambda limit: next(supply)), sink)
    runner.start()
    # Not wait(), which looks for signals once a second.
    report = runner.task().result()
    assert report.handled == len(updates), report


if __name__ == "__main__":
    main()
