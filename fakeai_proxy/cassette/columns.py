"""Recordings that are not sealed, in the columns that sealed ones have, in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fakeai_proxy.cassette.entries import Entry
from fakeai_proxy.cassette.frames import UNMATCHABLE
from fakeai_proxy.cassette.sealed import NO_GROUP, SealedIndex, arranged, joined

if TYPE_CHECKING:
    from fakeai_proxy.cassette.segments import Segment

_Numbers = Mapping["Segment", int]


def in_columns(before: Sequence[SealedIndex], entries: Sequence[Entry]) -> SealedIndex:
    """What is in these columns and then these, in recorded order."""
    import numpy as np

    found = [segment for index in before for segment in index.segments]
    found += (entry.segment for index in before for entry in index.instead.values())
    found += (entry.segment for entry in entries)
    numbers = {segment: number for number, segment in enumerate(dict.fromkeys(found))}
    parts = [*(_again(index, numbers) for index in before), _columns(entries, numbers)]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[-1]}
    columns["order"] = np.arange(len(columns["id"]), dtype="u4")
    return SealedIndex(joined(arranged(columns)), list(numbers))


def _columns(entries: Sequence[Entry], numbers: _Numbers) -> dict[str, Any]:
    import numpy as np

    labels = [entry.label for entry in entries]
    places = [entry.place for entry in entries]
    found = {
        name: np.array([getattr(label, name) for label in labels], kind)
        for name, kind in (("authority", "u8"), ("route", "u8"), ("simhash", "u8"), ("id", "u8"),
                           ("kind", "u1"), ("flags", "u1"))
    }  # fmt: skip
    for name in ("offset", "length", "at"):
        found[name] = np.array([getattr(place, name) for place in places], "u8")
    sizes = [place.size if place.is_grouped else NO_GROUP for place in places]
    found["size"] = np.array(sizes, "u8")
    found["segment"] = np.array([numbers[entry.segment] for entry in entries], "u8")
    for name, keys in (
        ("key", [label.key for label in labels]),
        ("raw", [label.raw_key for label in labels]),
    ):
        halves = np.frombuffer(b"".join(keys), ">u8").astype("u8").reshape(-1, 2)
        halves[found["flags"] & UNMATCHABLE != 0] = 0
        found[f"{name}_high"], found[f"{name}_low"] = halves[:, 0], halves[:, 1]
    return found


def _again(index: SealedIndex, numbers: _Numbers) -> dict[str, Any]:
    """The columns of others, with what was recorded in the place of some."""
    import numpy as np

    order = np.array(index.recorded(), "u8")
    replaced = list(index.instead)
    instead = _columns(list(index.instead.values()), numbers)
    own = np.array([numbers[segment] for segment in index.segments], "u8")
    found = {}
    for name, new in instead.items():
        column = np.array(index.column(name))
        column = own[column] if name == "segment" else column
        column[replaced] = new
        found[name] = column[order]
    return found
