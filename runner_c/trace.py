"""Tracebacks and stacks as text, whatever other threads do at the same time.

The `traceback` module looks for lines of source in a cache that all threads share without a lock: while one thread
loads a file another can lose it between a look and a grasp, and gets a KeyError or an IndexError. It happens when many
handlers fail for the first time at once.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from types import FrameType, TracebackType

__all__ = ["format_error", "format_stack"]

TRIES = 5


def format_error(error: BaseException) -> str:
    """Return the traceback of an error as text, without a line break at the end; works for every error.

    Thread-safety: any thread.
    """
    text = _tried(lambda: traceback.format_exception(error))
    if text is None:
        places = "".join(_places(error.__traceback__))
        text = f"Traceback (most recent call last), without source:\n{places}{_described(error)}"
    return text.rstrip()


def format_stack(frame: FrameType) -> str:
    """Return the stack of a thread as text, from the outermost call to `frame`. Thread-safety: any thread."""
    text = _tried(lambda: traceback.format_stack(frame))
    if text is not None:
        return text
    found: list[str] = []
    at: FrameType | None = frame
    while at is not None:
        found.append(_place(at, at.f_lineno))
        at = at.f_back
    return "".join(reversed(found))


def _tried(make: Callable[[], Iterable[str]]) -> str | None:
    for _ in range(TRIES):
        try:
            return "".join(make())
        except LookupError:
            continue  # another thread was at the cache
        except Exception:
            break
    return None


def _places(trace: TracebackType | None) -> Iterator[str]:
    while trace is not None:
        yield _place(trace.tb_frame, trace.tb_lineno)
        trace = trace.tb_next


def _place(frame: FrameType, line: int) -> str:
    return f'  File "{frame.f_code.co_filename}", line {line}, in {frame.f_code.co_name}\n'


def _described(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return f"{type(error).__name__}: (its message cannot be read: str() of it fails)"
