"""Which recordings answer a key: raw key -> canonical key -> entries in recorded order.

Holds labels and places only; it never sees a body. What is sealed is looked up in columns on the disk
(`sealed.py`); the rest is filled by the scan at opening and by the writer's thread, and read on the
event loop: every step is one operation on a dict or a list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fakeai_proxy.cassette import frames
from fakeai_proxy.cassette.entries import Chain, Entry, Rows, entry_of
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
from fakeai_proxy.cassette.recent import RECENT_MAX, Recent
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
    #: What is not sealed.
    _recent: Recent = field(default_factory=Recent)
    recent_max: int = RECENT_MAX

    def _stored(self) -> list[SealedIndex]:
        """All that is in columns, in recorded order."""
        return [*self._sealed, *self._recent.runs]

    @property
    def entries(self) -> Sequence[Entry]:
        """In recorded order."""
        recent = self._recent
        if not self._sealed and not recent.runs:
            return recent.live
        stored = (*self._sealed, *recent.runs)
        return Chain([*(Rows(one, one.recorded()) for one in stored), recent.live])

    def marks(self) -> Iterator[tuple[int, int]]:
        """Ids and flags of all `entries`: a tenth of the work."""
        recent = self._recent
        for stored in (*self._sealed, *recent.runs):
            yield from stored.marks()
        for entry in recent.live:
            yield entry.label.id, entry.label.flags

    def as_stored(self) -> Iterator[tuple[int, Entry]]:
        """All, each with its number in recorded order, in the order in which they lie on the disk: the
        quickest to read them all."""
        start, recent = 0, self._recent
        for sealed in (*self._sealed, *recent.runs):
            rows = sealed.recorded()
            for number in sealed.as_stored():
                yield start + number, entry_of(sealed, rows[number])
            start += len(rows)
        yield from enumerate(recent.live, start)

    def counts(self) -> Counter[Segment]:
        """How many interactions each segment has; in any thread."""
        recent = self._recent
        found = Counter(entry.segment for entry in list(recent.live))
        for sealed in (*self._sealed, *recent.runs):
            found.update(sealed.counts)
            for row, entry in list(sealed.instead.items()):
                found[sealed.segment(row)] -= 1
                found[entry.segment] += 1
        return +found

    def add_sealed(self, sealed: SealedIndex) -> None:
        if any(run.again or run.instead for run in self._recent.runs):
            self._recent = self._recent.unpacked(self.interrupted)
        for first in self._sealed:
            for row in first.again:
                other = sealed.with_id(first.label(row).id)
                if other is not None:
                    sealed.instead[other] = entry_of(first, row)
        self._sealed.append(sealed)
        for entry in [one for one in self._recent.live if one.label.flags & AGAIN]:
            if self._has_place(entry, None):
                self._recent.unlink(entry)
        for entry in Rows(sealed, sealed.opened):
            self.opened[entry.label.id] = entry

    def renewed(
        self, before: SealedIndex | None, after: SealedIndex, gone: Collection[Segment]
    ) -> Index:
        """One of the same recordings, of which those in the segments that are `gone` are found in
        `after`, which takes the place of `before`."""
        fresh, recent = (
            Index(self.interrupted, dropped=self.dropped, recent_max=self.recent_max),
            self._recent,
        )
        instead = [] if before is None else list(before.instead.values())
        for sealed in (after, *(one for one in self._sealed if one is not before)):
            for row, entry in sealed.instead.items():
                moved = after.with_id(entry.label.id) if entry.segment in gone else None
                if moved is not None:
                    sealed.instead[row] = entry_of(after, moved)
            fresh.again += len(sealed.instead)
            fresh.add_sealed(sealed)
        packed = (entry_of(run, row) for run in recent.runs for row in run.outside(gone))
        for entry in (*packed, *recent.live, *instead, *self.opened.values()):
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
            recent, before = self._recent, self._recent.by_id.get(label.id)
            entry = Entry(segment, label, place)
            if not label.flags & AGAIN and self._went_on(entry, before):
                return
            if self._has_place(entry, before):
                return
            recent.live.append(entry)
            recent.by_id[label.id] = entry
            recent.link(entry, self.interrupted)
            if len(recent.live) >= self.recent_max:
                self._pack()

    def _pack(self) -> None:
        packed = self._recent.packed()
        for stored in (*self._sealed, *packed.runs):
            for row, entry in stored.instead.items():
                self._link_again(packed, stored.label(row), entry)
        self._recent = packed

    def _went_on(self, entry: Entry, before: Entry | None) -> bool:
        """Whether a reply that went on after what looked like its end was written once more."""
        if before is not None:
            if before.segment is not entry.segment:
                return False
            before.label, before.place = entry.label, entry.place
            return True
        for run in self._recent.runs:
            row = run.with_id(entry.label.id)
            if row is not None and entry_of(run, row).segment is entry.segment:
                run.instead[row] = entry
                self._recent.looked_up.clear()
                return True
        return False

    def _has_place(self, entry: Entry, before: Entry | None) -> bool:
        """Whether one of the two was asked again, and so has the place of the other."""
        label = entry.label
        if before is not None:
            if label.flags & AGAIN:
                self._recent.replace(before, entry, self.interrupted)
                self.again += 1
            # Of several cassettes the first is the one that is recorded into.
            return bool((label.flags | before.label.flags) & AGAIN)
        if not label.flags & AGAIN:
            return any(
                (row := stored.with_id(label.id)) is not None
                and entry_of(stored, row).label.flags & AGAIN
                for stored in self._stored()
                if stored.again or stored.instead
            )
        found = False
        for sealed in self._stored():
            row = sealed.with_id(label.id)
            if row is not None:
                if (earlier := sealed.instead.get(row)) is not None:
                    self._recent.unlink(earlier)
                sealed.instead[row] = entry
                self._recent.looked_up.clear()
                self.again += 1
                found = True
                self._link_again(self._recent, sealed.label(row), entry)
        return found

    def _link_again(self, recent: Recent, before: Label, entry: Entry) -> None:
        """Have it found by what is not that of the row whose place it has."""
        if before.flags & UNMATCHABLE:
            recent.link(entry, self.interrupted)
        elif before.key != entry.label.key:  # it was found by a lenient key
            recent.link_key(entry)

    def latest(self, entry: Entry) -> Entry:
        """The same recording, or what was recorded in its place."""
        return (self.by_id(entry.label.id) or entry) if self.again else entry

    def canonical(self, raw: bytes) -> bytes | None:
        """The canonical key of a raw key that was seen."""
        recent = self._recent
        found = recent.canonical.get(raw)
        if found is None:
            for stored in (*self._sealed, *recent.runs):
                found = stored.key_of(raw)
                if found is not None:
                    if len(recent.canonical) < 4 * len(recent.live) + REMEMBERED_MAX:
                        recent.canonical[raw] = found
                    break
        return found

    def remember(self, raw: bytes, key: bytes) -> None:
        """Spare the next request with these bytes the canonical key; only of keys that are here."""
        recent = self._recent
        if len(recent.canonical) < 4 * len(recent.live) + REMEMBERED_MAX and (
            key in recent.by_key or any(len(one.with_key(key, 0)) for one in self._stored())
        ):
            recent.canonical[raw] = key

    def matching(self, key: bytes, authority: int) -> Sequence[Entry]:
        """In recorded order; of every authority when `authority` is 0."""
        where = key + authority.to_bytes(8, "big") if authority else key
        recent = self._recent
        live = recent.by_key.get(where, [])
        if not self._sealed and not recent.runs:
            return live
        if not live and (known := recent.looked_up.get(where)) is not None:
            return known
        parts: list[Sequence[Entry]] = []
        for sealed in (*self._sealed, *recent.runs):
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
            if len(recent.looked_up) >= LOOKED_UP_MAX:
                recent.looked_up.clear()
            recent.looked_up[where] = found
        return found

    def of_route(self, route: int) -> Sequence[Entry]:
        """All that may be matched, in recorded order."""
        recent = self._recent
        live = recent.by_route.get(route, [])
        parts: list[Sequence[Entry]] = []
        for sealed in (*self._sealed, *recent.runs):
            rows = [row for _, row in sealed.last(route, sealed.rows)
                    if self.interrupted or not sealed.is_interrupted(row)]  # fmt: skip
            parts.append(Rows(sealed, rows))
        return Chain([*parts, live]) if parts else live

    def was_interrupted(self, key: bytes) -> bool:
        """Whether a reply to this stops short."""
        recent = self._recent
        live = recent.live[-COMPARED_MAX:]
        stored = (*self._sealed, *recent.runs)
        return any(
            sealed.is_interrupted(row) for sealed in stored for row in sealed.with_key(key, 0)
        ) or any(
            entry.label.key == key and entry.label.flags & ~AGAIN == INTERRUPTED for entry in live
        )

    def nearest(self, route: int | None, simhash: int, count: int) -> list[Entry]:
        """Recordings of the route, or of any, the most alike first."""
        found: list[tuple[int, SealedIndex | Entry, int]] = []
        recent = self._recent
        for sealed in (*self._sealed, *recent.runs):
            found += [(likeness, sealed, row) for likeness, row in sealed.last(route, COMPARED_MAX)
                      if self.interrupted or not sealed.is_interrupted(row)]  # fmt: skip
        live = recent.live if route is None else recent.by_route.get(route, [])
        refused = UNMATCHABLE if self.interrupted else UNMATCHABLE | INTERRUPTED
        found += [(entry.label.simhash, entry, 0) for entry in live[-COMPARED_MAX:]
                  if not entry.label.flags & refused]  # fmt: skip
        alike = nearest(
            ((likeness, (where, row)) for likeness, where, row in found), simhash, count
        )
        return [where if isinstance(where, Entry) else entry_of(where, row) for where, row in alike]

    def by_id(self, number: int) -> Entry | None:
        for sealed in self._sealed:
            row = sealed.with_id(number)
            if row is not None:
                return self.opened.get(number) or entry_of(sealed, row)
        recent = self._recent
        if (found := recent.by_id.get(number)) is not None:
            return found
        for run in reversed(recent.runs):
            row = run.with_id(number)
            if row is not None:
                return entry_of(run, row)
        return self.opened.get(number)

    def close(self) -> None:
        for sealed in self._sealed:
            sealed.close()
        self._sealed.clear()


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
