"""Which recordings nobody asked for, and what a recording is of."""

from __future__ import annotations

from collections.abc import Iterator

from fakeai_proxy.cassette.entries import Entry
from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.cassette.frames import INTERRUPTED, UNMATCHABLE
from fakeai_proxy.cassette.ids import Ids
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.verdict import NAMED_MAX
from fakeai_proxy.errors import FakeAIError


def _refused(library: Library) -> int:
    """The flags of what cannot answer."""
    return UNMATCHABLE if library.index.interrupted else UNMATCHABLE | INTERRUPTED


def playable(library: Library) -> Iterator[Entry]:
    """Recordings that can answer, in recorded order."""
    refused = _refused(library)
    return (entry for entry in library.index.entries if not entry.label.flags & refused)


def unused(library: Library, used: Ids) -> tuple[int, dict[str, str]]:
    """How many nobody asked for, and the first of them with what they are. Reads those: for a thread."""
    refused, entries = _refused(library), library.index.entries
    count = 0
    first: list[Entry] = []
    for place, (number, flags) in enumerate(library.index.marks()):
        if not flags & refused and number not in used:
            count += 1
            if len(first) < NAMED_MAX:
                first.append(entries[place])
    return count, {f"{entry.label.id:016x}": said(library, entry) for entry in first}


def said(library: Library, entry: Entry) -> str:
    """What a recording is of."""
    try:
        return said_of(library.load(entry))
    except FakeAIError as error:
        return str(error)


def said_of(record: Interaction) -> str:
    words = record.request.method, record.request.target, record.view.get("model", "")
    return " ".join(filter(None, map(str, words)))
