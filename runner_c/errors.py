"""Errors of the engine, one tree.

::

    Exception
    ├── RunnerError                what went wrong in the engine itself
    │   ├── ConfigError            a bad option or a bot that `run` cannot accept (also a ValueError)
    │   ├── ForkedProcess          a runner used in a child process that a fork made
    │   ├── KeyDeadlock            waiting for a key deeper in the stack would never end
    │   ├── MalformedReply         a source that returned something other than a list of updates
    │   ├── SourceBroken           a source of one's own that can give nothing any more
    │   ├── StoreError             what the store cannot do, for good
    │   │   ├── StoreDamaged       its file is damaged, or is no store
    │   │   ├── StoreInUse         another runner has it
    │   │   └── StoreUnavailable   it cannot write now (full or read-only disk); worth another try
    │   └── TooManyWrittenOff      the cap on threads that hang past their deadline is reached
    └── (errors of the source pass through as they are: `wait()` raises what `get_updates` raised)

    BaseException
    ├── HandlerTimeout             raised *in* a handler by `on_timeout="interrupt"`
    └── Stopped                    a wait inside a handler ended because the runner stops

The last two derive from BaseException so that a handler's ``except Exception`` does not swallow them.
All of them pickle.
"""

from __future__ import annotations

__all__ = [
    "ConfigError",
    "ForkedProcess",
    "HandlerTimeout",
    "KeyDeadlock",
    "MalformedReply",
    "RunnerError",
    "SourceBroken",
    "Stopped",
    "StoreDamaged",
    "StoreError",
    "StoreInUse",
    "StoreUnavailable",
    "TooManyWrittenOff",
]


class RunnerError(Exception):
    """Root of the errors that the engine itself raises."""


class ConfigError(RunnerError, ValueError):
    """An option has a bad value, or an object is not what the engine can run; the message says what to do."""


class ForkedProcess(RunnerError):
    """A runner was used in a forked child; its threads stayed in the parent. Start a runner in the child instead."""


class KeyDeadlock(RunnerError):
    """Two updates hold keys that the other waits for; the one that would have closed the circle gets this."""


class MalformedReply(RunnerError):
    """The source did not return a list of updates. Retried with back-off like any other failure of a poll."""


class SourceBroken(RunnerError):
    """A source cannot go on, as a generator that has raised; the error that broke it is the cause. It ends the run."""


class StoreError(RunnerError):
    """The store cannot do what it is there for; the message says what to do about it. Nothing was overwritten."""


class StoreDamaged(StoreError):
    """The file of a store is damaged, or holds something else."""


class StoreInUse(StoreError):
    """Another runner has the store open; one store has one runner at a time."""


class StoreUnavailable(StoreError):
    """The store cannot write now: the disk is full, or read-only. Nothing was changed; the same may work later."""


class TooManyWrittenOff(RunnerError):
    """More handlers hang past their deadline than the cap on written-off threads allows; the runner ends."""


class HandlerTimeout(BaseException):
    """A handler ran past `handler_timeout_s` and is interrupted. Best effort: it cannot break a system call."""


class Stopped(BaseException):
    """The runner is stopping and the wait of a handler ended early; its update counts as unfinished, not as failed."""
