"""Cassettes made of cassettes: every record passes through a function on its way.

What is not changed is carried over byte by byte. The new cassette is whole before it takes the place of
anything, so whoever is killed half-way leaves the old one.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from fakeai_proxy.cassette import frames
from fakeai_proxy.cassette.blobs import BlobStore
from fakeai_proxy.cassette.bodies import Blob
from fakeai_proxy.cassette.format import Extra, Head, Interaction, decode, encode
from fakeai_proxy.cassette.frames import Label, Place
from fakeai_proxy.cassette.index import label_of
from fakeai_proxy.cassette.manifest import NAME, TOOL, Manifest, sync_folder
from fakeai_proxy.cassette.sealing import Found, Progress, alone, found_in, silent, write_sealed
from fakeai_proxy.cassette.segments import (
    Segment,
    existing_salt,
    head_of,
    is_single,
    sealed_of,
    segments_of,
    single_blobs,
    unwritten,
)
from fakeai_proxy.errors import CassetteError

#: In every record that has one.
_BLOB = b'"blob":'
#: Larger files stay as they were written.
TIDIED_BYTES_MAX = 64 << 20
#: An interaction as it shall be; None leaves it out.
Change = Callable[[Interaction], Interaction | None]


@dataclass(frozen=True, slots=True)
class Rewritten:
    kept: int
    left_out: int
    changed: int


def rewrite(
    sources: Sequence[Path],
    target: Path,
    change: Change | None = None,
    progress: Progress = silent,
    *,
    unfinished: bool = True,
) -> Rewritten:
    """Put the records of `sources` into `target`, which is a new cassette or, in its place, the only
    source. `unfinished` ones are those whose end never came. Raises CassetteError, also while
    somebody records into a source that is to be replaced."""
    in_place = list(sources) == [target]
    if not in_place and target.exists():
        raise CassetteError(f"{target} is there already")
    with ExitStack() as held:
        segments = [segment for source in sources for segment in all_segments(source)]
        if in_place:
            if target.is_dir():
                held.enter_context(alone(target))
            for segment in segments:
                held.enter_context(unwritten(segment))
        found = found_in(segments)
        kept = [one for one in found if unfinished or one.label.kind != frames.OPEN]
        records = _Records(kept, change, progress, blobs_at(target))
        salt = existing_salt(sources[0])
        if is_single(target):
            _write_single(target, salt, records)
        else:
            _write_folder(target, salt, records, segments if in_place else ())
    return Rewritten(records.kept, len(found) - records.kept, records.changed)


def split(
    source: Path,
    name_of: Callable[[Interaction], str],
    target_of: Callable[[str], Path],
    progress: Progress = silent,
) -> dict[str, int]:
    """Put each interaction into the new cassette of its name. How many there are of each. Raises
    CassetteError."""
    named: dict[str, list[Found]] = {}
    for one in found_in(all_segments(source)):
        if one.label.kind == frames.CLOSE:
            record = decode(one.segment.line(one.place))
            assert isinstance(record, Interaction), "the label says so"
            named.setdefault(name_of(record), []).append(one)
    salt = existing_salt(source)
    for name, found in sorted(named.items()):
        target = target_of(name)
        if target.exists():
            raise CassetteError(f"{target} is there already")
        write(target, salt, _Records(found, None, progress, blobs_at(target)))
    return {name: len(found) for name, found in sorted(named.items())}


def write(
    target: Path,
    salt: bytes,
    records: Iterable[tuple[Label, int, bytes]],
    policy: Extra | None = None,
) -> None:
    """A cassette of these records, each with its label, its order and its line; `policy` says what was
    scrubbed besides credentials."""
    extra = {"scrub": policy} if policy else {}
    if is_single(target):
        _write_single(target, salt, records, extra)
    else:
        _write_folder(target, salt, records, (), extra)


def lines_of(path: Path) -> Iterator[bytes]:
    """Every record of a cassette, or of one of its files, as it is on the disk. Raises CassetteError."""
    segments = [Segment(path, BlobStore(path))] if path.is_file() else all_segments(path)
    for segment in segments:
        for _, place in segment.scan():
            yield _line(segment, place)


def tidy(path: Path) -> None:
    """Take out of one file what mattered only while it was recorded into: requests that stand in their
    interactions too, and recordings that others have replaced. Not so of one that somebody else
    records into. Raises CassetteError, OSError."""
    if path.stat().st_size <= TIDIED_BYTES_MAX:
        rewrite((path,), path)
        forget_blobs(path)


def forget_blobs(path: Path) -> int:
    """Delete the bodies that no record names. How many."""
    named: set[str] = set()
    for segment in all_segments(path):
        for label, place in segment.scan():
            if label.kind == frames.CLOSE and _BLOB in (line := segment.line(place)):
                named |= {blob.hash for blob in blobs_of(decode(line))}
    gone = 0
    for file in blobs_at(path).folder.glob("*/*.zst"):
        if file.name.removesuffix(".zst") not in named:
            file.unlink()
            gone += 1
    return gone


def blobs_of(record: object) -> list[Blob]:
    if not isinstance(record, Interaction):
        return []
    bodies = [record.request.body, *([record.response.body] if record.response else [])]
    return [body for body in bodies if isinstance(body, Blob)]


class _Records:
    """Iterates over what `found` becomes, counting."""

    def __init__(
        self, found: list[Found], change: Change | None, progress: Progress, blobs: BlobStore
    ) -> None:
        self._found = found
        self._change = change
        self._progress = progress
        self._blobs = blobs
        self.kept = self.changed = 0

    def __iter__(self) -> Iterator[tuple[Label, int, bytes]]:
        for done, one in enumerate(self._found, 1):
            made = self._made(one)
            self._progress(done, len(self._found))
            if made is not None:
                self.kept += 1
                yield made

    def _made(self, one: Found) -> tuple[Label, int, bytes] | None:
        line = _line(one.segment, one.place)
        has_blobs = one.segment.blobs.folder != self._blobs.folder and _BLOB in line
        if one.label.kind != frames.CLOSE or (self._change is None and not has_blobs):
            return one.label, one.order, line
        record = decode(line)
        assert isinstance(record, Interaction), "the label says so"
        after = record if self._change is None else self._change(record)
        if after is None:
            return None
        if has_blobs:
            for blob in blobs_of(after):
                carry(one.segment.blobs.path(blob), self._blobs.path(blob))
        if after is record:
            return one.label, one.order, line
        self.changed += 1
        return label_of(after), one.order, encode(after)


def _line(segment: Segment, place: Place) -> bytes:
    """With its newline, which a plain file's lines are told without."""
    line = segment.line(place)
    return line if line.endswith(b"\n") else line + b"\n"


def carry(source: Path, target: Path) -> None:
    if target.exists() or not source.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{secrets.token_hex(8)}.part")
    shutil.copyfile(source, temporary)
    temporary.replace(target)


def all_segments(path: Path) -> list[Segment]:
    sealed = sealed_of(path, Manifest.read(path)) if (path / NAME).exists() else []
    return [*sealed, *segments_of(path)]


def blobs_at(path: Path) -> BlobStore:
    return BlobStore(single_blobs(path) if is_single(path) else path / "blobs")


def _write_folder(
    target: Path,
    salt: bytes,
    records: Iterable[tuple[Label, int, bytes]],
    replaced: Sequence[Segment],
    extra: Extra | None = None,
) -> None:
    target.mkdir(parents=True, exist_ok=True)
    if not (target / NAME).exists():
        # The tags of credentials are made with the salt: they stay comparable.
        Manifest(salt, 0.0, extra=dict(extra or {})).create(target)
    manifest = Manifest.read(target)
    new = write_sealed(target, manifest, records, [segment.path.name for segment in replaced])
    manifest.sealed([new] if new is not None else []).write(target)
    for segment in replaced:
        segment.release()
        segment.path.unlink(missing_ok=True)


def _write_single(
    target: Path,
    salt: bytes,
    records: Iterable[tuple[Label, int, bytes]],
    extra: Extra | None = None,
) -> None:
    plain = target.suffix == ".jsonl"
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    # In its own place it stays what it was, and says what was scrubbed.
    head = (head_of(target) if target.exists() else None) or Head(
        TOOL, 0.0, salt, extra=extra or {}
    )
    try:
        with temporary.open("wb") as file:
            for label, _, line in chain(((label_of(head), 0, encode(head)),), records):
                file.write(line if plain else frames.pack(label, line))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)
