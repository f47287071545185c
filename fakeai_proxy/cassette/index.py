"""Which recordings answer a key: raw key -> canonical key -> entries in recorded order.

Holds labels and places only; it never sees a body. What is sealed is looked up in columns on the disk
(`sealed.py`); the rest is filled by the scan at opening and by the writer's thread, and read on the
event loop: every step is one operation on a dict or a list.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, overload

from fakeai_proxy.cassette import frames
from fakeai_proxy.cassette.format import Drop, Head, Interaction, Open, Record
from fakeai_proxy.cassette.frames import AGAIN, INTERRUPTED, UNMATCHABLE, Label, Place
from fakeai_proxy.cassette.matching import (
    authority_hash,
    canonical_body,
    hash64,
    key_of,
    nearest,
    raw_key,
    route_hash,
    simhash,
)
from fakeai_proxy.cassette.sealed import SealedIndex

if TYPE_CHECKING:
    from fakeai_proxy.cassette.segments import Segment

#: Recordings of one route that are looked at for the nearest ones.
COMPARED_MAX = 50_000
#: Requests whose bytes differ from those recorded, and are known to mean the same.
REMEMBERED_MAX = 65_536
#: Keys whose entries are kept, some 600 bytes each, and how many entries of a key may be.
LOOKED_UP_MAX = 16_384
_KEPT_ROWS_MAX = 4
_NO_KEY = bytes(16)


@dataclass(slots=True, eq=False)
class Entry:
    segment: Segment
    label: Label
    place: Place


@dataclass(slots=True)
class Index:
    """`interrupted`: whether replies that stop short are matched too. Sealed recordings come before
    the others, and are looked up in their own files."""

    interrupted: bool = False
    #: Opened and never closed, by id.
    opened: dict[int, Entry] = field(default_factory=dict)
    dropped: int = 0
    #: How many took another's place.
    again: int = 0
    _sealed: list[SealedIndex] = field(default_factory=list)
    _live: list[Entry] = field(default_factory=list)
    _by_id: dict[int, Entry] = field(default_factory=dict)
    _canonical: dict[bytes, bytes] = field(default_factory=dict)
    _by_key: dict[bytes, list[Entry]] = field(default_factory=dict)
    _by_route: dict[int, list[Entry]] = field(default_factory=dict)
    #: Of sealed ones, what was asked for before.
    _looked_up: dict[bytes, list[Entry]] = field(default_factory=dict)

    @property
    def entries(self) -> Sequence[Entry]:
        """In recorded order."""
        if not self._sealed:
            return self._live
        return Chain([*(Rows(sealed, sealed.recorded()) for sealed in self._sealed), self._live])

    def as_stored(self) -> Iterator[tuple[int, Entry]]:
        """All, each with its number in recorded order, in the order in which they lie on the disk: the
        quickest to read them all."""
        start = 0
        for sealed in self._sealed:
            rows = sealed.recorded()
            for number in sealed.as_stored():
                yield start + number, _entry(sealed, rows[number])
            start += len(rows)
        yield from enumerate(self._live, start)

    def counts(self) -> Counter[Segment]:
        """How many interactions each segment has; in any thread."""
        found = Counter(entry.segment for entry in list(self._live))
        for sealed in self._sealed:
            found.update(sealed.counts)
        return found

    def add_sealed(self, sealed: SealedIndex) -> None:
        for first in self._sealed:
            for row in first.again:
                other = sealed.with_id(first.label(row).id)
                if other is not None:
                    sealed.instead[other] = _entry(first, row)
        self._sealed.append(sealed)
        for entry in [one for one in self._live if one.label.flags & AGAIN]:
            if self._has_place(entry, None):
                self._unlink(entry)
        for entry in Rows(sealed, sealed.opened):
            self.opened[entry.label.id] = entry

    def renewed(
        self, before: SealedIndex | None, after: SealedIndex, gone: Collection[Segment]
    ) -> Index:
        """One of the same recordings, of which those in the segments that are `gone` are found in
        `after`, which takes the place of `before`."""
        fresh = Index(self.interrupted, dropped=self.dropped)
        instead = [] if before is None else list(before.instead.values())
        for sealed in (after, *(one for one in self._sealed if one is not before)):
            for row, entry in sealed.instead.items():
                moved = after.with_id(entry.label.id) if entry.segment in gone else None
                if moved is not None:
                    sealed.instead[row] = _entry(after, moved)
            fresh.again += len(sealed.instead)
            fresh.add_sealed(sealed)
        for entry in (*self._live, *instead, *self.opened.values()):
            if entry.segment not in gone and entry.label.kind in (frames.OPEN, frames.CLOSE):
                fresh.add(entry.segment, entry.label, entry.place)
        return fresh

    def add(self, segment: Segment, label: Label, place: Place) -> None:
        if label.kind == frames.OPEN:
            self.opened[label.id] = Entry(segment, label, place)
        elif label.kind == frames.DROP:
            self.dropped += 1
            self.opened.pop(label.id, None)
        elif label.kind == frames.CLOSE:
            self.opened.pop(label.id, None)
            before = self._by_id.get(label.id)
            if before is not None and before.segment is segment and not label.flags & AGAIN:
                # A reply that went on after what looked like its end was written once more.
                before.label, before.place = label, place
                return
            entry = Entry(segment, label, place)
            if self._has_place(entry, before):
                return
            self._live.append(entry)
            self._by_id[label.id] = entry
            self._link(entry)

    def _has_place(self, entry: Entry, before: Entry | None) -> bool:
        """Whether one of the two was asked again, and so has the place of the other."""
        label = entry.label
        if before is not None:
            if label.flags & AGAIN:
                self._replace(before, entry)
            # Of several cassettes the first is the one that is recorded into.
            return bool((label.flags | before.label.flags) & AGAIN)
        if not label.flags & AGAIN:
            return any(
                (row := sealed.with_id(label.id)) is not None and row in sealed.again
                for sealed in self._sealed
                if sealed.again
            )
        found = False
        for sealed in self._sealed:
            row = sealed.with_id(label.id)
            if row is not None:
                sealed.instead[row] = entry
                self._looked_up.clear()
                self.again += 1
                found = True
                if sealed.label(row).key != label.key:
                    self._link_key(entry)
        return found

    def _replace(self, before: Entry, entry: Entry) -> None:
        """In all lists; each is looked at by other threads meanwhile."""
        self._by_id[entry.label.id] = entry
        linked = False
        for entries in self._lists(before.label):
            if before in entries:
                linked |= entries is not self._live
                entries[entries.index(before)] = entry
        self.again += 1
        if not linked:  # it was interrupted, and is not now
            self._link(entry)
        elif before.label.key != entry.label.key:  # it was found by a lenient key
            self._link_key(entry)

    def _unlink(self, entry: Entry) -> None:
        del self._by_id[entry.label.id]
        for entries in self._lists(entry.label):
            if entry in entries:
                entries.remove(entry)

    def _lists(self, label: Label) -> list[list[Entry]]:
        """All that an entry with this label may be in."""
        keys = label.key, label.key + label.authority.to_bytes(8, "big")
        linked = [self._by_key.get(key, []) for key in keys]
        return [self._live, self._by_route.get(label.route, []), *linked]

    def latest(self, entry: Entry) -> Entry:
        """The same recording, or what was recorded in its place."""
        return (self.by_id(entry.label.id) or entry) if self.again else entry

    def canonical(self, raw: bytes) -> bytes | None:
        """The canonical key of a raw key that was seen."""
        found = self._canonical.get(raw)
        if found is None:
            for sealed in self._sealed:
                found = sealed.key_of(raw)
                if found is not None:
                    if len(self._canonical) < 4 * len(self._live) + REMEMBERED_MAX:
                        self._canonical[raw] = found
                    break
        return found

    def remember(self, raw: bytes, key: bytes) -> None:
        """Spare the next request with these bytes the canonical key; only of keys that are here."""
        if len(self._canonical) < 4 * len(self._live) + REMEMBERED_MAX and (
            key in self._by_key or any(len(sealed.with_key(key, 0)) for sealed in self._sealed)
        ):
            self._canonical[raw] = key

    def matching(self, key: bytes, authority: int) -> Sequence[Entry]:
        """In recorded order; of every authority when `authority` is 0."""
        where = key + authority.to_bytes(8, "big") if authority else key
        live = self._by_key.get(where, [])
        if not self._sealed:
            return live
        if not live and (known := self._looked_up.get(where)) is not None:
            return known
        parts: list[Sequence[Entry]] = []
        for sealed in self._sealed:
            rows = sealed.with_key(key, authority)
            if rows and not self.interrupted:
                rows = sealed.whole(rows)
            if rows:
                parts.append(Rows(sealed, rows))
        if live:
            parts.append(live)
        found = parts[0] if len(parts) == 1 else Chain(parts)
        if not live and 0 < len(found) <= _KEPT_ROWS_MAX:
            found = list(found)
            if len(self._looked_up) >= LOOKED_UP_MAX:
                self._looked_up.clear()
            self._looked_up[where] = found
        return found

    def of_route(self, route: int) -> Sequence[Entry]:
        """All that may be matched, in recorded order."""
        live = self._by_route.get(route, [])
        parts: list[Sequence[Entry]] = []
        for sealed in self._sealed:
            rows = [row for _, row in sealed.last(route, sealed.rows)
                    if self.interrupted or not sealed.is_interrupted(row)]  # fmt: skip
            parts.append(Rows(sealed, rows))
        return Chain([*parts, live]) if parts else live

    def was_interrupted(self, key: bytes) -> bool:
        """Whether a reply to this stops short."""
        live = self._live[-COMPARED_MAX:]
        return any(
            sealed.is_interrupted(row) for sealed in self._sealed for row in sealed.with_key(key, 0)
        ) or any(
            entry.label.key == key and entry.label.flags & ~AGAIN == INTERRUPTED for entry in live
        )

    def nearest(self, route: int | None, simhash: int, count: int) -> list[Entry]:
        """Recordings of the route, or of any, the most alike first."""
        found: list[tuple[int, SealedIndex | Entry, int]] = []
        for sealed in self._sealed:
            found += [(likeness, sealed, row) for likeness, row in sealed.last(route, COMPARED_MAX)
                      if self.interrupted or not sealed.is_interrupted(row)]  # fmt: skip
        live = self._live if route is None else self._by_route.get(route, [])
        found += [(entry.label.simhash, entry, 0) for entry in live[-COMPARED_MAX:]
                  if not entry.label.flags & UNMATCHABLE]  # fmt: skip
        alike = nearest(
            ((likeness, (where, row)) for likeness, where, row in found), simhash, count
        )
        return [where if isinstance(where, Entry) else _entry(where, row) for where, row in alike]

    def by_id(self, number: int) -> Entry | None:
        for sealed in self._sealed:
            row = sealed.with_id(number)
            if row is not None:
                return self.opened.get(number) or _entry(sealed, row)
        return self._by_id.get(number) or self.opened.get(number)

    def close(self) -> None:
        for sealed in self._sealed:
            sealed.close()
        self._sealed.clear()

    def _link(self, entry: Entry) -> None:
        label = entry.label
        if label.flags & UNMATCHABLE or (label.flags & INTERRUPTED and not self.interrupted):
            return
        self._by_route.setdefault(label.route, []).append(entry)
        self._link_key(entry)

    def _link_key(self, entry: Entry) -> None:
        label = entry.label
        keys = [label.key]
        if label.authority:
            keys.append(label.key + label.authority.to_bytes(8, "big"))
        for key in keys:
            self._by_key.setdefault(key, []).append(entry)
        self._canonical[label.raw_key] = label.key


def _entry(sealed: SealedIndex, row: int) -> Entry:
    if sealed.instead and (again := sealed.instead.get(row)) is not None:
        return again
    return Entry(sealed.segment(row), sealed.label(row), sealed.place(row))


class Rows(Sequence[Entry]):
    """Entries of a sealed index, made when they are looked at."""

    def __init__(self, sealed: SealedIndex, rows: Sequence[int]) -> None:
        self._sealed, self._rows = sealed, rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | Sequence[Entry]:
        if isinstance(index, slice):
            return Rows(self._sealed, self._rows[index])
        return _entry(self._sealed, self._rows[index])


class Chain(Sequence[Entry]):
    """Several sequences, one after the other."""

    def __init__(self, parts: Sequence[Sequence[Entry]]) -> None:
        self._parts = parts
        self._ends = list(accumulate(len(part) for part in parts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | Sequence[Entry]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(index)
        part = bisect_right(self._ends, place)
        return self._parts[part][place - (self._ends[part - 1] if part else 0)]


def number_of(record_id: str) -> int:
    """The id as 64 bits; ids of other programs are hashed."""
    try:
        return int(record_id, 16) if len(record_id) == 16 else hash64(record_id.encode())
    except ValueError:
        return hash64(record_id.encode())


def label_of(record: Record) -> Label:
    """What the index needs of a record. Keys that are absent, as in a record written by hand, are
    computed from the request."""
    if isinstance(record, Interaction):
        return _label(record)
    if isinstance(record, Open):
        return Label(frames.OPEN, number_of(record.id),
                     route=route_hash(record.request.method, record.request.target))  # fmt: skip
    if isinstance(record, Drop):
        return Label(frames.DROP, number_of(record.id))
    return Label(frames.HEAD if isinstance(record, Head) else frames.OTHER, 0)


def _label(record: Interaction) -> Label:
    request = record.request
    raw, key, likeness = record.raw_key, record.key, record.simhash
    if not key and isinstance(request.body, bytes):
        canonical = canonical_body(request.headers, request.body)
        raw = raw_key(request.method, request.target, request.headers, request.body)
        key = key_of(request.method, request.target, request.headers, canonical)
        likeness = simhash(canonical)
    flags = 0 if record.whole else INTERRUPTED
    withheld = record.response is None or record.response.withheld
    if withheld or not request.complete or not key or key == _NO_KEY:
        flags |= UNMATCHABLE
    if record.extra.get("again"):
        flags |= AGAIN
    return Label(
        frames.CLOSE,
        number_of(record.id),
        flags,
        raw or _NO_KEY,
        key or _NO_KEY,
        authority_hash(record.upstream.partition("://")[2]),
        route_hash(request.method, request.target),
        likeness,
    )
