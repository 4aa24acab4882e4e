"""How long to wait: after a failed poll, and before an update that failed is tried again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from runner_c.errors import ConfigError

__all__ = ["FIRST_DELAY_S", "FIRST_RETRY_S", "Backoff", "handler_delay_s"]

FIRST_DELAY_S = 0.1
"""Seconds before the first retry, before jitter."""


class Backoff:
    """Delays of one series of failures: growing, capped, jittered, and at some time over.

    Args:
        policy: "exponential" (0.1, 0.2, 0.4 s …), "quadratic" (0.1, 0.4, 0.9 s …), or a number of seconds for a
            constant delay.
        cap_s: no delay is longer, in seconds.
        max_time_s: how long a series may last before it is given up, in seconds.
        clock: monotonic seconds.
        chance: a number from 0 to 1 at each call; each delay is cut by up to half with it.

    Thread-safety: one thread.

    >>> backoff = Backoff("exponential", 1.0, 60.0, chance=lambda: 0.0)
    >>> [backoff.next_s() for _ in range(5)]
    [0.1, 0.2, 0.4, 0.8, 1.0]
    """

    def __init__(
        self,
        policy: str | float,
        cap_s: float,
        max_time_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        is_number = isinstance(policy, (int, float)) and not isinstance(policy, bool) and policy >= 0
        if not is_number and policy not in ("exponential", "quadratic"):
            raise ConfigError(f'retry is "exponential", "quadratic" or a number of seconds, not {policy!r}')
        self._policy = policy
        self._cap_s = cap_s
        self._max_time_s = max_time_s
        self._clock = clock
        self._chance = chance
        self._failures = 0
        self._since_s = 0.0

    def next_s(self) -> float:
        """Count a failure and return the seconds to wait before the next try."""
        if self._failures == 0:
            self._since_s = self._clock()
        self._failures += 1
        if self._policy == "exponential":
            delay_s = FIRST_DELAY_S * 2.0 ** min(self._failures - 1, 60)
        elif self._policy == "quadratic":
            delay_s = FIRST_DELAY_S * float(self._failures) ** 2
        else:
            delay_s = float(self._policy)
        return min(delay_s, self._cap_s) * (1.0 - 0.5 * self._chance())

    def is_over(self) -> bool:
        """Tell whether the series has lasted longer than `max_time_s`."""
        return self._failures > 0 and self._clock() - self._since_s >= self._max_time_s

    def reset(self) -> None:
        """End the series: a try succeeded."""
        self._failures = 0


FIRST_RETRY_S = 1.0
"""Seconds before the second attempt at an update, before jitter; twice as long before each further one."""

LONGEST_RETRY_S = 300.0
"""No attempt at an update is further away, in seconds, unless the server asked for more."""


def handler_delay_s(failures: int, error: BaseException) -> float:
    """Return how long an update waits that has failed so many times, in seconds; an error's `retry_after` is obeyed."""
    delay_s = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(failures - 1, 30)) * random.uniform(0.9, 1.1)
    retry_after = getattr(error, "retry_after", None)
    if isinstance(retry_after, (int, float)) and 0 < retry_after < 86_400:
        return max(delay_s, float(retry_after))
    return delay_s
