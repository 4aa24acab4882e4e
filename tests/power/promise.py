"""What the store had promised when the power went, by the notes of `workload.py`, against what it gives back.

**Guarantees** that `check` finds each of these:

- an update whose push had returned, and that is neither given out again, nor settled, nor a dead letter;
- an id that was accepted and is accepted again; an offset behind the last push that had returned; half a push;
- settled updates, sessions, failures and dead letters that together are no moment of the past, as when a settlement is
  there and an earlier one is not, or a session does not show exactly the settled updates of its chat; or a moment
  before the last `sync` that had returned;
- a file that SQLite finds damaged, that the store refuses, or on which it cannot go on.

What was settled after the last `sync` may be gone: such updates are handled again, and counted as replays.
"""

from __future__ import annotations

import json
import sqlite3
import traceback
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from runner_c.store import Arrival, Claim, DeadLetter, Settlement, Value, Verdict, Write
from runner_c.store.base import SEEN
from runner_c.store.sqlite import SqliteStore

ALL = 100_000

GONE = "gone"
DEAD = "dead"


class Event(NamedTuple):
    """One update of a call that settled some, noted failures, or changed dead letters."""

    call: str
    update_id: int
    chat: str


@dataclass
class Promise:
    """What had been told when the power went."""

    pushes: list[tuple[list[int], int]] = field(default_factory=list)
    """Ids and offset of each push that had begun."""
    returned: int = 0
    """How many of these had returned."""
    chats: dict[int, str] = field(default_factory=dict)
    """By update, whether its push had returned or not."""
    given: set[int] = field(default_factory=set)
    """What was given out."""
    events: list[Event] = field(default_factory=list)
    """In the order of the calls, those included that had not returned."""
    told: int = 0
    """How many of these had been told to be done."""
    synced: int = 0
    """How many of these had been told to be durable."""

    @classmethod
    def of(cls, notes: list[Any]) -> Promise:
        """Read the notes before the cut."""
        promise = cls()
        to_be_synced = 0
        for stage, call, details in notes:
            if call == "push" and stage == "begin":
                promise.pushes.append((details["ids"], details["offset"]))
                promise.chats.update(zip(details["ids"], details["chats"], strict=True))
            elif call == "push":
                promise.returned += 1
            elif call == "given":
                promise.given.update(details)
            elif call == "sync" and stage == "begin":
                to_be_synced = promise.told
            elif call == "sync":
                promise.synced = to_be_synced
            elif call == "open":
                continue
            elif stage == "begin":
                promise.events += [Event(call, *detail) for detail in details]
            else:
                promise.told = len(promise.events)
        return promise


@dataclass
class Report:
    """What was found after a cut."""

    about: str = ""
    damage: str = ""
    """Why the file cannot be used."""
    lost: list[str] = field(default_factory=list)
    """Pushes that had returned and are not there."""
    wrong: list[str] = field(default_factory=list)
    """Other promises that are broken."""
    replays: int = 0
    """Updates that had been settled and are handled again."""
    posing: int = 0
    """Updates that were given out and come back as if for the first time."""

    def is_kept(self) -> bool:
        """Tell whether nothing is damaged, lost or wrong."""
        return not (self.damage or self.lost or self.wrong)


@dataclass
class Found:
    """What a store gives back."""

    offset: int | None
    claims: dict[int, Claim]
    letters: dict[int, DeadLetter]
    sessions: dict[str, Value]
    seen: set[int]

    def state(self, update_id: int) -> str:
        """Return GONE, DEAD or how often it has failed; of an update that was taken."""
        if update_id in self.claims:
            return str(self.claims[update_id].failures)
        return DEAD if update_id in self.letters else GONE

    def session(self, chat: str) -> str:
        """Return version, count and last update of a chat."""
        value = self.sessions.get(chat)
        if value is None:
            return "none"
        session = json.loads(value.value)
        return f"{value.version} {session['count']} {session['last']}"


def damage_of(path: Path) -> str:
    """Return what SQLite's own check finds wrong; call it on a copy."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            return "" if verdict == "ok" else str(verdict)
    except sqlite3.Error as error:
        return repr(error)


def check(path: Path, promise: Promise) -> Report:
    """Open the store that the power cut left, compare it with what was promised, and work with it."""
    report = Report()
    store = None
    try:
        store = SqliteStore(str(path))
        found = _find(store, promise, report)
        _check_pushes(found, promise, report)
        _check_events(found, promise, report)
        _go_on(store, found, report)
        store.close()
    except Exception:  # what a damaged file leads to has no bounds
        report.damage = traceback.format_exc()
        if store is not None:
            with suppress(Exception):
                store.close()
    return report


def _find(store: SqliteStore, promise: Promise, report: Report) -> Found:
    claims: dict[int, Claim] = {}
    last: dict[str, int] = {}
    while given := store.claim(ALL, chain=ALL):
        for claim in given:
            update_id = claim.update["update_id"]
            if update_id in claims or last.get(claim.keys[0], 0) >= claim.seq:
                report.wrong.append(f"update {update_id} is given out twice, or out of order")
            claims[update_id], last[claim.keys[0]] = claim, claim.seq
    letters = {letter.update_id: letter for letter in store.dead.list(limit=ALL)}
    sessions = dict(store.load(sorted(set(promise.chats.values()))))
    offset = store.offset
    ids = [update_id for batch, _ in promise.pushes for update_id in batch]
    places = store.push([Arrival({"update_id": update_id}, ("again",)) for update_id in ids]).places
    seen = {update_id for update_id, place in zip(ids, places, strict=True) if place == SEEN}
    return Found(offset, claims, letters, sessions, seen)


def _check_pushes(found: Found, promise: Promise, report: Report) -> None:
    ended = {event.update_id for event in promise.events if event.call in ("settle", "drop")}
    offset: int | None = None
    for number, (ids, offset_after) in enumerate(promise.pushes):
        seen = found.seen.intersection(ids)
        if number < promise.returned:
            report.lost += [f"update {update_id} is accepted again" for update_id in ids if update_id not in seen]
        if seen and len(seen) < len(ids):
            report.wrong.append(f"of a push of {len(ids)} only {len(seen)} are there")
        for update_id in seen - ended:
            if found.state(update_id) == GONE:
                report.lost.append(f"update {update_id} is neither there nor settled")
        if seen:
            offset = offset_after
    if found.offset != offset:
        report.wrong.append(f"the offset is {found.offset} and not {offset}")
    if promise.returned and (found.offset or 0) < promise.pushes[promise.returned - 1][1]:
        report.lost.append(f"the offset {found.offset} is behind")
    for update_id, claim in found.claims.items():
        if update_id not in found.seen or claim.keys != (promise.chats[update_id],):
            report.wrong.append(f"update {update_id} is given out, though never accepted, or with other keys")
        report.posing += update_id in promise.given and claim.attempt == 1


def _check_events(found: Found, promise: Promise, report: Report) -> None:
    """Look for the moment to which all that is found belongs: the last one, if there are several."""
    is_state = {update_id: found.state(update_id) for update_id in found.seen}
    is_session = {chat: found.session(chat) for chat in promise.chats.values()}
    differing: set[int | str] = {update_id for update_id, state in is_state.items() if state != "0"}
    differing.update(chat for chat, session in is_session.items() if session != "none")
    failures: dict[int, int] = {}
    counts: dict[str, int] = {}
    nearest, fewest = 0, sorted(differing, key=str)
    for place, (call, update_id, chat) in enumerate(promise.events, 1):
        if call == "settle":
            counts[chat] = count = counts.get(chat, 0) + 1
            _compare(differing, chat, is_session[chat] == f"{count} {count} {update_id}")
        failures[update_id] = failures.get(update_id, 0) + 1 if call == "fail" else 0
        state = {"settle": GONE, "drop": GONE, "bury": DEAD}.get(call, str(failures[update_id]))
        if update_id in is_state:
            _compare(differing, update_id, is_state[update_id] == state)
        if len(differing) <= len(fewest):
            nearest, fewest = place, sorted(differing, key=str)
    if fewest:
        shown = {name: is_state[name] if isinstance(name, int) else is_session[name] for name in fewest[:5]}
        report.wrong.append(f"no moment of the past: beside event {nearest}, {len(fewest)} differ, such as {shown}")
    if nearest < promise.synced:
        report.wrong.append(f"this is the moment after event {nearest}, but {promise.synced} were synced")
    report.replays = sum(event.call in ("settle", "bury") for event in promise.events[nearest : promise.told])


def _compare(differing: set[int | str], name: int | str, is_same: bool) -> None:
    if is_same:
        differing.discard(name)
    else:
        differing.add(name)


def _go_on(store: SqliteStore, found: Found, report: Report) -> None:
    """Settle what was given out, with its sessions, make it durable and look whether nothing is left."""
    versions = {chat: value.version for chat, value in found.sessions.items()}
    settlements = []
    for claim in sorted(found.claims.values(), key=lambda claim: claim.seq):
        (chat,) = claim.keys
        version = versions.get(chat, 0)
        settlements.append(Settlement(claim.seq, claim.token, [Write(chat, version, b"{}")]))
        versions[chat] = version + 1
    if any(verdict is not Verdict.OK for verdict in store.settle(settlements)):
        report.wrong.append("what was given out cannot be settled")
    store.sync()
    retried = sum(letter.is_retried for letter in found.letters.values())
    while store.tend():
        pass
    counts = store.counts()
    left = [claim for claim in store.claim(ALL, chain=ALL) if claim.keys != ("again",)]
    if len(left) != retried or counts.dead != len(found.letters) - retried:
        report.wrong.append(f"after all was settled {counts} and {left} are left")
