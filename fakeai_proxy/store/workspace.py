"""Writes worked out in memory, on rows that their database has locked, so that many commits become a
few statements. Knows no database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from fakeai_proxy.store.documents import (
    Change,
    Delete,
    Exists,
    Insert,
    Key,
    Missing,
    Require,
    Row,
    Tally,
    Write,
)
from fakeai_proxy.store.encoding import MINUTE_S, label_text

#: (kind, labels as text, minute, name of the amount).
Count = tuple[str, str, int, str]
#: What a commit found under the keys that it wrote.
_Before = dict[Key, Row | None]
_UNTOUCHED = Row(Key("", "", ""), {}, 0.0)


@dataclass(frozen=True)
class Touched:
    """What a group of commits reads and writes, and so locks."""

    changed: set[Key]
    deleted: set[Key]
    required: set[Key]
    inserted: set[Key]

    @classmethod
    def by(cls, writes: Iterable[Write]) -> Touched:
        keys: dict[type[Write], set[Key]] = {Change: set(), Delete: set(), Require: set()}
        inserted: set[Key] = set()
        for write in writes:
            if isinstance(write, Insert):
                inserted.add(write.row.key)
            elif not isinstance(write, Tally):
                keys[type(write)].add(write.key)
        written = keys[Change] | keys[Delete] | inserted
        return cls(keys[Change], keys[Delete], keys[Require] - written, inserted)


@dataclass
class Workspace:
    """`loaded` are the stored rows of all keys that the commits name, `below` what lies below those that
    they delete, with its sequence. A row without a sequence is to be inserted."""

    loaded: Sequence[Row]
    below: Sequence[tuple[Key, int]] = ()
    counts: Counter[Count] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._rows: dict[Key, Row | None] = {}
        self._stored = {row.key: row.sequence for row in self.loaded} | dict(self.below)
        self._below: dict[str, set[Key]] = {}
        for row in self.loaded:
            self._set(row.key, row)
        for key, _ in self.below:
            self._below.setdefault(key.parent, set()).add(key)

    def commit(self, writes: Sequence[Write], now: float) -> list[Row | None]:
        """All or none. Rows that are to be inserted have no sequence yet. Raises what a commit raises."""
        before: _Before = {}
        counts: Counter[Count] = Counter()
        done = False
        try:
            rows = [self._apply(write, now, before, counts) for write in writes]
            done = True
        finally:
            if not done:
                self._undo(before)
        self.counts.update(counts)
        return rows

    def _undo(self, before: _Before) -> None:
        for key, row in before.items():
            if row is _UNTOUCHED:
                self._rows.pop(key, None)
            else:
                self._rows[key] = row

    # --- what came of it ---------------------------------------------------------------------------

    def removed(self) -> list[int]:
        """Sequences of the stored rows that are no more."""
        return [
            sequence
            for key, sequence in self._stored.items()
            if key in self._rows and not self._is_stored(self._rows[key])
        ]

    def inserted(self) -> list[Row]:
        """In their order."""
        return [row for row in self._rows.values() if row is not None and row.sequence == 0]

    def updated(self) -> Iterator[tuple[Row, Row]]:
        """(before, after) of the stored rows that are others."""
        for before in self.loaded:
            after = self._rows[before.key]
            if after is not None and after.sequence and after.version != before.version:
                yield before, after

    # --- one write ---------------------------------------------------------------------------------

    def _apply(
        self, write: Write, now: float, before: _Before, counts: Counter[Count]
    ) -> Row | None:
        match write:
            case Insert(row):
                if self._alive(row.key, now) is not None:
                    raise Exists(row.key)
                return self._put(replace(row, sequence=0, version=1), before)
            case Change(key, function):
                row = self._required(key, now)
                after = replace(
                    function(row),
                    key=row.key,
                    sequence=row.sequence,
                    version=row.version + 1,
                    created_at=row.created_at,
                )
                return self._put(after, before)
            case Require(key):
                return self._required(key, now)
            case Delete(key):
                self._required(key, now)
                for gone in [key, *self._all_below(key.path)]:
                    before.setdefault(gone, self._rows.get(gone, _UNTOUCHED))
                    self._rows[gone] = None
            case Tally(kind, at, labels, amounts):
                text, minute = label_text(labels), int(at) // MINUTE_S
                for name, amount in amounts.items():
                    counts[kind, text, minute, name] += amount
        return None

    def _put(self, row: Row, before: _Before) -> Row:
        before.setdefault(row.key, self._rows.get(row.key, _UNTOUCHED))
        self._set(row.key, row)
        return row

    def _set(self, key: Key, row: Row) -> None:
        if row.sequence == 0 and row.version == 1:
            self._rows.pop(key, None)  # the order of the dictionary is that of insertion
        self._rows[key] = row
        self._below.setdefault(key.parent, set()).add(key)

    def _alive(self, key: Key, now: float) -> Row | None:
        row = self._rows.get(key)
        if row is None or (row.expires_at is not None and row.expires_at <= now):
            return None
        return row

    def _required(self, key: Key, now: float) -> Row:
        row = self._alive(key, now)
        if row is None:
            raise Missing(key)
        return row

    def _all_below(self, path: str) -> Iterator[Key]:
        for parent, keys in self._below.items():
            if parent == path or parent.startswith(path + "/"):
                yield from keys

    @staticmethod
    def _is_stored(row: Row | None) -> bool:
        return row is not None and row.sequence != 0
