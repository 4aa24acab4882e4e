"""Keys at admission: what the head of a bot's middleware says before a handler runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from pyruntime.context import Context
from pyruntime.node import ComposerNode, FunctionNode
from pyruntime.session import Session
from pyruntime.signature import declares_keys
from runner_c import BYPASS, by_chat, by_chat_thread, by_user

if TYPE_CHECKING:
    from pyruntime.bot import Bot
    from pyruntime.composer import Composer

__all__ = ["Keyer", "build_keyer"]

_READS_UPDATES: Final = (by_chat, by_chat_thread, by_user)
"""Key functions that need no context."""


def _reads_updates(function: object) -> bool:
    # By identity: a key function of the user's own may be an object that cannot be hashed.
    return any(function is known for known in _READS_UPDATES)


class Keyer:
    """Return the keys of an update: those of the sequentialize middleware at the head of a bot, and of its sessions.

    Attributes:
        declared: the middleware whose keys are among them and hold from admission on. Sessions are not, if a bypass
            is at the head: an update that goes past the lanes may then overlap with any other, so that sessions must
            take their turn when they are used.

    Thread-safety: any thread, as far as the key functions are.
    """

    __slots__ = ("_bot", "_default", "_sequences", "_sessions", "declared")

    def __init__(self, bot: Bot, head: list[Any], default: Callable[[Any], Any] | None) -> None:
        self._bot = bot
        self._sessions = [entry for entry in head if isinstance(entry, Session)]
        self._sequences = [entry for entry in head if not isinstance(entry, Session)]
        self._default = None if self._sequences else default
        has_bypass = any(getattr(entry, "bypass", None) is not None for entry in self._sequences) or not (
            # A key function of the user's own may answer BYPASS too.
            self._default is None or _reads_updates(self._default)
        )
        self.declared: frozenset[Any] = frozenset(self._sequences if has_bypass else head)

    def __call__(self, update: dict[str, Any]) -> Any:
        """Return a list of strings, or BYPASS. Raises what a key function raises."""
        ctx = Context(update, self._bot)
        keys: list[str] = []
        for entry in self._sequences:
            found = entry.keys(ctx)
            if found is BYPASS:
                return BYPASS
            keys += found
        if self._default is not None:
            found = self._default(ctx)
            if found is BYPASS:
                return BYPASS
            keys += _listed(found)
        for entry in self._sessions:
            keys += entry.keys(ctx)
        return list(dict.fromkeys(keys)) if len(keys) > 1 else keys


class SimpleKeyer:
    """A `Keyer` for one key function that needs no context."""

    __slots__ = ("_function", "declared")

    def __init__(self, function: Callable[[Any], str | None], declared: frozenset[Any]) -> None:
        self._function = function
        self.declared = declared

    def __call__(self, update: dict[str, Any]) -> str | None:
        """Return the key of an update, or None."""
        return self._function(update)


def build_keyer(bot: Bot, default: Callable[[Any], Any] | None) -> Callable[[dict[str, Any]], Any]:
    """Return the key function of a run.

    All `sequentialize` at the head replace `default`; sessions there add their keys to it. The head is the leading
    run of these two in the stack.
    """
    head, _ = _head_of(bot)
    if not head and default is None:
        return _no_key
    if not head and default is not None and _reads_updates(default):
        return default
    keyer = Keyer(bot, head, default)
    functions = _simple_functions(keyer)
    if functions is not None and len(functions) == 1:
        return SimpleKeyer(functions.pop(), keyer.declared)
    return keyer


def _no_key(update: dict[str, Any]) -> None:
    return None


def _simple_functions(keyer: Keyer) -> set[Callable[[Any], Any]] | None:
    """Return the key functions, if all of them read plain updates, else None."""
    functions: list[Any] = []
    for entry in keyer._sequences:
        if getattr(entry, "bypass", None) is not None or not hasattr(entry, "key_functions"):
            return None
        functions += entry.key_functions
    functions += [entry.key for entry in keyer._sessions]
    if keyer._default is not None:
        functions.append(keyer._default)
    return set(functions) if all(map(_reads_updates, functions)) else None


def _head_of(composer: Composer) -> tuple[list[Any], bool]:
    """Return the leading sequentialize and session middleware, and whether there is nothing else in the composer."""
    head: list[Any] = []
    for node in composer._nodes:
        if isinstance(node, FunctionNode) and declares_keys(node.function):
            head.append(node.function)
        elif isinstance(node, ComposerNode) and node.is_plain:
            inner, is_whole = _head_of(node.composer)
            head += inner
            if not is_whole:
                return head, False
        else:
            return head, False
    return head, True


def _listed(found: str | int | Iterable[str | int] | None) -> list[str]:
    """Return what a key function gave as a list of strings."""
    if found is None:
        return []
    if isinstance(found, (str, int)):
        return [str(found)]
    return [str(key) for key in found if key is not None]
