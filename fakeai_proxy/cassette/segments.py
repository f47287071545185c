"""Cassettes on disk: `NAME.fcz/` with one live file a process, or a single `NAME.jsonl[.zst]`.

A segment is one append-only file of records. Its writer holds a lock on it, so that a tail that is
being written is never taken for one whose writer died; the latter is moved to `*.torn`.
"""

from __future__ import annotations

import logging
import mmap
import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import zstandard

from fakeai_proxy.cassette import frames, groups
from fakeai_proxy.cassette import manifest as manifest_file
from fakeai_proxy.cassette.blobs import BlobStore
from fakeai_proxy.cassette.format import Head, decode
from fakeai_proxy.cassette.frames import Label, Place
from fakeai_proxy.cassette.index import label_of
from fakeai_proxy.cassette.manifest import SALT_BYTES, Manifest, manifest_of
from fakeai_proxy.cassette.places import refused
from fakeai_proxy.errors import CassetteError

try:
    import fcntl
except ImportError:  # Windows: one process a cassette, by agreement
    fcntl = None  # type: ignore[assignment]  # the module is absent there

log = logging.getLogger("fakeai_proxy")

SUFFIX = ".fcz"
_OTHERS = ". If it is another program's: fakeai-proxy cassette import SOURCE TARGET"
#: So many files may be open while a cassette is being opened, so that who seals it meanwhile takes
#: nothing away.
OPENED_FILES_MAX = 256
#: Groups whose lines are kept, of all segments together: neighbours are often asked for in turn.
_GROUPS_KEPT = 4


class _Kept:
    """The lines of the groups that were read last."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.groups: OrderedDict[tuple[Path, int], bytes] = OrderedDict()


_KEPT = _Kept()


class Segment:
    """One file of records."""

    def __init__(self, path: Path, blobs: BlobStore) -> None:
        self.path = path
        self.blobs = blobs
        self.torn_bytes = 0
        #: How often one of its records was the answer.
        self.hits = 0
        #: Whether the file stays open between records, until `release`.
        self.held = False
        self._descriptor: int | None = None
        self._opening = threading.Lock()
        self._plain = path.suffix == ".jsonl"
        #: A zstd file that another program compressed whole, decompressed.
        self._whole: bytes | None = None

    def scan(self, every_checksum: bool = False) -> Iterator[tuple[Label, Place]]:
        """The labels of its records; sets `torn_bytes`. Raises CassetteError."""
        self.torn_bytes = 0
        size = os.fstat(self._open()).st_size if self.held else self.path.stat().st_size
        if not size:
            return
        with self._mapped(size) as data:
            if not self._plain and frames.labelled(data[:4]):
                yield from self._labelled(data, size, every_checksum)
                return
            whole = data[:]
        if not self._plain:
            try:
                with zstandard.ZstdDecompressor().stream_reader(
                    whole, read_across_frames=True
                ) as reader:
                    self._whole = whole = reader.read()
            except zstandard.ZstdError as error:
                said = f"{self.path}: it is damaged, or not compressed by zstd ({error})"
                raise CassetteError(said) from None
        yield from self._lines(whole)

    def line(self, place: Place) -> bytes:
        """The record's line. Raises CassetteError."""
        if self._whole is not None:
            return self._whole[place.offset : place.offset + place.length]
        if place.is_grouped:
            return self._lines_of(place)[place.at : place.at + place.size]
        data = self._bytes(place)
        return data if self._plain else frames.unpack(data)

    def tables(self) -> Iterator[tuple[int, int, bytes]]:
        """Of each group of a sealed file: place and length of its frame, and its table. Raises
        CassetteError."""

        def broken(position: int) -> None:
            raise CassetteError(f"{self.path}: damaged at byte {position}")

        with self._mapped(0) as data, memoryview(data) as view:
            for start, length, table in groups.tables(view, broken):
                with table:
                    copied = bytes(table)
                yield start, length, copied

    def _mapped(self, size: int) -> mmap.mmap:
        if self.held:
            return mmap.mmap(self._open(), size, access=mmap.ACCESS_READ)
        with self.path.open("rb") as file:
            return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)

    def has_unpacked(self, place: Place) -> bool:
        """Whether the group that it is in was read a moment ago."""
        with _KEPT.lock:
            return place.is_grouped and (self.path, place.offset) in _KEPT.groups

    def _lines_of(self, place: Place) -> bytes:
        """The lines of a whole group."""
        with _KEPT.lock:
            lines = _KEPT.groups.get((self.path, place.offset))
        if lines is None:
            lines = groups.unpack(self._bytes(place))
            with _KEPT.lock:
                _KEPT.groups[self.path, place.offset] = lines
                while len(_KEPT.groups) > _GROUPS_KEPT:
                    _KEPT.groups.popitem(last=False)
        return lines

    def _bytes(self, place: Place) -> bytes:
        try:
            if self.held:
                data = os.pread(self._open(), place.length, place.offset)
            else:
                with self.path.open("rb", buffering=0) as file:
                    data = os.pread(file.fileno(), place.length, place.offset)
        except OSError as error:
            raise CassetteError(f"{self.path}: {error}") from None
        if len(data) != place.length:
            raise CassetteError(f"{self.path}: shorter than when it was opened")
        return data

    def hold(self) -> None:
        """Keep the file open from now on: it can be read even when sealing has removed its name."""
        self.held = True
        if self.path.exists():
            self._open()

    def release(self) -> None:
        """Close the file; reading opens it again."""
        self.held = False
        with self._opening:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def _open(self) -> int:
        descriptor = self._descriptor
        if descriptor is None:
            with self._opening:
                descriptor = self._descriptor
                if descriptor is None:
                    descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
                    self._descriptor = descriptor
        return descriptor

    def set_torn_aside(self) -> bool:
        """Move the torn tail to `*.torn`; False while another process writes this file, or where
        nothing may be written."""
        try:
            with self.path.open("r+b") as file:
                if not lock(file.fileno()):
                    return False
                start = file.seek(0, os.SEEK_END) - self.torn_bytes
                file.seek(start)
                tail = file.read()
                with self.torn_path.open("ab") as torn:
                    torn.write(tail)
                    torn.flush()
                    os.fsync(torn.fileno())
                file.truncate(start)
        except PermissionError:
            return False
        log.warning("%s: %d bytes of an interrupted write were moved to %s",
                    self.path, len(tail), self.torn_path.name)  # fmt: skip
        return True

    @property
    def torn_path(self) -> Path:
        return self.path.with_name(self.path.name + ".torn")

    def _labelled(
        self, data: mmap.mmap, size: int, every_checksum: bool
    ) -> Iterator[tuple[Label, Place]]:
        def broken(position: int) -> None:
            self.torn_bytes = size - position

        check_from = 0 if every_checksum else max(0, size - frames.CHECKED_TAIL_BYTES)
        with memoryview(data) as view:
            if groups.is_grouped(data[:12]):
                scan = groups.scan(view, broken, every_checksum)
            else:
                scan = frames.scan(view, broken, check_from)
            try:
                yield from scan
            finally:
                scan.close()  # type: ignore[attr-defined]  # a generator: its view of the map must go

    def _lines(self, data: bytes) -> Iterator[tuple[Label, Place]]:
        for number, place in enumerate(frames.lines(data), 1):
            end = place.offset + place.length
            try:
                record = decode(data[place.offset : end])
            except CassetteError as error:
                if end == len(data) and self._plain:  # the last line, without its newline
                    self.torn_bytes = place.length
                    return
                whose = "" if number > 1 else _OTHERS
                raise CassetteError(f"{self.path}:{number}: {error}{whose}") from None
            yield label_of(record), place


def segments_of(path: Path, listed: Manifest | None = None) -> list[Segment]:
    """The files of a cassette that are not sealed, in recorded order; `listed` is its manifest, if it
    has been read. Raises CassetteError."""
    if path.is_dir():
        if listed is None and (path / manifest_file.NAME).exists():
            listed = Manifest.read(path)
        over = listed.superseded if listed is not None else ()
        found = [file for file in sorted(path.glob("live-*.jsonl.zst")) if file.name not in over]
        if not found:
            _check_folder(path)
        return [Segment(file, BlobStore(path / "blobs")) for file in found]
    if not is_single(path):
        raise CassetteError(f"{path}: a cassette is NAME{SUFFIX}/, NAME.jsonl or NAME.jsonl.zst")
    return [Segment(path, BlobStore(single_blobs(path)))] if path.exists() else []


def sealed_of(path: Path, manifest: Manifest) -> list[Segment]:
    """Raises CassetteError for one that is missing or not whole."""
    found = []
    for one in manifest.segments:
        segment = Segment(path / one.name, BlobStore(path / "blobs"))
        try:
            size = segment.path.stat().st_size
        except OSError as error:
            raise CassetteError(f"{segment.path}: {error.strerror}") from None
        if size != one.size_bytes:
            raise CassetteError(
                f"{segment.path}: {size} bytes, of which the manifest says there are {one.size_bytes}"
            )
        found.append(segment)
    return found


def files_of(path: Path) -> tuple[Manifest | None, list[Segment], list[Segment]]:
    """The manifest, the sealed and the live files, all open: whoever seals them meanwhile changes
    nothing. Raises CassetteError."""
    if not path.is_dir() or not (path / manifest_file.NAME).exists():
        return None, [], segments_of(path)
    while True:
        listed = Manifest.read(path)
        found: list[Segment] = []
        try:
            sealed, live = sealed_of(path, listed), segments_of(path, listed)
            found += (*sealed, *live)
            for segment in found[-OPENED_FILES_MAX:]:
                segment.hold()
        except (CassetteError, FileNotFoundError):
            if Manifest.read(path).segments == listed.segments:
                raise
        if Manifest.read(path).segments == listed.segments:
            return listed, sealed, live
        for segment in found:
            segment.release()


def _check_folder(path: Path) -> None:
    """Raises CassetteError for a directory that holds something else."""
    if not (path / manifest_file.NAME).exists() and any(
        not entry.name.startswith(".") for entry in path.iterdir()
    ):
        raise CassetteError(
            f"{path}: a directory, but no cassette (it has no {manifest_file.NAME})"
        )


def is_single(path: Path) -> bool:
    return path.name.endswith((".jsonl", ".jsonl.zst"))


def single_blobs(path: Path) -> Path:
    """Where the large bodies of a single-file cassette lie."""
    return path.with_name(path.name + ".blobs")


def torn_files(path: Path) -> list[Path]:
    """What was set aside at this or an earlier opening."""
    if path.is_dir():
        return sorted(path.glob("*.torn"))
    return [torn] if (torn := path.with_name(path.name + ".torn")).exists() else []


def lock(descriptor: int) -> bool:
    """Become the file's writer, until it is closed; False if there is one."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(path: Path, refusal: str, flags: int = 0, wait: bool = False) -> Iterator[None]:
    """The file is ours alone meanwhile. Raises CassetteError with the refusal, or waits for its turn."""
    descriptor = os.open(path, os.O_RDWR | flags, 0o600)
    try:
        if wait and fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        elif not lock(descriptor):
            raise CassetteError(refusal)
        yield
    finally:
        os.close(descriptor)


def unwritten(segment: Segment) -> AbstractContextManager[None]:
    """Nobody records into it meanwhile. Raises CassetteError where somebody does."""
    return locked(segment.path, f"{segment.path}: another process is recording into it")


def salt_of(path: Path, created_at: float) -> bytes:
    """The cassette's salt; makes the directory and its manifest where there is none. Raises
    CassetteError."""
    if is_single(path):
        return _salt_of_file(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CassetteError(refused(error, path)) from None
    _check_folder(path)
    return manifest_of(path, created_at).salt


def existing_salt(path: Path) -> bytes:
    """The salt of a cassette that is only read; a fresh one where it has none."""
    if is_single(path):
        return _salt_of_file(path)
    manifest = path / manifest_file.NAME
    return Manifest.read(path).salt if manifest.exists() else secrets.token_bytes(SALT_BYTES)


def policy_of(path: Path) -> Mapping[str, Any]:
    """What was scrubbed besides credentials when it was recorded, as it says itself."""
    if path.is_dir() and (path / manifest_file.NAME).exists():
        said = Manifest.read(path).extra.get("scrub")
    else:
        head = head_of(path) if is_single(path) else None
        said = head.extra.get("scrub") if head else None
    return said if isinstance(said, dict) else {}


def _salt_of_file(path: Path) -> bytes:
    head = head_of(path)
    return secrets.token_bytes(SALT_BYTES) if head is None else head.salt


def head_of(path: Path) -> Head | None:
    if path.exists():
        segment = Segment(path, BlobStore(single_blobs(path)))
        for label, place in segment.scan():
            record = decode(segment.line(place)) if label.kind == frames.HEAD else None
            return record if isinstance(record, Head) else None
    return None
