"""Cassettes made of other programs' recordings.

What is read becomes drafts, which are sealed like any recording: keyed, scrubbed and looked into before
they reach the disk. The cassette is whole before it has its name. Its salt is made of what is imported, so
that importing twice gives the same bytes.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fakeai_proxy.cassette import rewriting
from fakeai_proxy.cassette.draft import Sealer
from fakeai_proxy.cassette.format import encode
from fakeai_proxy.cassette.formats import ALL_SUFFIXES, FORMATS, files_of, guessed
from fakeai_proxy.cassette.formats.seen import Seen, Skipped, drafted
from fakeai_proxy.cassette.frames import Label
from fakeai_proxy.cassette.index import label_of
from fakeai_proxy.cassette.manifest import SALT_BYTES
from fakeai_proxy.cassette.places import refused
from fakeai_proxy.cassette.redaction import Redactor
from fakeai_proxy.cassette.rules import Rules
from fakeai_proxy.cassette.sealing import Progress, silent
from fakeai_proxy.cassette.segments import is_single, single_blobs
from fakeai_proxy.errors import CassetteError


@dataclass(slots=True)
class Imported:
    source: str
    interactions: int = 0
    skipped: list[Skipped] = field(default_factory=list)


def bring_in(
    source: Path,
    target: Path,
    name: str | None = None,
    progress: Progress = silent,
    rules: Rules | None = None,
) -> Imported:
    """Make the cassette `target` of what `source`, a file or a folder, holds in the format `name`; by
    default in the one that its content is in. `rules` say what is scrubbed besides credentials. Raises
    CassetteError, and leaves nothing then."""
    for path in (target, single_blobs(target)):
        if path.exists():
            raise CassetteError(f"{path} is there already")
    if name is None:
        name = guessed(files_of(source, ALL_SUFFIXES))
    form = FORMATS[name]
    files = files_of(source, form.suffixes)
    assert form.read is not None, "the table of those that are read"
    imported = Imported(name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".importing-", dir=target.parent))
        try:
            staged = staging / target.name
            salt = _salt(files)
            redactor = Redactor(salt, rules)
            records = _sealed(form.read(files, progress), staged, redactor, imported)
            rewriting.write(staged, salt, records, redactor.policy)
            if not imported.interactions:
                raise CassetteError(f"{source}: holds nothing that can be replayed{_why(imported)}")
            for path in (single_blobs(staged), staged):
                if path.exists():
                    path.rename(target.with_name(path.name))
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise CassetteError(refused(error, target)) from None
    return imported


def _why(imported: Imported) -> str:
    return (
        f"; {imported.skipped[0].place}: {imported.skipped[0].reason}" if imported.skipped else ""
    )


def _salt(files: Iterable[Path]) -> bytes:
    hashed = hashlib.blake2b(digest_size=SALT_BYTES)
    for path in files:
        with path.open("rb") as file:
            hashed.update(hashlib.file_digest(file, "blake2b").digest())
    return hashed.digest()


def _sealed(
    found: Iterable[Seen | Skipped], staged: Path, redactor: Redactor, imported: Imported
) -> Iterator[tuple[Label, int, bytes]]:
    """Each interaction's label, order and line."""
    sealer = Sealer(redactor, rewriting.blobs_at(staged), True, is_single(staged))
    taken: set[str] = set()
    for one in found:
        if isinstance(one, Skipped):
            imported.skipped.append(one)
            continue
        place = imported.interactions
        try:
            draft = drafted(one, place, imported.source, taken)
            try:
                record = sealer.sealed(draft, place + 1)
            finally:
                draft.close()
            made = label_of(record), place, encode(record)
        except (ValueError, OverflowError) as error:  # characters and numbers that HTTP has not
            raise CassetteError(f"{one.place}: no message of HTTP ({error})") from None
        imported.interactions += 1
        yield made
