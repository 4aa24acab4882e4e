"""The ids of accepted updates, for 48 hours by the clock of the store.

**Guarantees**

- An id is known for `life_s` after it was added, and at most an hour longer.
- Consecutive ids of one hour cost one interval. No watermark: a low id is as new as a high one.

**Assumes** that its owner guards it by a lock. A clock that is set back keeps ids for longer; one that is set ahead
forgets them earlier.
"""

from __future__ import annotations

from collections.abc import Iterable

from runner_c._seen import Seen

__all__ = ["HOUR_S", "Accepted"]

HOUR_S = 3600.0


class Accepted:
    """A set of ids, in one part for each hour, so that old ones can go.

    Args:
        life_s: how long an id is known, in seconds.
    """

    def __init__(self, life_s: float) -> None:
        self._life_s = life_s
        self._by_hour: dict[int, Seen] = {}
        self._all = Seen(life_s=float("inf"))

    def __contains__(self, update_id: int) -> bool:
        return update_id in self._all

    def add(self, update_id: int, now: float) -> bool:
        """Add an id; False when it was there."""
        if not self._all.accept(update_id):
            return False
        self._hour(now).accept(update_id)
        return True

    def add_all(self, update_ids: list[int], now: float) -> list[int]:
        """Add ids; return those that were not there, each once. Raises TypeError, and adds none, for what is no id."""
        fresh = self._all.accept_all(update_ids)
        self._hour(now).accept_all(fresh)
        return fresh

    def forget(self, update_id: int) -> None:
        """Remove an id: its update was not taken after all."""
        self._all.drop(update_id)
        for seen in self._by_hour.values():
            seen.drop(update_id)

    def load(self, hour: int, intervals: Iterable[tuple[int, int]]) -> None:
        """Add what was stored for an hour, as pairs of first and last."""
        for first, last in intervals:
            self._all.fill(first, last)
            self._hour(hour * HOUR_S).fill(first, last)

    def intervals(self, hour: int) -> list[tuple[int, int]]:
        """Return the ids of an hour, as pairs of first and last."""
        return self._by_hour[hour].intervals() if hour in self._by_hour else []

    def expire(self, now: float) -> list[int]:
        """Forget the ids of hours that have passed for longer than their life; return these hours."""
        old = [hour for hour in self._by_hour if (hour + 1) * HOUR_S + self._life_s <= now]
        if old:
            for hour in old:
                del self._by_hour[hour]
            self._all = Seen(life_s=float("inf"))
            for seen in self._by_hour.values():
                for first, last in seen.intervals():
                    self._all.fill(first, last)
        return old

    def _hour(self, now: float) -> Seen:
        hour = int(now // HOUR_S)
        if hour not in self._by_hour:
            self._by_hour[hour] = Seen(life_s=float("inf"))
        return self._by_hour[hour]
