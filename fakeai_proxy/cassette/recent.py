"""The recordings that are not sealed: the last ones as objects, those before them in columns.

An object with its places in the dicts takes 1 kB, a row of the columns 100 bytes. Columns are sorted once
and then only read; there are few sets of them, each several times as large as the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fakeai_proxy.cassette.columns import in_columns
from fakeai_proxy.cassette.entries import Chain, Entry, Rows
from fakeai_proxy.cassette.frames import INTERRUPTED, UNMATCHABLE, Label
from fakeai_proxy.cassette.sealed import SealedIndex

#: So many are objects.
RECENT_MAX = 8_192
#: Columns that are not so many times as long as what comes to them are sorted again with it.
_RATIO = 4


@dataclass(slots=True)
class Recent:
    """Read by other threads while one adds to it: every step is one operation on a dict or a list, and
    another takes its place when it is `packed`."""

    runs: tuple[SealedIndex, ...] = ()
    live: list[Entry] = field(default_factory=list)
    by_id: dict[int, Entry] = field(default_factory=dict)
    by_key: dict[bytes, list[Entry]] = field(default_factory=dict)
    by_route: dict[int, list[Entry]] = field(default_factory=dict)
    #: The canonical keys of raw ones: of these, and of what else was asked for.
    canonical: dict[bytes, bytes] = field(default_factory=dict)
    #: Of recordings in columns, what was asked for before.
    looked_up: dict[bytes, list[Entry]] = field(default_factory=dict)

    def link(self, entry: Entry, interrupted: bool) -> None:
        """Have it found; `interrupted`: even where it stops short."""
        label = entry.label
        if label.flags & UNMATCHABLE or (label.flags & INTERRUPTED and not interrupted):
            return
        self.by_route.setdefault(label.route, []).append(entry)
        self.link_key(entry)

    def link_key(self, entry: Entry) -> None:
        label = entry.label
        keys = [label.key]
        if label.authority:
            keys.append(label.key + label.authority.to_bytes(8, "big"))
        for key in keys:
            self.by_key.setdefault(key, []).append(entry)
        self.canonical[label.raw_key] = label.key

    def replace(self, before: Entry, entry: Entry, interrupted: bool) -> None:
        """In all lists; each is looked at by other threads meanwhile."""
        self.by_id[entry.label.id] = entry
        linked = False
        for entries in self._lists(before.label):
            if before in entries:
                linked |= entries is not self.live
                entries[entries.index(before)] = entry
        if not linked:  # it was interrupted, and is not now
            self.link(entry, interrupted)
        elif before.label.key != entry.label.key:  # it was found by a lenient key
            self.link_key(entry)

    def unlink(self, entry: Entry) -> None:
        self.by_id.pop(entry.label.id, None)
        for entries in self._lists(entry.label):
            if entry in entries:
                entries.remove(entry)

    def _lists(self, label: Label) -> list[list[Entry]]:
        """All that an entry with this label may be in."""
        keys = label.key, label.key + label.authority.to_bytes(8, "big")
        linked = [self.by_key.get(key, []) for key in keys]
        return [self.live, self.by_route.get(label.route, []), *linked]

    def packed(self) -> Recent:
        """The same with all in columns."""
        kept, size = list(self.runs), len(self.live)
        while kept and kept[-1].rows < _RATIO * size:
            size += kept.pop().rows
        own = {entry.label.raw_key for entry in self.live}
        known = {raw: key for raw, key in self.canonical.items() if raw not in own}
        run = in_columns(self.runs[len(kept) :], self.live)
        return Recent((*kept, run), canonical=known)

    def unpacked(self, interrupted: bool) -> Recent:
        """The same with all as objects."""
        found = Recent(canonical=self.canonical)
        for entry in (*Chain([Rows(run, run.recorded()) for run in self.runs]), *self.live):
            found.live.append(entry)
            found.by_id[entry.label.id] = entry
            found.link(entry, interrupted)
        return found
