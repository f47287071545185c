"""Cassettes for tests: made of drafts, and read back with their bodies."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from fakeai_proxy.cassette import rewriting
from fakeai_proxy.cassette.draft import Draft, Sealer
from fakeai_proxy.cassette.format import Interaction, encode
from fakeai_proxy.cassette.index import label_of
from fakeai_proxy.cassette.library import Library, settings_for
from fakeai_proxy.cassette.redaction import Redactor
from fakeai_proxy.cassette.segments import is_single
from fakeai_proxy.clock import SystemClock

SALT = bytes(range(16))


def cassette_of(path: Path, drafts: Iterable[Draft]) -> Path:
    sealer = Sealer(Redactor(SALT), rewriting.blobs_at(path), True, is_single(path))
    records = [sealer.sealed(draft, place) for place, draft in enumerate(drafts, 1)]
    lines = [(label_of(record), place, encode(record)) for place, record in enumerate(records)]
    rewriting.write(path, SALT, lines)
    return path


def opened(path: Path) -> Library:
    return Library.open(settings_for([path]), SystemClock(), repair=False)


def held(path: Path) -> list[tuple[Interaction, bytes, bytes]]:
    """The interactions with the bodies of their requests and replies."""
    library = opened(path)
    found = []
    for entry in library.index.entries:
        record = library.load(entry)
        bodies = [record.request.body, record.response.body if record.response else b""]
        whole = [body if isinstance(body, bytes) else b"".join(library.blob(entry, body))
                 for body in bodies]  # fmt: skip
        found.append((record, whole[0], whole[1]))
    library.close()
    return found
