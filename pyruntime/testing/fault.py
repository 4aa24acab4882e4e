"""Spoil replies on purpose, so that a client can be tested against a bad network and a bad server."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Literal, Self, get_args

FaultKind = Literal[
    "drop_before",
    "drop_after",
    "drop_midway",
    "stall",
    "slow",
    "error",
    "retry_after",
    "conflict",
    "unauthorized",
    "duplicate",
    "shuffle",
    "garbage",
    "not_http",
    "half_json",
    "empty",
    "huge",
]

KINDS: Final = frozenset(get_args(FaultKind))
# These answer instead of the method, which is not carried out.
REFUSING: Final = frozenset({"error", "retry_after", "conflict", "unauthorized"})
# These spoil a getUpdates reply whatever is in it, so that there is no point in waiting for updates first.
ANSWERED_AT_ONCE: Final = frozenset({"garbage", "not_http", "empty", "huge"})

WEBHOOK: Final = "webhook"
"""What stands for deliveries to the webhook where a method is named."""
# These spoil deliveries to the webhook, and no others do.
OF_DELIVERIES: Final = frozenset({"drop_before", "drop_after", "drop_midway", "slow", "duplicate"})

HUGE_BYTES: Final = 10 * 1024 * 1024


class Fault:
    """Stand for one switched-on fault; leaving it as a context manager, or `clear()`, switches it off.

    `hits` counts the calls that it spoiled, `number` tells it from the others of its server.
    """

    def __init__(
        self,
        kind: FaultKind,
        method: str | None,
        times: int | None,
        seconds: float,
        code: int | None,
        description: str | None,
        size_bytes: int,
        on_clear: Callable[["Fault"], None],
    ) -> None:
        """Remember what to spoil; see `FakeBotApi.fault` for the meaning."""
        if kind not in KINDS:
            raise ValueError(f"unknown fault {kind!r}; there are: {', '.join(sorted(KINDS))}")
        if method == WEBHOOK and kind not in OF_DELIVERIES:
            raise ValueError(f"{kind} spoils no delivery to a webhook; these do: {', '.join(sorted(OF_DELIVERIES))}")
        if times is not None and times < 1:
            raise ValueError("times must be at least 1, or None for every call")
        self.kind = kind
        self.method = method
        self.left = times
        self.seconds = seconds
        self.code = code
        self.description = description
        self.size_bytes = size_bytes
        self.hits = 0
        self.number = 0
        self._on_clear = on_clear

    def clear(self) -> None:
        """Switch the fault off."""
        self._on_clear(self)

    def __enter__(self) -> Self:
        """Return the fault, which is on already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Switch the fault off."""
        self.clear()

    def refusal(self) -> tuple[int, str, dict[str, Any]]:
        """Return error code, description and response parameters of a fault that refuses the call."""
        if self.kind == "retry_after":
            whole = max(1, round(self.seconds))
            return 429, self.description or f"Too Many Requests: retry after {whole}", {"retry_after": whole}
        if self.kind == "conflict":
            return (
                409,
                self.description
                or (
                    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
                ),
                {},
            )
        if self.kind == "unauthorized":
            return 401, self.description or "Unauthorized", {}
        return self.code or 500, self.description or "Internal Server Error: restart", {}

    def spoil_updates(self, updates: list[bytes]) -> list[bytes]:
        """Return the updates of a getUpdates reply as the fault leaves them."""
        if self.kind == "duplicate":
            return [update for update in updates for _ in range(2)]
        if self.kind == "shuffle":
            return updates[::-1]
        return updates

    def spoil_body(self, body: bytes) -> bytes:
        """Return the JSON body of a reply as the fault leaves it."""
        if self.kind == "garbage":
            return b"<html><body>It works!</body></html>"
        if self.kind == "half_json":
            return body[: len(body) // 2]
        if self.kind == "empty":
            return b""
        if self.kind == "huge":
            return b'{"ok":true,"result":"%b"}' % (b"x" * self.size_bytes)
        return body


class FaultBox:
    """Hold the faults of a server."""

    def __init__(self, lock: threading.RLock) -> None:
        """Start with none; `lock` is the server's and guards the list."""
        self._lock = lock
        self._faults: list[Fault] = []
        self._added = 0

    @property
    def faults(self) -> list[Fault]:
        """Return the faults that are switched on, in the order in which they apply."""
        with self._lock:
            return list(self._faults)

    def add(self, fault: Fault) -> Fault:
        """Switch a fault on."""
        with self._lock:
            self._added += 1
            fault.number = self._added
            self._faults.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        """Switch a fault off; nothing happens if it is off."""
        with self._lock:
            if fault in self._faults:
                self._faults.remove(fault)

    def clear(self) -> None:
        """Switch all faults off."""
        with self._lock:
            self._faults.clear()

    def take(self, method: str, *, is_exact: bool = False) -> Fault | None:
        """Return the first fault that applies to a call of `method`, and count it. Assumes: the lock is held.

        Args: is_exact leaves out faults that apply to any method.
        """
        if not self._faults:
            return None
        for fault in self._faults:
            if fault.method == method or (fault.method is None and not is_exact):
                fault.hits += 1
                if fault.left is not None:
                    fault.left -= 1
                    if not fault.left:
                        self._faults.remove(fault)
                return fault
        return None
