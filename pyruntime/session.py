"""Sessions: a JSON value per chat, user or whatever the key function says, on ``ctx.session``.

**Guarantees**

- Of two updates with the same key that use their session, the second reads what the first has written: the key is
  held from before the update runs (at the head of the stack of a running bot) or from the first access on, until the
  write is done.
- A session is read at its first access and written if it changed, when the handlers behind the middleware have
  returned; not if one raised. In a runner the write becomes visible when the update is settled, outside when
  `Bot.handle_update` has succeeded.
- What is stored is exactly what the handler left, or the handler gets an error; nothing is converted silently.

- In a run with a store, sessions without a storage of their own are in the store, and change there together with the
  end of their update: after a crash they show each completed update exactly once.

**Assumes** that a storage is used by one process, there by one session middleware of each name, and that a bot has one
runner at a time, through which all its updates go while it runs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from pyruntime.argument import kind_of
from pyruntime.context_attribute import SessionAttribute
from pyruntime.failure import SessionError
from pyruntime.session_value import check_value, decode, encode, is_text
from pyruntime.signature import check_one_argument
from pyruntime.unit import Unit
from runner_c import ConfigError, Gate, MemoryStorage, by_chat, current

if TYPE_CHECKING:
    from pyruntime.context import Context
    from runner_c import Storage

__all__ = ["Session", "SessionCell", "session"]


class _Unread:
    __slots__ = ()


_UNREAD: Final = _Unread()


def session(
    initial: Callable[[], Any],
    key: Callable[[Any], str | int | None] = by_chat,
    storage: Storage | None = None,
    *,
    name: str = "session",
) -> Session:
    """Return middleware that gives each update a session, ``ctx.session``.

    ::

        bot.use(session(initial=dict))

        @bot.command("count")
        def count(ctx):
            ctx.session["n"] = ctx.session.get("n", 0) + 1

    ``ctx.session`` is a value of JSON: dicts with string keys, lists, strings, numbers, booleans and None, exactly.
    Change it in place or assign a new one; assign None to delete it. It is saved if it is not what was read; a value
    fresh from `initial` which nobody changed is not saved. Code that runs after the handlers behind this middleware
    (a middleware before it, ``@bot.catch``) can still read what was loaded, but no longer change it.

    Updates with the same key never overlap, so that no write is lost. Put it at the head of the bot's stack (only
    sequentialize and other sessions before it): its key then holds from admission on and a waiting update costs no
    thread. Deeper in the stack, or if a `sequentialize` with a bypass is at the head, the key is taken at the first
    access to ``ctx.session``.

    Args:
        initial: called without arguments for an update whose key has no session yet; ``dict``, for example.
        key: gets the context and returns the key of the session, or None for no session. A function used at the head
            of the stack sees a context no middleware has touched. Default: the chat, else the user.
        storage: where sessions are kept; an object with ``read(key)``, ``write(key, data)`` and ``delete(key)`` for
            JSON in bytes, called from many threads, never for one key at a time. Default: the store of the run, where
            a session and the end of the update that changed it are one transaction; in a run without a store, memory,
            lost at the end of the process.
        name: the attribute of the context. A bot may have several sessions (one per chat, one per user) under
            different names; in the storage the keys of those not called ``session`` begin with the name.

    Raises:
        ConfigError: an argument cannot work.
    """
    return Session(initial, key, storage, name)


class Session:
    """The middleware that `session` makes.

    Attributes:
        key: the key function.
        storage: where the sessions are kept.
        name: the attribute of the context.
    """

    def __init__(
        self,
        initial: Callable[[], Any],
        key: Callable[[Any], str | int | None] = by_chat,
        storage: Storage | None = None,
        name: str = "session",
    ) -> None:
        if not callable(initial):
            raise ConfigError(f"session(): initial is called for each new session; pass dict, not {initial!r}")
        if inspect.iscoroutinefunction(initial):
            raise ConfigError("session(): initial is async; pass a plain function")
        if key is None:
            raise ConfigError("session(): key is a function of ctx; leave it out for a session per chat")
        check_one_argument(key, "session key")
        if storage is not None and not all(
            callable(getattr(storage, method, None)) for method in ("read", "write", "delete")
        ):
            raise ConfigError(f"session(): a storage has read, write and delete; {storage!r} has not")
        _check_name(name)
        self._initial = initial
        self.key = key
        self.storage: Storage = MemoryStorage() if storage is None else storage
        self._is_storage_ours = storage is None
        self.name = name
        self._prefix = "" if name == "session" else f"{name}:"
        self._gate = Gate()

    def __repr__(self) -> str:
        return f"<session on ctx.{self.name}>"

    def forget(self) -> None:
        """Empty the session's memory; a storage that was passed in keeps what it has. For a bot that is not running."""
        if self._is_storage_ours:
            self.storage = MemoryStorage()

    def keys(self, ctx: Context) -> list[str]:
        """Return what must not overlap: the session's key, if the update has one."""
        key = self._key_of(ctx)
        return [] if key is None else [key]

    def __call__(self, ctx: Context, next: Callable[[], Any]) -> None:
        """Run the rest of the handlers with a session."""
        sessions = ctx._sessions
        if sessions is None:
            sessions = ctx._sessions = {}
        elif self.name in sessions and sessions[self.name].is_open:
            if sessions[self.name].owner is not self:
                raise SessionError(f"two sessions are called {self.name!r} here; give one another name=")
            next()
            return
        cell = SessionCell(self, ctx)
        sessions[self.name] = cell
        try:
            next()
            cell.save()
        finally:
            cell.is_open = False

    def _key_of(self, ctx: Context) -> str | None:
        key = self.key(ctx)
        if key is None:
            return None
        if isinstance(key, (str, int)) and not isinstance(key, bool):
            key = str(key)
            if not key.isascii() and not is_text(key):
                raise SessionError(f"the session key {key!r} holds half of a surrogate pair, which is no text")
            return key
        raise SessionError(f"the session key is {kind_of(key)}; a key function returns a string or None")


class SessionCell:
    """The session of one update: read late, held while in use, written once.

    Thread-safety: none; it belongs to the thread that handles the update.
    """

    __slots__ = ("_before", "_ctx", "_delivery", "_is_set", "_key", "_stored", "_value", "is_open", "owner")

    def __init__(self, owner: Session, ctx: Context) -> None:
        self.owner = owner
        self.is_open = True
        self._ctx = ctx
        delivery = current()
        # A handler may hand another update to a bot itself; that one is not what the delivery is about.
        self._delivery = delivery if delivery is not None and delivery.update is ctx.update else None
        self._key: str | None = None
        self._value: Any = _UNREAD
        self._stored: bytes | _Unread | None = _UNREAD
        self._before: bytes | None = None
        self._is_set = False

    def get(self) -> Any:
        """Return the session, read at the first call. *Blocks* while an earlier update holds the key.

        Raises:
            SessionError: no key, or the handlers behind the middleware are done without having read it.
        """
        if self._value is _UNREAD:
            name = self.owner.name
            key = self._hold("read")
            stored = self._storage.read(self.owner._prefix + key)
            self._stored = stored
            if stored is None:
                value = self.owner._initial()
                self._before = encode(value, name)
            else:
                value = decode(stored, name)
                self._before = stored
            self._value = value
        return self._value

    def set(self, value: Any) -> None:
        """Replace the session; None deletes it. *Blocks* like `get`.

        Raises:
            SessionError: no key, or the handlers behind the middleware are done.
        """
        self._hold("changed")
        self._value = value
        self._is_set = True

    def save(self) -> None:
        """Stage the session to be written if it is not what was read.

        Raises:
            SessionError: it holds something that JSON cannot keep.
        """
        name = self.owner.name
        if name != "session" and name in self._ctx.__dict__:
            # ctx.<name> = value: an attribute of the context's own hides the cell.
            self.set(self._ctx.__dict__.pop(name))
        value = self._value
        if value is _UNREAD:
            return
        if self._is_set:
            # What counts is what the storage has, not what `initial` would give.
            self._before = self._stored if isinstance(self._stored, bytes) else None
            if value is None:
                if self._stored is not None:
                    self._stage(None)
                return
        data = encode(value, name)
        if data != self._before:
            check_value(value, name)
            self._stage(data)

    def _hold(self, what: str) -> str:
        """Take the key, unless it is held already, and return it."""
        owner = self.owner
        if not self.is_open:
            raise SessionError(f"ctx.{owner.name} cannot be {what} after its handlers are done")
        if self._key is not None:
            return self._key
        ctx = self._ctx
        key = owner._key_of(ctx)
        if key is None:
            raise SessionError(f"ctx.{owner.name}: this update ({ctx.kind}) has no session key")
        delivery = self._delivery
        if delivery is None:
            self._unit.hold(owner._gate, key)
        elif delivery.bypassed or owner not in delivery.declared:
            with owner._gate.turn([key]):  # held on, until the delivery is settled
                pass
        self._key = key
        return key

    def _stage(self, data: bytes | None) -> None:
        owner = self.owner
        key = owner._prefix + (self._key or "")
        if self._delivery is None:
            self._unit.stage(owner.storage, key, data)
        else:
            self._delivery.stage(self._storage, key, data)

    @property
    def _storage(self) -> Storage:
        """The storage of the middleware, or the store of the run in place of our memory."""
        delivery = self._delivery
        if delivery is not None and self.owner._is_storage_ours and delivery.storage is not None:
            return delivery.storage
        return self.owner.storage

    @property
    def _unit(self) -> Unit:
        unit = self._ctx._unit
        if unit is None:
            unit = self._ctx._unit = Unit()
        return unit


def _check_name(name: str) -> None:
    """Check a name, and let contexts have it as an attribute."""
    from pyruntime.context import Context

    if not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
        raise ConfigError(f"session(): name is an attribute of the context; {name!r} cannot be one")
    if not hasattr(Context, name):
        setattr(Context, name, SessionAttribute(name))
    elif name != "session" and not isinstance(getattr(Context, name), SessionAttribute):
        raise ConfigError(f"session(): the context has another meaning for {name!r}; choose another name")
