"""Which recordings answer a key: raw key -> canonical key -> entries in recorded order.

Holds labels and places only; it never sees a body. Filled by the scan at opening and by the writer's
thread, read on the event loop: every step is one operation on a dict or a list.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fakeai_proxy.cassette import frames
from fakeai_proxy.cassette.format import Drop, Head, Interaction, Open, Record
from fakeai_proxy.cassette.frames import INTERRUPTED, UNMATCHABLE, Label, Place
from fakeai_proxy.cassette.matching import (
    authority_hash,
    canonical_body,
    hash64,
    key_of,
    raw_key,
    route_hash,
    simhash,
)

if TYPE_CHECKING:
    from fakeai_proxy.cassette.segments import Segment

_NO_KEY = bytes(16)


@dataclass(slots=True, eq=False)
class Entry:
    segment: Segment
    label: Label
    place: Place


@dataclass(slots=True)
class Index:
    """`interrupted`: whether replies that stop short are matched too."""

    interrupted: bool = False
    entries: list[Entry] = field(default_factory=list)
    #: Opened and never closed, by id.
    opened: dict[int, Entry] = field(default_factory=dict)
    dropped: int = 0
    _by_id: dict[int, Entry] = field(default_factory=dict)
    _canonical: dict[bytes, bytes] = field(default_factory=dict)
    _by_key: dict[bytes, list[Entry]] = field(default_factory=dict)
    _by_route: dict[int, list[Entry]] = field(default_factory=dict)

    def add(self, segment: Segment, label: Label, place: Place) -> None:
        if label.kind == frames.OPEN:
            self.opened[label.id] = Entry(segment, label, place)
        elif label.kind == frames.DROP:
            self.dropped += 1
            self.opened.pop(label.id, None)
        elif label.kind == frames.CLOSE:
            self.opened.pop(label.id, None)
            before = self._by_id.get(label.id)
            if before is not None and before.segment is segment:
                # A reply that went on after what looked like its end was written once more.
                before.label, before.place = label, place
                return
            entry = Entry(segment, label, place)
            self.entries.append(entry)
            self._by_id[label.id] = entry
            self._link(entry)

    def canonical(self, raw: bytes) -> bytes | None:
        """The canonical key of a raw key that was seen."""
        return self._canonical.get(raw)

    def remember(self, raw: bytes, key: bytes) -> None:
        """Spare the next request with these bytes the canonical key; only of keys that are here."""
        if key in self._by_key and len(self._canonical) < 4 * len(self.entries) + 1024:
            self._canonical[raw] = key

    def matching(self, key: bytes, authority: int) -> list[Entry]:
        """In recorded order; of every authority when `authority` is 0."""
        found = self._by_key.get(key + authority.to_bytes(8, "big") if authority else key)
        return found if found is not None else []

    def on_route(self, route: int) -> list[Entry]:
        return self._by_route.get(route, [])

    def by_id(self, number: int) -> Entry | None:
        return self._by_id.get(number) or self.opened.get(number)

    def _link(self, entry: Entry) -> None:
        label = entry.label
        if label.flags & UNMATCHABLE or (label.flags & INTERRUPTED and not self.interrupted):
            return
        self._by_route.setdefault(label.route, []).append(entry)
        keys = [label.key]
        if label.authority:
            keys.append(label.key + label.authority.to_bytes(8, "big"))
        for key in keys:
            self._by_key.setdefault(key, []).append(entry)
        self._canonical[label.raw_key] = label.key


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
