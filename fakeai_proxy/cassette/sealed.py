"""The index of a cassette's sealed segments: sorted columns in one file that is mapped, not read.

It is derived: whoever finds it missing or of other segments makes it anew. A look-up touches a few
pages whatever the number of recordings, and nothing of it is held in memory of our own.
"""

from __future__ import annotations

import mmap
import os
import secrets
import struct
import tempfile
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fakeai_proxy.cassette import frames, groups
from fakeai_proxy.cassette.frames import AGAIN, INTERRUPTED, UNMATCHABLE, Label, Place
from fakeai_proxy.errors import CassetteError

if TYPE_CHECKING:
    from fakeai_proxy.cassette.entries import Entry
    from fakeai_proxy.cassette.segments import Segment

NAME = "index.bin"
_MAGIC = b"FCI1"
#: Magic, rows, rows of interrupted replies, digest of what it is of.
_HEADER = struct.Struct("<4s4xQQ32s")
#: Name and type of every column; rows are sorted by key, authority and order.
_COLUMNS: tuple[tuple[str, Literal["Q", "I", "H", "B"]], ...] = (
    ("key_high", "Q"), ("key_low", "Q"), ("authority", "Q"), ("raw_high", "Q"), ("raw_low", "Q"),
    ("route", "Q"), ("simhash", "Q"), ("id", "Q"), ("offset", "Q"), ("length", "I"), ("at", "I"),
    ("size", "I"), ("order", "I"), ("segment", "H"), ("kind", "B"), ("flags", "B"),
    # Rows in the order of something else.
    ("by_raw", "I"), ("by_id", "I"), ("by_route", "I"), ("by_order", "I"),
)  # fmt: skip
#: Up to so many rows are sorted without numpy.
PLAIN_ROWS_MAX = 4096
#: Instead of its size in a group: a frame of its own.
NO_GROUP = 0xFFFF_FFFF
#: The table of a group, place and length of its frame, number of its segment.
_Table = tuple[bytes, int, int, int]


class SealedIndex:
    """Rows are numbers; `label`, `place` and `segment` tell of one."""

    def __init__(self, data: mmap.mmap | bytearray, segments: Sequence[Segment]) -> None:
        _, self.rows, self.interrupted, self.digest = _HEADER.unpack_from(data)
        self.segments = segments
        self._data = data
        view = memoryview(data)
        position = _HEADER.size
        columns: dict[str, memoryview] = {}
        for name, kind in _COLUMNS:
            size = self.rows * array(kind).itemsize
            columns[name] = view[position : position + size].cast(kind)
            position += -(-size // 8) * 8
        self._column = columns
        #: What was recorded again since, by the row whose place it takes.
        self.instead: dict[int, Entry] = {}
        if len(view) != position:
            raise CassetteError("an index of another length than it says")

    def with_key(self, key: bytes, authority: int) -> range | list[int]:
        """In recorded order; of every authority when `authority` is 0."""
        column = self._column
        high, low = int.from_bytes(key[:8], "big"), int.from_bytes(key[8:], "big")
        rows = range(bisect_left(column["key_high"], high), bisect_right(column["key_high"], high))
        if not rows or not (high or low):
            return range(0)
        lows, authorities, orders = column["key_low"], column["authority"], column["order"]
        if len(rows) > 1:
            rows = _within(lows, low, rows)
        elif lows[rows[0]] != low:
            return range(0)
        if authority:
            return _within(authorities, authority, rows)
        if len(rows) > 1 and authorities[rows[0]] != authorities[rows[-1]]:
            return sorted(rows, key=orders.__getitem__)
        return rows

    def whole(self, rows: range | list[int]) -> range | list[int]:
        """Without interrupted replies."""
        if not self.interrupted:
            return rows
        return [row for row in rows if not self.is_interrupted(row)]

    def key_of(self, raw: bytes) -> bytes | None:
        """The key of a recording with this raw key."""
        column = self._column
        high, low = int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:], "big")
        by_raw, highs, lows = column["by_raw"], column["raw_high"], column["raw_low"]
        if not (high or low):
            return None
        for place in range(bisect_left(by_raw, high, key=highs.__getitem__), self.rows):
            row = by_raw[place]
            if highs[row] != high:
                return None
            if lows[row] == low:
                return self._key(row)
        return None

    def with_id(self, number: int) -> int | None:
        by_id, ids = self._column["by_id"], self._column["id"]
        place = bisect_left(by_id, number, key=ids.__getitem__)
        found = place < self.rows and ids[by_id[place]] == number
        return by_id[place] if found else None

    def last(self, route: int | None, most: int) -> Iterator[tuple[int, int]]:
        """The simhash and the row of the last recordings of a route, or of any, that may be matched."""
        column = self._column
        rows, start, end = column["by_order"], 0, self.rows
        if route is not None:
            rows, routes = column["by_route"], column["route"]
            start = bisect_left(rows, route, key=routes.__getitem__)
            end = bisect_right(rows, route, key=routes.__getitem__)
        flags, kinds, hashes = column["flags"], column["kind"], column["simhash"]
        for row in rows[max(start, end - most) : end]:
            if kinds[row] == frames.CLOSE and not flags[row] & UNMATCHABLE:
                yield hashes[row], row

    def is_interrupted(self, row: int) -> bool:
        again = self.instead.get(row)
        flags: int = self._column["flags"][row] if again is None else again.label.flags
        return bool(flags & INTERRUPTED)

    @cached_property
    def again(self) -> list[int]:
        """The rows that were asked again."""
        flags = self._column["flags"].tobytes()
        if not any(flags.count(value) for value in range(AGAIN, 2 * AGAIN)):
            return []
        return [row for row, flag in enumerate(flags) if flag & AGAIN]

    @cached_property
    def opened(self) -> list[int]:
        """The rows that were opened and never closed: they have no key, so they come first."""
        highs, kinds = self._column["key_high"], self._column["kind"]
        keyless = bisect_right(highs, 0)
        return [row for row in range(keyless) if kinds[row] == frames.OPEN]

    def recorded(self) -> Sequence[int]:
        """The rows of interactions in recorded order."""
        return self._column["by_order"][len(self.opened) :]

    def as_stored(self) -> list[int]:
        """Numbers in recorded order, sorted by where they lie."""
        import numpy as np

        rows = np.array(self.recorded(), "u4")
        columns = [np.array(self._column[name])[rows] for name in ("at", "offset", "segment")]
        found: list[int] = np.lexsort(columns).tolist()
        return found

    @cached_property
    def counts(self) -> Counter[Segment]:
        """How many interactions each segment has."""
        numbers = Counter(map(self._column["segment"].__getitem__, self.recorded()))
        return Counter({self.segments[number]: count for number, count in numbers.items()})

    def label(self, row: int) -> Label:
        column = self._column
        return Label(
            column["kind"][row], column["id"][row], column["flags"][row],
            _bytes(column["raw_high"][row], column["raw_low"][row]), self._key(row),
            column["authority"][row], column["route"][row], column["simhash"][row],
        )  # fmt: skip

    def place(self, row: int) -> Place:
        column = self._column
        size = column["size"][row]
        return Place(
            column["offset"][row], column["length"][row], column["at"][row],
            -1 if size == NO_GROUP else size,
        )  # fmt: skip

    def column(self, name: str) -> memoryview:
        return self._column[name]

    def marks(self) -> Iterator[tuple[int, int]]:
        """Ids and flags of interactions in recorded order."""
        ids, flags, instead = self._column["id"], self._column["flags"], self.instead
        for row in self.recorded():
            again = instead.get(row)
            yield ids[row], flags[row] if again is None else again.label.flags

    def outside(self, gone: Collection[Segment]) -> list[int]:
        """The rows of interactions that are in none of these segments, in recorded order."""
        numbers = {number for number, one in enumerate(self.segments) if one not in gone}
        where = self._column["segment"]
        return [row for row in self.recorded() if where[row] in numbers or row in self.instead]

    def segment(self, row: int) -> Segment:
        return self.segments[self._column["segment"][row]]

    def close(self) -> None:
        # Rows that somebody still looks at, such as the frames of an error, keep the map until they go.
        with suppress(BufferError):
            for column in self._column.values():
                column.release()
            if isinstance(self._data, mmap.mmap):
                self._data.close()

    def _key(self, row: int) -> bytes:
        return _bytes(self._column["key_high"][row], self._column["key_low"][row])


def _within(column: memoryview, value: int, rows: range) -> range:
    return range(
        bisect_left(column, value, rows.start, rows.stop),
        bisect_right(column, value, rows.start, rows.stop),
    )


def _bytes(high: int, low: int) -> bytes:
    return ((high << 64) | low).to_bytes(16, "big")


# --- opening and making ----------------------------------------------------------------------------


def open_index(
    folder: Path, segments: Sequence[Segment], digest: bytes, said: Callable[[int], None]
) -> SealedIndex:
    """The index of these sealed segments, which `digest` stands for; made where it is missing or of
    others. `said` is told how many records a newly made one has. Raises CassetteError."""
    file = folder / NAME
    try:
        found = _mapped(file, segments)
        if found.digest == digest:
            return found
        found.close()
    except (OSError, ValueError, struct.error, CassetteError):
        pass  # it is derived: whatever is wrong with it, another is made
    made = build(segments, digest)
    said(_HEADER.unpack_from(made)[1])
    try:
        temporary = folder / f".{secrets.token_hex(8)}.part"
        temporary.write_bytes(made)
        temporary.replace(file)
        return _mapped(file, segments)
    except OSError:  # a cassette that may only be read
        with tempfile.TemporaryFile() as unnamed:
            unnamed.write(made)
            unnamed.flush()
            mapped = mmap.mmap(unnamed.fileno(), len(made), access=mmap.ACCESS_READ)
        return SealedIndex(mapped, segments)


def _mapped(file: Path, segments: Sequence[Segment]) -> SealedIndex:
    with file.open("rb") as opened:
        size = os.fstat(opened.fileno()).st_size
        if size < _HEADER.size or opened.read(4) != _MAGIC:
            raise CassetteError(f"{file}: not an index")
        return SealedIndex(mmap.mmap(opened.fileno(), size, access=mmap.ACCESS_READ), segments)


def build(
    segments: Sequence[Segment], digest: bytes, plain_rows_max: int = PLAIN_ROWS_MAX
) -> bytearray:
    """Raises CassetteError."""
    tables = [
        (bytes(table), start, length, number)
        for number, segment in enumerate(segments)
        for start, length, table in segment.tables()
    ]
    rows = sum(len(table) for table, *_ in tables) // groups.ROW.size
    columns = (_sorted if rows <= plain_rows_max else _sorted_many)(tables)
    return joined(columns, digest)


def joined(columns: dict[str, Any], digest: bytes = b"") -> bytearray:
    """As they are in a file; the columns are gone then, or there would be two of each."""
    interrupted = _count(columns["flags"].tobytes(), INTERRUPTED)
    found = bytearray(_HEADER.pack(_MAGIC, len(columns["id"]), interrupted, digest))
    for name, _ in _COLUMNS:
        data = columns.pop(name).tobytes()
        found += data
        found += bytes(-len(data) % 8)
    return found


def _count(flags: bytes, flag: int) -> int:
    return sum(flags.count(value) for value in range(256) if value & flag)


def _sorted(tables: Sequence[_Table]) -> dict[str, array[int]]:
    """The columns of a few rows, for which numpy would take longer to load."""
    found = []
    for table, start, length, number in tables:
        for kind, flags, order, identity, raw, key, *rest in groups.ROW.iter_unpack(table):
            if kind in (frames.OPEN, frames.CLOSE):
                no_key = flags & UNMATCHABLE or kind == frames.OPEN
                keys = bytes(32) if no_key else key + raw
                found.append((number, order, keys, kind, flags, identity, *rest, start, length))
    found.sort(key=lambda row: row[:2])
    found = _latest_of(found)
    rows = [
        (
            *(int.from_bytes(row[2][at : at + 8], "big") for at in (0, 8)),
            row[6],  # authority
            *(int.from_bytes(row[2][at : at + 8], "big") for at in (16, 24)),
            *(row[place] for place in (7, 8, 5, 11, 12, 9, 10)),
            order,
            *(row[place] for place in (0, 3, 4)),
        )
        for order, row in enumerate(found)
    ]
    rows.sort(key=lambda row: (*row[:3], row[12]))
    values = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(16)]
    columns = {name: array(kind, column)
               for (name, kind), column in zip(_COLUMNS[:16], values, strict=True)}  # fmt: skip
    raws, ids, routes = columns["raw_high"], columns["id"], columns["route"]
    orders, kinds = columns["order"], columns["kind"]
    places = range(len(rows))
    columns["by_raw"] = array("I", sorted(places, key=raws.__getitem__))
    columns["by_id"] = array("I", sorted(places, key=ids.__getitem__))
    columns["by_route"] = array("I", sorted(places, key=lambda at: (routes[at], orders[at])))
    columns["by_order"] = array(
        "I", sorted(places, key=lambda at: (kinds[at] != frames.OPEN, orders[at]))
    )
    return columns


def _sorted_many(groups_of: list[_Table]) -> dict[str, Any]:
    """The same of any number, which are gone then."""
    import numpy as np

    row_type = np.dtype(
        {
            "names": ["kind", "flags", "order", "id", "raw_high", "raw_low", "key_high", "key_low",
                      "authority", "route", "simhash", "at", "size"],
            "formats": ["u1", "u1", "<u4", "<u8", ">u8", ">u8", ">u8", ">u8", "<u8", "<u8", "<u8",
                        "<u4", "<u4"],
            "offsets": [0, 1, 4, 8, 16, 24, 32, 40, 48, 56, 64, 72, 76],
            "itemsize": groups.ROW.size,
        }
    )  # fmt: skip
    tables, offsets, lengths, numbers = zip(*groups_of, strict=True)
    counts = [len(table) // row_type.itemsize for table in tables]
    rows = np.frombuffer(b"".join(tables), row_type)
    groups_of.clear()
    del tables
    kept = np.isin(rows["kind"], (frames.OPEN, frames.CLOSE))
    columns: dict[str, Any] = {name: rows[name][kept].astype(rows[name].dtype.newbyteorder("="))
                               for name in row_type.names or ()}  # fmt: skip
    del rows
    of_groups = ("offset", offsets, "u8"), ("length", lengths, "u4"), ("segment", numbers, "u2")
    for name, values, kind in of_groups:
        columns[name] = np.repeat(np.array(values, kind), counts)[kept]
    no_key = ((columns["flags"] & UNMATCHABLE) != 0) | (columns["kind"] == frames.OPEN)
    for name in ("key_high", "key_low", "raw_high", "raw_low"):
        columns[name][no_key] = 0
    # Orders are of a segment: those of an earlier one come first.
    order = np.lexsort((columns["order"], columns["segment"]))
    columns["order"][order] = np.arange(len(order), dtype="u4")
    return arranged(_latest(columns))


def arranged(columns: dict[str, Any]) -> dict[str, Any]:
    """The same, sorted by key, with the rows in the order of something else."""
    import numpy as np

    by_key = np.lexsort(
        (columns["order"], columns["authority"], columns["key_low"], columns["key_high"])
    )
    for name, kind in _COLUMNS[: len(columns)]:
        columns[name] = columns[name][by_key].astype(np.dtype(kind), copy=False)
    columns["by_raw"] = np.argsort(columns["raw_high"], kind="stable")
    columns["by_id"] = np.argsort(columns["id"], kind="stable")
    columns["by_route"] = np.lexsort((columns["order"], columns["route"]))
    columns["by_order"] = np.lexsort((columns["order"], columns["kind"] != frames.OPEN))
    for name, kind in _COLUMNS:
        columns[name] = columns[name].astype(np.dtype(kind), copy=False)
    return columns


def _latest(columns: dict[str, Any]) -> dict[str, Any]:
    """Without what was asked again: the later one has the place of the earlier."""
    import numpy as np

    again = columns["flags"] & AGAIN != 0
    if not again.any():
        return columns
    rows = np.flatnonzero(np.isin(columns["id"], columns["id"][again]))
    kept = np.ones(len(again), bool)
    placed: dict[tuple[int, int], int] = {}
    for row in rows[np.argsort(columns["order"][rows])]:
        named = int(columns["id"][row]), int(columns["kind"][row])
        before = placed.get(named)
        if before is not None and again[row]:
            kept[before] = False
            columns["order"][row] = columns["order"][before]
        placed[named] = row
    return {name: column[kept] for name, column in columns.items()}


def _latest_of(found: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The same of rows as `_sorted` has them."""
    if not any(row[4] & AGAIN for row in found):
        return found
    kept: list[tuple[Any, ...]] = []
    placed: dict[tuple[int, int], int] = {}
    for row in found:
        named = row[3], row[5]
        if row[4] & AGAIN and named in placed:
            kept[placed[named]] = row
        else:
            placed[named] = len(kept)
            kept.append(row)
    return kept
