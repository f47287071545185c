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
        self.folder.mkdir(parents=True, exist_ok=True)
        hashed, size = blake2b(digest_size=32), 0
        temporary = self.folder / f".{secrets.token_hex(8)}.part"
        try:
            with temporary.open("wb") as file:
                compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
                with compressor.stream_writer(file, closefd=False) as out:
                    for piece in pieces:
                        hashed.update(piece)
                        size += len(piece)
                        out.write(piece)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            blob = Blob(hashed.hexdigest(), size)
            path = self.path(blob)
            path.parent.mkdir(exist_ok=True)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return blob

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
