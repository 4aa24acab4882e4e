"""Keep the transcript of the calls that a fake server got, and let tests wait for calls without polling.

Guarantees: `wait_for` misses no call that happened after the last `clear`, and wakes no more often than it needs to.
Assumes: `record` and `finish` are called with the server's lock held; `wait_for` takes it itself.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any


class Call:
    """Describe one call of a Bot API method.

    Attributes: `method` in the spelling of the Bot API's documentation; `parameters` as they came (strings in forms,
    `UploadedFile` for files); `chat_id` as an integer if it is one; `at_ns` and `answered_at_ns`, monotonic; `status`,
    the HTTP status of the reply, None while there is none (a long poll, or a connection dropped by a fault); `result`,
    what the reply's "result" was, None for getUpdates; `error`, the reply's "description" if it was refused; `fault`,
    the kind of fault that spoiled it; `is_from_webhook`, it came in the answer to a webhook request, so that the bot
    sees no reply; for getUpdates also `update_ids`, what was delivered.
    """

    __slots__ = (
        "answered_at_ns",
        "at_ns",
        "chat_id",
        "error",
        "fault",
        "is_from_webhook",
        "method",
        "number",
        "parameters",
        "result",
        "status",
        "update_ids",
    )

    def __init__(self, method: str, parameters: dict[str, Any], chat_id: int | str | None) -> None:
        """Note a call that has just arrived."""
        self.method = method
        self.parameters = parameters
        self.chat_id = chat_id
        self.at_ns = time.monotonic_ns()
        self.answered_at_ns: int | None = None
        self.status: int | None = None
        self.result: Any = None
        self.error: str | None = None
        self.fault: str | None = None
        self.is_from_webhook = False
        self.update_ids: list[int] = []
        self.number = 0

    def __repr__(self) -> str:
        """Show the call in one line, long values cut."""
        shown = ", ".join(f"{name}={_cut(value)}" for name, value in self.parameters.items())
        outcome = "no reply" if self.status is None else str(self.status)
        if self.error:
            outcome += f" {self.error}"
        if self.fault:
            outcome += f" (fault: {self.fault})"
        if self.update_ids:
            outcome += f" {len(self.update_ids)} updates {self.update_ids[0]}..{self.update_ids[-1]}"
        return f"<{self.method}({shown}) -> {outcome}>"


def _cut(value: object, length: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= length else text[: length - 3] + "..."


class Transcript:
    """Record calls and wake those who wait for them."""

    def __init__(self, lock: threading.RLock, max_calls: int) -> None:
        """Keep the last `max_calls` calls, and as many getUpdates, which have a list of their own."""
        # The server's lock guards everything here; waiters sleep on a condition of that lock.
        self._changed = threading.Condition(lock)
        self._calls: deque[Call] = deque(maxlen=max_calls)
        self._polls: deque[Call] = deque(maxlen=max_calls)
        self._total = 0
        self._wake_at: list[int] = []
        self.counts: Counter[str] = Counter()

    @property
    def calls(self) -> list[Call]:
        """Return the calls so far, oldest first, without getUpdates."""
        with self._changed:
            return list(self._calls)

    @property
    def polls(self) -> list[Call]:
        """Return the getUpdates calls so far, oldest first."""
        with self._changed:
            return list(self._polls)

    @property
    def total(self) -> int:
        """Count all calls since the server started; the number of the last call."""
        return self._total

    def since(self, number: int, limit: int, method: str | None = None) -> list[Call]:
        """Return at most `limit` calls after the call `number`, oldest first."""
        with self._changed:
            if method == "getUpdates":
                source: list[Call] = list(self._polls)
            else:
                source = [call for call in self._calls if method is None or call.method == method]
        return [call for call in source if call.number > number][:limit]

    def record(self, call: Call) -> None:
        """Add a call that arrived."""
        self._total += 1
        call.number = self._total
        self.counts[call.method] += 1
        (self._polls if call.method == "getUpdates" else self._calls).append(call)
        if self._wake_at and self._total >= min(self._wake_at):
            self._changed.notify_all()

    def finish(self, call: Call, status: int | None) -> None:
        """Note how a call ended."""
        call.status = status
        call.answered_at_ns = time.monotonic_ns()
        if self._wake_at and call.method == "getUpdates":
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget all calls; counters stay."""
        with self._changed:
            self._calls.clear()
            self._polls.clear()

    def wait_for(self, wanted: str | Callable[[Call], bool], count: int, timeout_s: float) -> list[Call]:
        """Return the first `count` calls that match, waiting for them; see `FakeBotApi.wait_for`."""
        deadline = time.monotonic() + timeout_s
        matches: Callable[[Call], bool] = (lambda call: call.method == wanted) if isinstance(wanted, str) else wanted
        found: list[Call] = []
        unfinished: list[Call] = []
        last = 0
        with self._changed:
            while True:
                fresh = unfinished + self._after(last)
                last = self._total
                unfinished = []
                for call in fresh:
                    if matches(call):
                        found.append(call)
                    elif call.status is None:
                        unfinished.append(call)
                if len(found) >= count:
                    found.sort(key=lambda call: call.number)
                    return found[:count]
                # Sleep until as many more calls came as are missing: one waiter is not woken for each of thousands.
                wake_at = last + count - len(found)
                self._wake_at.append(wake_at)
                try:
                    is_notified = self._changed.wait(deadline - time.monotonic())
                finally:
                    self._wake_at.remove(wake_at)
                if not is_notified and time.monotonic() >= deadline and last == self._total:
                    raise TimeoutError(self._describe_missing(wanted, count, len(found), timeout_s))

    def tail(self, count: int = 20) -> str:
        """Describe the last calls, one a line."""
        with self._changed:
            newest = sorted([*self._calls, *self._polls], key=lambda call: call.number)[-count:]
        return "\n".join(repr(call) for call in newest) or "(no calls)"

    def _after(self, number: int) -> list[Call]:
        fresh: list[Call] = []
        for source in (self._polls, self._calls):
            for call in reversed(source):
                if call.number <= number:
                    break
                fresh.append(call)
        fresh.sort(key=lambda call: call.number)
        return fresh

    def _describe_missing(self, wanted: object, count: int, found: int, timeout_s: float) -> str:
        what = wanted if isinstance(wanted, str) else getattr(wanted, "__name__", "the predicate")
        return f"{found} of {count} calls matched {what} within {timeout_s} s; the last calls were:\n{self.tail(10)}"
