"""Make what the handlers of a telebot bot share safe for many threads.

telebot takes the handlers of next steps and replies out of plain dicts, and keeps states in a dict or in a file that it
rewrites as a whole. Its own polling thread mostly works alone; here every worker does all of it. The order of a chat
already keeps two updates of one chat apart, so what is left are two chats that meet in one structure: a reply handler
(its key is the number of a message, the same in many chats), a save to a file, a step registered for another chat.

One lock for each object that keeps its data in this process does it. What keeps them elsewhere (Redis, a class of your
own) is left alone: a lock around a round trip would make all chats wait for each other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

__all__ = ["save_now", "serialise"]

_METHODS = {
    # class in telebot: the methods that read and write
    "MemoryHandlerBackend": ("register_handler", "clear_handlers", "get_handlers", "load_handlers"),
    "FileHandlerBackend": ("register_handler", "clear_handlers", "get_handlers", "load_handlers", "save_handlers"),
    "StateMemoryStorage": (
        "set_state",
        "get_state",
        "delete_state",
        "set_data",
        "get_data",
        "reset_data",
        "get_interactive_data",
        "save",
    ),
}
_METHODS["StatePickleStorage"] = (*_METHODS["StateMemoryStorage"], "update_data")

_MARK = "_runner_c_lock"

# Held while an object gets its lock; nothing is called meanwhile.
_marking = threading.Lock()


def serialise(thing: Any) -> None:
    """Let the methods of a backend or storage of telebot exclude each other, if it keeps its data in this process.

    Once for each object, which two bots may share: telebot's default storage is one object for all of them. The object
    stays what it is; only its bound methods are wrapped. A method may call another: the lock can be taken again.

    Thread-safety: any thread.
    """
    names = _names_of(type(thing))
    if not names:
        return
    with _marking:
        if _MARK in vars(thing):
            return
        lock = threading.RLock()  # before locks of telebot's own, and never held while a handler runs
        setattr(thing, _MARK, lock)
        for name in names:
            method = getattr(thing, name, None)
            if callable(method):
                setattr(thing, name, _locked(method, lock))


def save_now(backend: Any) -> None:
    """Write the handlers of a file backend at once, if they wait for its timer: two minutes by default.

    The timer's thread would keep the process from ending until then. *Blocks* for the writing.
    """
    timer = getattr(backend, "timer", None)
    save = getattr(backend, "save_handlers", None)
    if timer is not None and callable(save) and timer.is_alive():
        timer.cancel()
        save()


def _names_of(kind: type) -> tuple[str, ...]:
    for base in kind.__mro__:
        if base.__module__.partition(".")[0] == "telebot" and base.__name__ in _METHODS:
            return _METHODS[base.__name__]
    return ()


def _locked(method: Callable[..., Any], lock: threading.RLock) -> Callable[..., Any]:
    @wraps(method)
    def call(*arguments: Any, **named: Any) -> Any:
        with lock:
            return method(*arguments, **named)

    return call
