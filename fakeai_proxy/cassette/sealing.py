"""Sealing: what live files hold, put into groups that are several times smaller.

The records stay what they are, byte by byte; only their order changes (by route, then as recorded), so
that like stands beside like. A process may die at any point: a sealed file counts from when the
manifest lists it, and what it replaces is deleted after. Who has the old files open reads on in them.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from pathlib import Path

from fakeai_proxy.cassette import frames, groups
from fakeai_proxy.cassette.format import Head, encode
from fakeai_proxy.cassette.frames import Label, Place
from fakeai_proxy.cassette.manifest import TOOL, Manifest, SealedFile, sync_folder
from fakeai_proxy.cassette.places import LOCK
from fakeai_proxy.cassette.sealed import open_index
from fakeai_proxy.cassette.segments import (
    Segment,
    is_single,
    locked,
    sealed_of,
    segments_of,
    unwritten,
)
from fakeai_proxy.errors import CassetteError

_TEMPORARY = ".sealing-"
#: Records done so far, and all there are.
Progress = Callable[[int, int], None]


def silent(done: int, of: int) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Part:
    """Which live files: those of these names, without the openings whose end is still to come, which
    are in another file."""

    names: Collection[str]
    unended: Collection[int] = ()


@dataclass(frozen=True, slots=True)
class Sealed:
    """`busy` files are being written by another process and were left alone."""

    records: int
    before_bytes: int
    after_bytes: int
    busy: tuple[str, ...] = ()


@dataclass(slots=True)
class Found:
    label: Label
    segment: Segment
    place: Place
    order: int


def seal(
    folder: Path,
    progress: Progress = silent,
    *,
    again: bool = False,
    part: Part | None = None,
    wait: bool = False,
) -> Sealed:
    """Seal what nobody is writing any more, or a part of it; `again` packs what is sealed already, too,
    all of it into one file; `wait` for who else seals it. `progress` is told of every record that is
    looked at and of every one that is done. Raises CassetteError, OSError."""
    if is_single(folder) or not folder.is_dir():
        raise CassetteError(
            f"{folder}: only a directory cassette (NAME.fcz) is sealed. To make one of it: "
            f"fakeai-proxy cassette pack {folder} NAME.fcz"
        )
    with alone(folder, wait):
        return _seal(folder, progress, again, part)


def alone(folder: Path, wait: bool = False) -> AbstractContextManager[None]:
    """Nobody else seals it meanwhile. Raises CassetteError, unless it waits."""
    refusal = f"{folder}: another process is sealing it"
    return locked(folder / LOCK, refusal, os.O_CREAT, wait)


def _seal(folder: Path, progress: Progress, again: bool, part: Part | None) -> Sealed:
    manifest = Manifest.read(folder)
    old = sealed_of(folder, manifest) if again else []
    free, busy = [], []
    with ExitStack() as held:
        for segment in segments_of(folder, manifest):
            if part is not None and segment.path.name not in part.names:
                continue
            try:
                held.enter_context(unwritten(segment))
                free.append(segment)
            except CassetteError:
                busy.append(segment.path.name)
        before = sum(segment.path.stat().st_size for segment in (*old, *free))
        found = found_in((*old, *free), part.unended if part else (), progress)
        kept = () if again else manifest.segments
        of = [segment.path.name for segment in (*old, *free)]
        new = write_sealed(folder, manifest, _read(found, progress), of)
        listed = (*kept, *(() if new is None else (new,)))
        manifest.sealed(listed).write(folder)
        for segment in (*old, *free):
            segment.release()
            segment.path.unlink(missing_ok=True)
    _forget_leftovers(folder, listed)
    if listed:
        sealed = sealed_of(folder, Manifest.read(folder))
        open_index(folder, sealed, Manifest.read(folder).digest, lambda records: None).close()
    after = 0 if new is None else new.size_bytes
    return Sealed(len(found), before, after, tuple(busy))


def found_in(
    segments: Sequence[Segment], unended: Collection[int] = (), progress: Progress = silent
) -> list[Found]:
    """What is worth keeping, in recorded order: whole interactions, and requests whose end never
    came, without the `unended` of these ids. Raises CassetteError for a file that is damaged."""
    found: dict[tuple[int, int], Found] = {}
    #: Where the recording with an id is, of each cassette.
    closed: dict[tuple[Path, int], tuple[int, int]] = {}
    opened: dict[int, tuple[int, int]] = {}
    others = 0
    for number, segment in enumerate(segments):
        for order, (label, place) in enumerate(_recorded(segment, progress)):
            if label.kind == frames.HEAD:
                continue
            one = Found(label, segment, place, order)
            if label.kind == frames.OTHER:
                others += 1
                found[-1, others] = one
                continue
            # An opening may stand in an earlier file than what came of it.
            found.pop(opened.pop(label.id, (-1, -1)), None)
            if label.kind == frames.OPEN:
                opened[label.id] = number, label.id
            where = number, label.id
            if label.kind == frames.CLOSE:
                named = segment.blobs.folder, label.id
                if label.flags & frames.AGAIN:
                    where = closed.get(named, where)
                closed[named] = where
            if label.kind != frames.DROP:
                # A close takes the place of an earlier close of its own.
                found[where] = one
        if segment.torn_bytes:
            raise CassetteError(
                f"{segment.path}: damaged {segment.torn_bytes} bytes before its end; "
                "`fakeai-proxy cassette verify` says more"
            )
    for number in unended:
        found.pop(opened.get(number, (-1, -1)), None)
    for order, one in enumerate(found.values()):
        one.order = order
    return list(found.values())


def _recorded(segment: Segment, progress: Progress) -> list[tuple[Label, Place]]:
    """Its records in the order in which they were recorded: in a sealed file, like stands beside like."""
    records = []
    for one in segment.scan(every_checksum=True):
        records.append(one)
        progress(0, len(records))
    if records and records[0][1].is_grouped:
        orders = {
            (start, row[-2]): row[2]
            for start, _, table in segment.tables()
            for row in groups.ROW.iter_unpack(table)
        }
        records.sort(key=lambda one: orders[one[1].offset, one[1].at])
    return records


def write_sealed(
    folder: Path,
    manifest: Manifest,
    records: Iterable[tuple[Label, int, bytes]],
    of: Sequence[str],
) -> SealedFile | None:
    """A sealed file of these records, each with its order and its line; it does not count yet. None
    where there are none. `of` are the files in whose place it comes."""
    temporary = folder / f"{_TEMPORARY}{secrets.token_hex(8)}"
    hashed = blake2b(digest_size=16)
    count = size = 0
    head = Head(TOOL, manifest.created_at, manifest.salt)
    try:
        with temporary.open("wb") as file:
            for group in chain([[(Label(frames.HEAD, 0), 0, encode(head))]], _groups(records)):
                data = groups.pack(group)
                hashed.update(data)
                size += len(data)
                count += len(group)
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if count == 1:
            return None
        numbers = [int(one.name[4:9]) for one in manifest.segments]
        name = f"seg-{max(numbers, default=0) + 1:05}-{hashed.hexdigest()[:8]}.jsonl.zst"
        temporary.replace(folder / name)
        sync_folder(folder)
    finally:
        temporary.unlink(missing_ok=True)
        groups.let_go()
    # Files that a killed process had no time to delete are still in nobody's stead but this one's.
    gone = {*of, *(old for old in manifest.superseded if (folder / old).exists())}
    return SealedFile(name, size, count - 1, hashed.hexdigest(), tuple(sorted(gone)))


def _groups(
    records: Iterable[tuple[Label, int, bytes]],
) -> Iterator[list[tuple[Label, int, bytes]]]:
    group: list[tuple[Label, int, bytes]] = []
    size = 0
    for record in records:
        group.append(record)
        size += len(record[2])
        if len(group) == groups.GROUP_RECORDS or size >= groups.GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _read(found: list[Found], progress: Progress) -> Iterator[tuple[Label, int, bytes]]:
    for done, one in enumerate(sorted(found, key=_alike), 1):
        yield one.label, one.order, one.segment.line(one.place)
        progress(done, len(found))


def _alike(one: Found) -> tuple[int, int, int]:
    """Turns of one conversation were recorded one after the other, on one route."""
    return one.label.route, one.label.authority, one.order


def _forget_leftovers(folder: Path, listed: Sequence[SealedFile]) -> None:
    """Sealed files that no manifest lists, half-written ones, and what has been sealed."""
    names = {one.name for one in listed}
    for one in listed:
        for name in one.of:
            (folder / name).unlink(missing_ok=True)
    for path in (*folder.glob("seg-*.jsonl.zst"), *folder.glob(_TEMPORARY + "*")):
        if path.name not in names:
            path.unlink(missing_ok=True)
