"""A model of a disk at a power cut: from what `record.c` recorded to the files that a restarted machine finds.

**Guarantees**

- What was written to a file before a sync of it began is there, if that sync had returned before the cut.
- Of what was written later, each sector is as it was at some moment since then, and each is so by itself; the file is
  as long as it was at some moment since then. Nothing lies behind a truncation that the file shows.
- The folder is as it was at some moment since its last sync, except that a file which was synced has its name.

**Assumes** that a sector is written as a whole or not at all, and that a machine loses nothing but what is unsynced:
disks that lie are another subject.
"""

from __future__ import annotations

import json
import os
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

HEAD = struct.Struct("=cxHIqQ")
KINDS = {
    b"w": "write",
    b"t": "truncate",
    b"s": "sync begins",
    b"S": "sync ended",
    b"c": "create",
    b"u": "unlink",
    b"r": "rename",
    b"n": "note",
}
UNRECORDED = ("-shm", "-runner")
"""Ends of the names of files that are written through mmap."""

PATTERNS = ("none", "all", "prefix", "random")
"""What became of what was unsynced: nothing or all of it is there, all up to a moment, or the chance decided."""


class Operation(NamedTuple):
    """An entry of the record."""

    kind: str
    name: str
    """Of the file, in its folder; empty for the folder itself."""
    number: int
    offset: int
    data: bytes


class Record:
    """What a program did to the files of a folder, and what it noted in between.

    Args:
        log: what the shim wrote.
        folder: the one that was recorded.
    """

    def __init__(self, log: Path, folder: Path) -> None:
        self.operations = list(_read(log.read_bytes(), os.path.realpath(folder)))

    def notes(self, before: int) -> list[Any]:
        """Return the notes before an operation."""
        return [json.loads(entry.data) for entry in self.operations[:before] if entry.kind == "note"]

    def count(self, kind: str, end: str) -> int:
        """Return how many operations are of this kind and of a file whose name ends so."""
        return sum(entry.kind == kind and entry.name.endswith(end) for entry in self.operations)

    def moments(self, during: str = "") -> list[int]:
        """Return where the power can go: before these operations, none of them a note, and after all.

        Args:
            during: only those between the notes that such a call begins and that it ended.
        """
        found = []
        is_during = not during
        for place, entry in enumerate(self.operations):
            if entry.kind != "note":
                found += [place] * is_during
            elif during:
                stage, call, _ = json.loads(entry.data)
                if call == during:
                    is_during = stage == "begin"
        return found if during else [*found, len(self.operations)]


def _read(log: bytes, folder: str) -> Iterator[Operation]:
    place = 0
    while place < len(log):
        kind, path_size, number, offset, size = HEAD.unpack_from(log, place)
        place += HEAD.size
        path = log[place : place + path_size].decode()
        place += path_size
        data = log[place : place + size]
        place += size
        assert place <= len(log), "the record is cut"
        if kind == b"n":
            yield Operation("note", "", 0, 0, data)
        elif not path.endswith((*UNRECORDED, " (deleted)")):
            if kind == b"r":
                data = data[len(folder) + 1 :]
            yield Operation(KINDS[kind], path[len(folder) + 1 :], number, offset, data)


class Change(NamedTuple):
    """A write, or a truncation if there are no bytes."""

    place: int
    offset: int
    data: bytes | None


@dataclass(eq=False)
class File:
    """A file: what the disk has for sure, and what was done to it since."""

    synced: bytearray = field(default_factory=bytearray)
    recent: list[Change] = field(default_factory=list)

    def sync(self, before: int) -> None:
        """Make durable what was done before an operation."""
        kept = 0
        while kept < len(self.recent) and self.recent[kept].place < before:
            _apply(self.synced, self.recent[kept])
            kept += 1
        del self.recent[:kept]


def _apply(content: bytearray, change: Change) -> None:
    if change.data is None:
        _resize(content, change.offset)
    else:
        end = change.offset + len(change.data)
        _resize(content, max(end, len(content)))
        content[change.offset : end] = change.data


def _resize(content: bytearray, size: int) -> None:
    if size < len(content):
        del content[size:]
    else:
        content.extend(bytes(size - len(content)))


class Renaming(NamedTuple):
    """What the folder says since an operation; None: there is no such file."""

    place: int
    entries: dict[str, File | None]


class Disk:
    """The files of a record up to a moment.

    Args:
        record: what was done.
        cut: the number of operations that were done before the power went.
        torn: how many bytes of the next operation were written as well, if it is a write.
    """

    def __init__(self, record: Record, cut: int, torn: int = 0) -> None:
        self.cut = cut
        self._named: dict[str, File] = {}
        self._synced: dict[str, File] = {}
        self._renamings: list[Renaming] = []
        self._begun: dict[int, int] = {}
        for place, operation in enumerate(record.operations[:cut]):
            self._do(place, operation)
        if torn and cut < len(record.operations) and record.operations[cut].kind == "write":
            last = record.operations[cut]
            self._do(cut, last._replace(data=last.data[:torn]))

    def _do(self, place: int, operation: Operation) -> None:
        kind, name, number, offset, data = operation
        if kind == "create":
            self._rename(place, {name: File()})
        elif kind == "unlink":
            self._rename(place, {name: None})
        elif kind == "rename":
            self._rename(place, {name: None, data.decode(): self._named[name]})
        elif kind == "write":
            self._named[name].recent.append(Change(place, offset, data))
        elif kind == "truncate":
            self._named[name].recent.append(Change(place, offset, None))
        elif kind == "sync begins":
            self._begun[number] = place
        elif kind == "sync ended":
            self._sync(name, self._begun.pop(number))

    def _rename(self, place: int, entries: dict[str, File | None]) -> None:
        self._renamings.append(Renaming(place, entries))
        _enter(self._named, entries)

    def _sync(self, name: str, before: int) -> None:
        if not name:
            for renaming in self._renamings:
                if renaming.place < before:
                    _enter(self._synced, renaming.entries)
            self._renamings = [renaming for renaming in self._renamings if renaming.place >= before]
        elif name in self._named:
            file = self._named[name]
            file.sync(before)
            places = [at.place for at in self._renamings if at.place < before and at.entries.get(name) is file]
            if places:
                self._synced[name] = file
                # What the folder said of this name before is over; what it says of others may still come or not.
                for renaming in self._renamings:
                    if renaming.place <= places[-1]:
                        renaming.entries.pop(name, None)

    def after_the_cut(self, pattern: str, rng: random.Random, sector_bytes: int = 512) -> dict[str, bytes]:
        """Return the contents of the files by name: one of the states that the disk may be in.

        Args:
            pattern: one of `PATTERNS`.
            rng: the chance.
            sector_bytes: what the disk writes at once.
        """
        places = [change.place for file in self._named.values() for change in file.recent]
        until = {
            "none": 0,
            "all": self.cut + 1,
            "prefix": rng.randint(min(places, default=0), self.cut + 1),
            "random": rng.choice([-1, *(renaming.place for renaming in self._renamings), self.cut]) + 1,
        }[pattern]
        named = dict(self._synced)
        for renaming in self._renamings:
            if renaming.place < until:
                _enter(named, renaming.entries)
        density = rng.choice((0.1, 0.5, 0.9))
        found: dict[str, bytes] = {}
        for name, file in sorted(named.items()):
            content = bytearray(file.synced)
            if pattern == "random":
                _write_by_chance(content, file.recent, rng, density, sector_bytes)
            else:
                for change in file.recent:
                    if change.place < until:
                        _apply(content, change)
            found[name] = bytes(content)
        return found


def _enter(named: dict[str, File], entries: dict[str, File | None]) -> None:
    for name, file in entries.items():
        if file is None:
            named.pop(name, None)
        else:
            named[name] = file


class Piece(NamedTuple):
    """A part of a change in one sector."""

    change: int
    offset: int
    data: bytes
    is_cut: bool
    """It belongs to a truncation: there is nothing any more."""


def _write_by_chance(
    content: bytearray, recent: list[Change], rng: random.Random, density: float, sector_bytes: int
) -> None:
    """Bring each sector, and the size, to one of the states that they had; `density` says how many to a late one."""
    sizes = [len(content)]
    sectors: dict[int, list[Piece]] = {}
    longest = len(content)
    for number, change in enumerate(recent, 1):
        if change.data is None:
            data, sizes = bytes(max(longest - change.offset, 0)), [*sizes, change.offset]
        else:
            data = change.data
            sizes.append(max(sizes[-1], change.offset + len(data)))
        longest = max(longest, sizes[-1])
        start = change.offset
        while start < change.offset + len(data):
            end = min(change.offset + len(data), (start // sector_bytes + 1) * sector_bytes)
            part = data[start - change.offset : end - change.offset]
            sectors.setdefault(start // sector_bytes, []).append(Piece(number, start, part, change.data is None))
            start = end
    shown = rng.randint(0, len(recent)) if rng.random() >= density else len(recent)
    _resize(content, longest)
    for _, pieces in sorted(sectors.items()):
        written = len(pieces) if rng.random() < density else rng.randint(0, len(pieces))
        for index, piece in enumerate(pieces):
            # A size from before a truncation never comes with what was written after it, nor the other way round.
            if piece.is_cut:
                written = max(written, index + 1) if piece.change <= shown else min(written, index)
        for piece in pieces[:written]:
            content[piece.offset : piece.offset + len(piece.data)] = piece.data
    _resize(content, sizes[shown])


def write_files(contents: dict[str, bytes], folder: Path) -> None:
    """Make a folder with these files."""
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def leftovers(folder: Path, name: str, rng: random.Random) -> dict[str, bytes]:
    """Return the files beside a store that are written through mmap: of each there may be nothing, or old contents."""
    found: dict[str, bytes] = {}
    for end in UNRECORDED:
        old = folder / (name + end)
        state = rng.choice(("missing", "empty", "zeros", "stale"))
        if state != "missing":
            size = old.stat().st_size if old.exists() else 0
            found[name + end] = {"empty": b"", "zeros": bytes(size), "stale": old.read_bytes() if size else b""}[state]
    return found
