"""What a client tries again after a failure, exactly.

Never more than ``max_retries`` times, with growing pauses, and not when ``timeout_s`` has passed since the first
attempt:

=================================================== ============================================
what happened                                       tried again
=================================================== ============================================
no connection, or the request cannot have arrived   always
5xx                                                 always: the server says that it failed; but for
                                                    504, which says nothing of that, only what is safe
reply lost, late or garbage                         only what is safe
429                                                 always, after exactly ``retry_after``; bounded by
                                                    ``max_flood_wait_s`` instead of a number of times
any other error reply                               never
=================================================== ============================================

Safe are the methods that only read: those whose name begins with ``get``. So a message is not sent twice because a
reply got lost. ``get_updates`` and ``call_once`` are never tried again, and neither is an upload from a file object
that cannot be read a second time.
"""

from __future__ import annotations

import random
from http import HTTPStatus

from pyruntime.errors import Interrupted, NetworkError, ServerError

__all__ = ["may_repeat", "pause_s"]

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 8.0


def may_repeat(method: str, error: ServerError | NetworkError) -> bool:
    """Return whether a call that failed so may be sent again."""
    if method == "getUpdates" or isinstance(error, Interrupted):
        return False
    is_safe = method.startswith("get")
    if isinstance(error, ServerError):
        return is_safe or error.error_code != HTTPStatus.GATEWAY_TIMEOUT
    return is_safe or not error.may_have_arrived


def pause_s(attempt: int, error: ServerError | NetworkError) -> float:
    """Return the seconds before the next attempt: twice as many each time, spread so that threads part.

    Args:
        attempt: 0 after the first failure.
        error: its ``retry_after`` is obeyed, within limits.
    """
    if error.retry_after is not None:
        return min(error.retry_after, _LONGEST_PAUSE_S)
    return float(min(_FIRST_PAUSE_S * 2**attempt, _LONGEST_PAUSE_S) * random.uniform(0.5, 1.0))
