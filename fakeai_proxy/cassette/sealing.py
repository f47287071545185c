"""Sealing: what live files hold, put into groups that are several times smaller.

The records stay what they are, byte by byte; only their order changes (by route, then as recorded), so
that like stands beside like. A process may die at any point: a sealed file counts from when the
manifest lists it, and what it replaces is deleted after. Who has the old files open reads on in them.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from fakeai_proxy.cassette import frames, groups
from fakeai_proxy.cassette.format import Head, encode
from fakeai_proxy.cassette.frames import Label, Place
from fakeai_proxy.cassette.manifest import TOOL, Manifest, SealedFile, sync_folder
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


def seal(folder: Path, progress: Progress = silent, *, again: bool = False) -> Sealed:
    """Seal what nobody is writing any more; `again` packs what is sealed already, too, all of it into
    one file. Raises CassetteError."""
    if is_single(folder) or not folder.is_dir():
        raise CassetteError(f"{folder}: only a directory cassette (NAME.fcz) is sealed")
    with alone(folder):
        return _seal(folder, progress, again)


def alone(folder: Path) -> AbstractContextManager[None]:
    """Nobody else seals it meanwhile. Raises CassetteError."""
    refusal = f"{folder}: another process is sealing it"
    return locked(folder / ".sealing", refusal, os.O_CREAT)


def _seal(folder: Path, progress: Progress, again: bool) -> Sealed:
    manifest = Manifest.read(folder)
    old = sealed_of(folder, manifest) if again else []
    free, busy = [], []
    with ExitStack() as held:
        for segment in segments_of(folder):
            try:
                held.enter_context(unwritten(segment))
                free.append(segment)
            except CassetteError:
                busy.append(segment.path.name)
        before = sum(segment.path.stat().st_size for segment in (*old, *free))
        found = found_in((*old, *free))
        kept = () if again else manifest.segments
        of = [segment.path.name for segment in (*old, *free)]
        new = write_sealed(folder, manifest, _read(found, progress), of)
        listed = (*kept, *(() if new is None else (new,)))
        manifest.sealed(listed).write(folder)
        for segment in (*old, *free):
            segment.release()
            segment.path.unlink(missing_ok=True)
    _forget_leftovers(folder, listed)
    after = 0 if new is None else new.size_bytes
    return Sealed(len(found), before, after, tuple(busy))


def found_in(segments: Sequence[Segment]) -> list[Found]:
    """What is worth keeping, in recorded order: whole interactions, and requests whose end never
    came. Raises CassetteError for a file that is damaged."""
    found: dict[tuple[int, int], Found] = {}
    #: Where the recording with an id is, of each cassette.
    closed: dict[tuple[Path, int], tuple[int, int]] = {}
    others = 0
    for number, segment in enumerate(segments):
        for order, (label, place) in enumerate(segment.scan(every_checksum=True)):
            if label.kind == frames.HEAD:
                continue
            one = Found(label, segment, place, order)
            if label.kind == frames.OTHER:
                others += 1
                found[-1, others] = one
            elif label.kind == frames.DROP:
                found.pop((number, label.id), None)
            elif label.kind == frames.CLOSE:
                # It takes the place of its opening, and of an earlier close of its own.
                named = segment.blobs.folder, label.id
                if not label.flags & frames.AGAIN:
                    closed[named] = number, label.id
                found[closed.setdefault(named, (number, label.id))] = one
            else:
                found[number, label.id] = one
        if segment.torn_bytes:
            raise CassetteError(
                f"{segment.path}: damaged {segment.torn_bytes} bytes before its end; "
                "`fakeai-proxy cassette verify` says more"
            )
    for order, one in enumerate(found.values()):
        one.order = order
    return list(found.values())


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
            for group in ([(Label(frames.HEAD, 0), 0, encode(head))], *_groups(records)):
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
    return SealedFile(name, size, count - 1, hashed.hexdigest(), tuple(of))


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
    """Sealed files that no manifest lists, and half-written ones."""
    names = {one.name for one in listed}
    for path in (*folder.glob("seg-*.jsonl.zst"), *folder.glob(_TEMPORARY + "*")):
        if path.name not in names:
            path.unlink(missing_ok=True)
