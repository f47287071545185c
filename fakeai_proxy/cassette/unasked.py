"""Which recordings nobody asked for, and what a recording is of."""

from __future__ import annotations

from collections.abc import Iterator

from fakeai_proxy.cassette.entries import Entry
from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.cassette.frames import INTERRUPTED, UNMATCHABLE
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.verdict import NAMED_MAX, UNUSED_OF_MAX
from fakeai_proxy.errors import FakeAIError


def playable(library: Library) -> Iterator[Entry]:
    """Recordings that can answer, in recorded order."""
    refused = UNMATCHABLE if library.index.interrupted else UNMATCHABLE | INTERRUPTED
    return (entry for entry in library.index.entries if not entry.label.flags & refused)


def unused(library: Library, used: set[int]) -> tuple[int, dict[str, str]]:
    """How many nobody asked for, and the first of them with what they are. Reads those: for a thread."""
    if len(library.index.entries) > UNUSED_OF_MAX:
        return 0, {}
    left = [entry for entry in playable(library) if entry.label.id not in used]
    return len(left), {f"{entry.label.id:016x}": said(library, entry) for entry in left[:NAMED_MAX]}


def said(library: Library, entry: Entry) -> str:
    """What a recording is of."""
    try:
        return said_of(library.load(entry))
    except FakeAIError as error:
        return str(error)


def said_of(record: Interaction) -> str:
    words = record.request.method, record.request.target, record.view.get("model", "")
    return " ".join(filter(None, map(str, words)))
