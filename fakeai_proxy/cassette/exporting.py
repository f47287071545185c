"""Recordings written in other programs' formats. The file is whole before it has its name."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fakeai_proxy.cassette.bodies import Blob, Content
from fakeai_proxy.cassette.entries import Entry
from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.cassette.formats import FORMATS, Format
from fakeai_proxy.cassette.formats.told import Encode, Told
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.manifest import sync_folder
from fakeai_proxy.cassette.places import refused
from fakeai_proxy.cassette.sealing import Progress, silent
from fakeai_proxy.errors import CassetteError


@dataclass(slots=True)
class Exported:
    """`left_out` by why."""

    interactions: int
    left_out: dict[str, int]


def put_out(
    library: Library, target: Path, name: str, encode: Encode, progress: Progress = silent
) -> Exported:
    """Write what the library holds to `target` in the format `name`. Raises CassetteError, and leaves
    nothing then."""
    if target.exists():
        raise CassetteError(f"{target} is there already")
    form = FORMATS[name]
    write = form.write_as.get(target.suffix, form.write)
    assert write is not None, "the table of those that are written"
    exported = Exported(0, {})
    told = _told(library, form, exported, progress)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
        try:
            with temporary.open("wb") as file:
                written = write(told, file, encode)
                file.flush()
                os.fsync(file.fileno())
            if not written:
                why = "".join(f"; {count} {fault}" for fault, count in exported.left_out.items())
                raise CassetteError(f"there is nothing that {name} has a form for{why}")
            temporary.replace(target)
            sync_folder(target.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise CassetteError(refused(error, target)) from None
    if written < exported.interactions:
        exported.left_out[form.lacking] = exported.interactions - written
    exported.interactions = written
    return exported


def _told(library: Library, form: Format, exported: Exported, progress: Progress) -> Iterator[Told]:
    entries = library.index.entries
    for done, entry in enumerate(entries, 1):
        record = library.load(entry)
        fault = _fault(record, form)
        if fault:
            exported.left_out[fault] = exported.left_out.get(fault, 0) + 1
        else:
            exported.interactions += 1
            response = record.response
            answered = _bytes(library, entry, response.body) if response else b""
            yield Told(record, _bytes(library, entry, record.request.body), answered)
        progress(done, len(entries))


def _fault(record: Interaction, form: Format) -> str:
    """Why it cannot stand in another program's file."""
    if record.request.withheld or (record.response and record.response.withheld):
        return "withheld"
    if record.response and record.response.is_socket and not form.has_sockets:
        return "of WebSockets, for which only har has a form"
    if form.whole_only and not (record.whole and record.request.complete):
        return "interrupted"
    return ""


def _bytes(library: Library, entry: Entry, body: Content) -> bytes:
    return b"".join(library.blob(entry, body)) if isinstance(body, Blob) else body
