"""Large bodies in files of their own, named by the hash of their bytes: `ab/abcd....zst`."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path

import zstandard

from fakeai_proxy.cassette.bodies import Blob
from fakeai_proxy.errors import CassetteError

_LEVEL = 3
_READ_BYTES = 1 << 18


class BlobStore:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, blob: Blob) -> Path:
        if len(blob.hash) != 64 or not set(blob.hash) <= set("0123456789abcdef"):
            raise CassetteError(f"'{blob.hash[:80]}' is no name of a blob")
        return self.folder / blob.hash[:2] / f"{blob.hash}.zst"

    def write(self, pieces: Iterable[bytes], durable: bool) -> Blob:
        """Store the bytes as they come; what is there already is not stored twice."""
        growing = self.begin()
        try:
            for piece in pieces:
                growing.add(piece)
            return growing.commit(durable)
        finally:
            growing.discard()

    def begin(self) -> GrowingBlob:
        return GrowingBlob(self)

    def read(self, blob: Blob) -> Iterator[bytes]:
        """Raises CassetteError when it is missing or damaged."""
        path, hashed = self.path(blob), blake2b(digest_size=32)
        try:
            with (
                path.open("rb") as file,
                zstandard.ZstdDecompressor().stream_reader(file) as reader,
            ):
                while piece := reader.read(_READ_BYTES):
                    hashed.update(piece)
                    yield piece
        except (OSError, zstandard.ZstdError) as error:
            raise CassetteError(f"{path}: {error}") from None
        if hashed.hexdigest() != blob.hash:
            raise CassetteError(f"{path}: its bytes are not those of its name")


class GrowingBlob:
    """A blob that has no name until it is whole. `discard` it in any case: what a killed process
    leaves is a file that nothing refers to."""

    def __init__(self, store: BlobStore) -> None:
        store.folder.mkdir(parents=True, exist_ok=True)
        self._store = store
        self._hashed, self._size = blake2b(digest_size=32), 0
        self._temporary = store.folder / f".{secrets.token_hex(8)}.part"
        self._file = self._temporary.open("wb")
        compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
        self._out = compressor.stream_writer(self._file, closefd=False)

    def add(self, piece: bytes) -> None:
        self._hashed.update(piece)
        self._size += len(piece)
        self._out.write(piece)

    def commit(self, durable: bool) -> Blob:
        self._out.flush(zstandard.FLUSH_FRAME)
        self._file.flush()
        if durable:
            os.fsync(self._file.fileno())
        blob = Blob(self._hashed.hexdigest(), self._size)
        path = self._store.path(blob)
        path.parent.mkdir(exist_ok=True)
        self._temporary.replace(path)
        return blob

    def discard(self) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)
