"""A thin lazy view on a decoded update, so that ``ctx.message.chat.id`` reads like the Bot API's documentation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, SupportsIndex, overload

import ujson

from pyruntime.field import FIELDS

__all__ = ["View", "ViewList", "wrap"]


class View:
    """Read a JSON object by attribute; nothing is copied, nested objects are wrapped when they are read.

    A field that is absent reads as None. A name that no Bot API type has is an AttributeError, because it is a typing
    error; for a field newer than this library there is `get`. ``from_user`` stands for the field ``from``, which
    Python cannot spell. Items (``view["from"]``), ``in``, ``len``, iteration over the field names and ``==`` (with
    another view or a dict) work as on the dict itself. A view is true even when the object is empty: that the field
    is there at all is what the Bot API says with ``{}``.

    Thread-safety: as safe as the dict behind it. Copies and pickles are views again.

    >>> message = View({"text": "hi", "from": {"id": 7}, "entities": [{"type": "url"}]})
    >>> message.text, message.from_user.id, message.entities[0].type, message.caption
    ('hi', 7, 'url', None)
    """

    __slots__ = ("_raw",)

    def __init__(self, raw: dict[str, Any]) -> None:
        self._raw = raw

    @property
    def raw(self) -> dict[str, Any]:
        """The dict behind the view, unchanged."""
        return self._raw

    # `in` and then `[]`, here and below: on a free-threaded build `dict.get` is slow on a dict of another thread.
    def __getattr__(self, name: str) -> Any:
        raw = self._raw
        if name in raw:
            return wrap(raw[name])
        if name == "from_user":
            return wrap(raw["from"]) if "from" in raw else None
        if name in FIELDS:
            return None
        raise AttributeError(f"no object of the Bot API has a field {name!r}", name=name, obj=self)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the field `name` of the object, whatever it is called, or `default` when it is absent."""
        raw = self._raw
        return wrap(raw[name]) if name in raw else default

    def __getitem__(self, name: str) -> Any:
        return wrap(self._raw[name])

    def __contains__(self, name: object) -> bool:
        return name in self._raw

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        if isinstance(other, View):
            return self._raw == other._raw
        if isinstance(other, dict):
            return self._raw == other
        return NotImplemented

    def __repr__(self) -> str:
        return f"View({self._raw!r})"

    def __dir__(self) -> list[str]:
        names = {name for name in self._raw if name.isidentifier()}
        if "from" in names:
            names = names - {"from"} | {"from_user"}
        return sorted(names | set(object.__dir__(self)))

    def __reduce__(self) -> tuple[type[View], tuple[dict[str, Any]]]:
        return View, (self._raw,)

    def __json__(self) -> str:
        """Let a view be a parameter of an API call: ``reply_markup=ctx.message.reply_markup``."""
        return ujson.dumps(self._raw)


class ViewList(Sequence[Any]):
    """Read a JSON array whose objects are wrapped when they are read; equal to the list behind it.

    >>> ViewList([{"id": 1}, {"id": 2}])[-1].id
    2
    """

    __slots__ = ("_raw",)

    def __init__(self, raw: list[Any]) -> None:
        self._raw = raw

    @property
    def raw(self) -> list[Any]:
        """The list behind the view, unchanged."""
        return self._raw

    @overload
    def __getitem__(self, index: SupportsIndex) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> ViewList: ...

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        if isinstance(index, slice):
            return ViewList(self._raw[index])
        return wrap(self._raw[index])

    def __iter__(self) -> Iterator[Any]:
        return map(wrap, self._raw)

    def __len__(self) -> int:
        return len(self._raw)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ViewList):
            return self._raw == other._raw
        if isinstance(other, list):
            return self._raw == other
        return NotImplemented

    def __repr__(self) -> str:
        return f"ViewList({self._raw!r})"

    def __reduce__(self) -> tuple[type[ViewList], tuple[list[Any]]]:
        return ViewList, (self._raw,)

    def __json__(self) -> str:
        return ujson.dumps(self._raw)


def wrap(value: Any) -> Any:
    """Return a view of a dict or a list, and anything else as it is."""
    kind = value.__class__
    if kind is dict:
        return View(value)
    if kind is list:
        return ViewList(value)
    if isinstance(value, dict):
        return View(value)
    if isinstance(value, list):
        return ViewList(value)
    return value
