"""sequentialize: the middleware that says which updates must wait for each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from runner_c._keys import BYPASS, Bypass, by_chat, by_chat_thread, by_user, keys_of
from runner_c._sink import current
from runner_c.errors import ConfigError
from runner_c.gate import Gate
from runner_c.option_check import function_of_one

__all__ = ["BYPASS", "KeyFunction", "Sequentialize", "by_chat", "by_chat_thread", "by_user", "sequentialize"]

KeyFunction = Callable[[Any], "str | int | Iterable[str | int] | None"]


class Sequentialize:
    """Keep updates that share a key in order, one at a time; made by `sequentialize`.

    At the head of a bot's middleware stack its key functions are evaluated when an update is admitted: a waiting
    update then costs neither a thread nor a place in `concurrency`. Deeper in the stack it blocks the worker until
    the keys are free (waiting updates go by age), and the pool runs another worker meanwhile.

    Thread-safety: any thread.
    """

    __slots__ = ("_gate", "bypass", "key_functions")

    def __init__(self, key_functions: tuple[KeyFunction, ...], bypass: Callable[[Any], bool] | None = None) -> None:
        self.key_functions = key_functions
        self.bypass = bypass
        self._gate = Gate()

    def keys(self, ctx: Any) -> list[str] | Bypass:
        """Return the keys of an update, or BYPASS. Raises what a key function raises."""
        if self.bypass is not None and is_true(self.bypass(ctx)):
            return BYPASS
        keys: list[str] = []
        for key_function in self.key_functions:
            keys += keys_of(key_function(ctx))
        return keys

    def __call__(self, ctx: Any, next: Callable[[], Any]) -> Any:
        """Run the rest of the stack in the turn of this update. *Blocks* until its keys are free."""
        delivery = current()
        if delivery is not None and self in delivery.declared:
            return next()
        keys = self.keys(ctx)
        if isinstance(keys, Bypass) or not keys:
            return next()
        with self._gate.turn(keys):
            return next()


def sequentialize(*key_functions: KeyFunction, bypass: Callable[[Any], bool] | None = None) -> Sequentialize:
    """Return middleware that keeps updates which share a key in order, one at a time.

    Args:
        key_functions: each gets the context and returns a string, an iterable of strings, or None (no key). The keys
            of all functions together hold; an update with several keys waits until it heads the lane of each.
        bypass: gets the context; True sends the update past the lanes and ahead of all ready updates, for a
            ``/cancel`` while a long job of the same chat runs.

    Raises:
        ConfigError: no key function was given, or something is not a plain function of one context.
    """
    if not key_functions:
        raise ConfigError("sequentialize() needs at least one key function, for example sequentialize(by_chat)")
    for function in key_functions:
        function_of_one("a key function of sequentialize()", function)
    if bypass is not None:
        function_of_one("bypass", bypass)
    return Sequentialize(key_functions, bypass)


def is_true(answer: Any) -> bool:
    """Return the truth of what a bypass function gave; a coroutine, which is always true, is an error."""
    if hasattr(answer, "__await__"):
        raise TypeError("bypass gave a coroutine: it must be a plain function that returns True or False")
    return bool(answer)
