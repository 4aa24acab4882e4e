"""Filter queries: ``"message:text"``, ``":photo"``, ``"::url"``, checked when they are registered.

A query has up to three parts: the kind of update, a field of it, and a detail of the field. Shortcuts stand for
several: an empty kind or ``msg`` for messages and channel posts, ``edit`` for their edits; an empty field for the
entities of text and caption, ``media`` for photos and videos, ``file`` for everything with a file.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from pyruntime.filter_table import FIELD_SHORTCUTS, KIND_SHORTCUTS, QUERIES, Detail
from runner_c import ConfigError

if TYPE_CHECKING:
    from pyruntime.context import Context

__all__ = ["Filter", "parse_filter"]

Check = Callable[["Context"], bool]


class Filter(NamedTuple):
    """A compiled filter query.

    Attributes:
        kinds: the kinds of updates that can match.
        check: what decides within those kinds; None when the kind is all that was asked.
    """

    kinds: frozenset[str]
    check: Check | None


def parse_filter(queries: str | Iterable[str]) -> Filter:
    """Compile a filter query, or several of which one must match.

    Raises:
        ConfigError: a part of a query is no name of the Bot API; the message gives the nearest one.
    """
    if not isinstance(queries, Iterable):
        raise ConfigError(f"on() takes a filter query first, for example on('message:text'), not {queries!r}")
    listed = [queries] if isinstance(queries, str) else list(queries)
    if not listed:
        raise ConfigError("on() needs a filter query, for example 'message:text'")
    checks: dict[str, list[Check] | None] = {}
    for query in listed:
        if not isinstance(query, str):
            raise ConfigError(f"a filter query is a string such as 'message:text', not {query!r}")
        for kind, check in _alternatives(query):
            if check is None:
                checks[kind] = None
            else:
                earlier = checks.setdefault(kind, [])
                if earlier is not None:
                    earlier.append(check)
    return Filter(frozenset(checks), _any_of(checks))


def _any_of(checks: dict[str, list[Check] | None]) -> Check | None:
    if all(listed is None for listed in checks.values()):
        return None
    by_kind = {kind: None if listed is None else tuple(listed) for kind, listed in checks.items()}
    if len(by_kind) == 1:
        (only,) = by_kind.values()
        if only is not None and len(only) == 1:
            return only[0]

    def check(ctx: Context) -> bool:
        kind = ctx.kind
        if kind is None or kind not in by_kind:
            return False
        alternatives = by_kind[kind]
        return alternatives is None or any(alternative(ctx) for alternative in alternatives)

    return check


def _alternatives(query: str) -> list[tuple[str, Check | None]]:
    """Return what a query stands for, shortcuts resolved: pairs of a kind and a check."""
    parts = query.split(":")
    if len(parts) > 3 or query == "":
        raise ConfigError(f"filter query {query!r}: write kind, kind:field or kind:field:detail")
    kinds = KIND_SHORTCUTS.get(parts[0]) or (parts[0],)
    for kind in kinds:
        if kind not in QUERIES:
            raise _unknown(query, 0, [*QUERIES, *KIND_SHORTCUTS])
    if len(parts) == 1:
        return [(kind, None) for kind in kinds]
    if parts[1] == "" and len(parts) == 2:
        raise ConfigError(f"filter query {query!r} ends in a colon; did you mean {parts[0] or 'message'!r}?")
    found: list[tuple[str, Check | None]] = []
    for kind in kinds:
        table = QUERIES[kind]
        for field in FIELD_SHORTCUTS.get(parts[1]) or (parts[1],):
            if field not in table:
                raise _unknown(query, 1, [*table, *(FIELD_SHORTCUTS if "photo" in table else ())])
            if len(parts) == 2:
                found.append((kind, _has(field)))
                continue
            detail = table[field]
            if detail is None or parts[2] not in detail.names:
                if parts[1] in FIELD_SHORTCUTS:
                    names = {name for one in FIELD_SHORTCUTS[parts[1]] for name in _names(table[one])}
                    if parts[2] in names:
                        continue
                    raise _unknown(query, 2, names)
                raise _unknown(query, 2, _names(detail))
            found.append((kind, _has_detail(field, detail, parts[2])))
    return found


def _names(detail: Detail | None) -> tuple[str, ...]:
    return () if detail is None else detail.names


def _unknown(query: str, place: int, valid: Iterable[str]) -> ConfigError:
    """Build the error for the part of a query that is no valid name, with the nearest name there is."""
    parts = query.split(":")
    said = parts[place]
    what = ("kind of update", "field", "detail")[place]
    names = sorted(name for name in valid if name)
    where = f" of {parts[0] or 'message'}" if place == 1 else f" of {parts[1] or 'entities'}" if place == 2 else ""
    problem = f"filter query {query!r}: {said!r} is no {what}{where}"
    if not names:
        return ConfigError(f"{problem}; nothing further can be asked there")
    if place == 0 and said and len(parts) < 3 and (said in QUERIES["message"] or said in FIELD_SHORTCUTS):
        return ConfigError(f"{problem}; did you mean 'message:{query}'?")
    near = difflib.get_close_matches(said, names, n=1, cutoff=0.5)
    if near:
        meant = ":".join([*parts[:place], near[0], *parts[place + 1 :]])
        return ConfigError(f"{problem}; did you mean {meant!r}?")
    if place == 0:
        return ConfigError(f"{problem}; the kinds are {', '.join(names)}")
    return ConfigError(f"{problem}; it can be {', '.join(names)}")


def _is_given(value: Any) -> bool:
    """Tell whether a field says something: absent, false and an empty list say nothing, an empty object does."""
    return value is not None and value is not False and value != []


def _has(field: str) -> Check:
    def check(ctx: Context) -> bool:
        payload = ctx.payload
        return field in payload and _is_given(payload[field])

    return check


def _has_detail(field: str, detail: Detail, name: str) -> Check:
    holds = _detail_check(detail, name)

    def check(ctx: Context) -> bool:
        payload = ctx.payload
        if field not in payload:
            return False
        value = payload[field]
        if isinstance(value, list):
            return any(holds(item, ctx) for item in value)
        return holds(value, ctx)

    return check


def _detail_check(detail: Detail, name: str) -> Callable[[Any, Context], bool]:
    if detail.mode == "type":

        def has_type(item: Any, ctx: Context) -> bool:
            if "type" not in item:
                return False
            kind = item["type"]
            if isinstance(kind, dict):  # a counted reaction carries its type as an object
                return "type" in kind and bool(kind["type"] == name)
            return bool(kind == name)

        return has_type
    if detail.mode == "user" and name == "me":

        def is_me(item: Any, ctx: Context) -> bool:
            return bool(item["id"] == ctx.me["id"])

        return is_me

    def has_field(item: Any, ctx: Context) -> bool:
        return name in item and _is_given(item[name])

    return has_field
