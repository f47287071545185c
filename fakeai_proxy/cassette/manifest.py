"""`manifest.json`: what a directory cassette is, and which of its files are sealed.

A file is sealed by standing here. What lies beside it and is not listed is either still being written
(`live-*`) or left over from a sealing that did not come to its end.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from fakeai_proxy import __version__
from fakeai_proxy.cassette.format import KEY_PROFILE, reason
from fakeai_proxy.errors import CassetteError

TOOL = f"fakeai-proxy {__version__}"
NAME = "manifest.json"
#: 1: live files only. 2: sealed segments, which a program that knows only 1 would take for damaged.
VERSION = 2
SALT_BYTES = 16


@dataclass(frozen=True, slots=True)
class SealedFile:
    """`name` in the cassette's folder; `of` are the files whose records it has."""

    name: str
    size_bytes: int
    records: int
    hash: str
    of: tuple[str, ...] = ()

    @property
    def fields(self) -> dict[str, Any]:
        return {"name": self.name, "size_bytes": self.size_bytes, "records": self.records,
                "hash": self.hash, "of": list(self.of)}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Manifest:
    salt: bytes
    created_at: float
    segments: tuple[SealedFile, ...] = ()
    version: int = 1
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def superseded(self) -> frozenset[str]:
        """Files whose records are in sealed ones."""
        return frozenset(name for segment in self.segments for name in segment.of)

    @property
    def digest(self) -> bytes:
        """Of the sealed segments: 32 bytes."""
        named = "".join(f"{one.name} {one.size_bytes} {one.hash}\n" for one in self.segments)
        return blake2b(named.encode(), digest_size=32).digest()

    def sealed(self, segments: Sequence[SealedFile]) -> Manifest:
        return replace(self, segments=tuple(segments), version=VERSION)

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Raises CassetteError, FileNotFoundError."""
        path = folder / NAME
        try:
            fields = json.loads(path.read_bytes())
            version = int(fields.pop("version"))
            if version > VERSION:
                raise CassetteError(f"{path}: version {version} is newer than this program")
            segments = tuple(
                SealedFile(
                    one["name"], one["size_bytes"], one["records"], one["hash"], tuple(one["of"])
                )
                for one in fields.pop("segments", ())
            )
            salt, created_at = bytes.fromhex(fields.pop("salt")), fields.pop("created_at", 0.0)
            return cls(salt, created_at, segments, version, fields)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CassetteError(f"{path}: no manifest of a cassette ({reason(error)})") from None

    def write(self, folder: Path) -> None:
        """In the place of the one that is there."""
        temporary = self._written(folder)
        temporary.replace(folder / NAME)
        sync_folder(folder)

    def create(self, folder: Path) -> None:
        """Unless another process was first: then its manifest counts."""
        temporary = self._written(folder)
        try:
            os.link(temporary, folder / NAME)
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
        sync_folder(folder)

    def _written(self, folder: Path) -> Path:
        fields = {"tool": TOOL, "key_profile": KEY_PROFILE, **self.extra}
        ours = {"version": self.version, "created_at": self.created_at, "salt": self.salt.hex()}
        if self.segments:
            ours["segments"] = [one.fields for one in self.segments]
        temporary = folder / f".{secrets.token_hex(8)}.part"
        with temporary.open("w", encoding="utf-8") as file:
            json.dump({**fields, **ours}, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        return temporary


def manifest_of(folder: Path, created_at: float) -> Manifest:
    """The one that is there, or a fresh one: processes that start at once agree. Raises
    CassetteError."""
    if not (folder / NAME).exists():
        Manifest(secrets.token_bytes(SALT_BYTES), created_at).create(folder)
    return Manifest.read(folder)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
