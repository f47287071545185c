"""What outlives a request: documents, counts and bytes, behind one protocol.

`commit` is the one way to write: all of its writes or none, answered when they are safe. Whatever
keeps a database from being used is a 503 that says so; the next call tries again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field, field_validator

from fakeai_proxy.clock import Clock
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.store.address import is_address
from fakeai_proxy.store.blobs import Blob as Blob
from fakeai_proxy.store.blobs import Blobs as Blobs
from fakeai_proxy.store.blobs import FileBlobs
from fakeai_proxy.store.blobs import pieces_of as pieces_of
from fakeai_proxy.store.documents import Change as Change
from fakeai_proxy.store.documents import Conflict as Conflict
from fakeai_proxy.store.documents import Delete as Delete
from fakeai_proxy.store.documents import Document as Document
from fakeai_proxy.store.documents import Exists as Exists
from fakeai_proxy.store.documents import Insert as Insert
from fakeai_proxy.store.documents import Key as Key
from fakeai_proxy.store.documents import LeaseLost as LeaseLost
from fakeai_proxy.store.documents import Missing as Missing
from fakeai_proxy.store.documents import Page as Page
from fakeai_proxy.store.documents import Require as Require
from fakeai_proxy.store.documents import Row as Row
from fakeai_proxy.store.documents import StoreError as StoreError
from fakeai_proxy.store.documents import Sum as Sum
from fakeai_proxy.store.documents import Tally as Tally
from fakeai_proxy.store.documents import Write as Write
from fakeai_proxy.store.documents import finish as finish
from fakeai_proxy.store.documents import put as put


class StoreSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    store: str | None = Field(
        None,
        description="Where files, jobs, threads and the like are kept: memory (forgotten at the end), "
        "sqlite (a file in --data) or postgresql://USER:PASSWORD@HOST/DATABASE (for any number of "
        "replicas; needs the extra `scale`). Without it, sqlite if --data is given, else memory.",
        repr=False,
    )

    @field_validator("store")
    @classmethod
    def _is_known(cls, value: str | None) -> str | None:
        if value not in (None, "memory", "sqlite") and not is_address(value):
            raise ValueError("this is memory, sqlite or postgresql://USER:PASSWORD@HOST/DATABASE.")
        return value

    @property
    def store_address(self) -> str | None:
        """Of the database that the store is in; None for one of our own."""
        return self.store if is_address(self.store) else None


class Store(Protocol):
    @property
    def blobs(self) -> Blobs: ...

    async def open(self) -> None:
        """Now, if there is anything to open; otherwise the first use does. Raises ConfigError."""

    async def close(self) -> None: ...

    async def get(self, key: Key) -> Row | None: ...

    async def page(
        self,
        kind: str,
        parent: str | None,
        *,
        tags: Mapping[str, str] | None = None,
        after: str = "",
        before: str = "",
        limit: int = 20,
        ascending: bool = False,
    ) -> Page:
        """In the order of insertion. `parent` None means any; `after` and `before` are ids, also of
        rows deleted within the last day. Raises Missing for an id that never was."""

    async def count(
        self, kind: str, parent: str | None, *, tags: Mapping[str, str] | None = None
    ) -> int: ...

    async def commit(self, *writes: Write) -> list[Row | None]:
        """All of them or none, in order. The rows as they are afterwards, None for other writes.
        Raises StoreError and whatever a Change's function raises."""

    async def claim(
        self, kind: str, owner: str, until: float, limit: int = 1, now: float | None = None
    ) -> list[Row]:
        """Takes work that is due: nobody else is given it before `until`."""

    async def renew(self, key: Key, owner: str, until: float) -> bool:
        """Whether `owner` has it still, and then until that instant."""

    async def next_due(self, kinds: Sequence[str]) -> Mapping[str, float]:
        """The earliest instant at which a row of each kind is due, of those that have any."""

    async def sums(self, kind: str, start_at: int, end_at: int, bucket_s: int) -> list[Sum]:
        """What was tallied, by bucket (whole minutes, aligned to the epoch) and labels, oldest first;
        buckets without any are absent."""

    async def sweep(self) -> int:
        """Removes what has expired and the bytes that nothing names. How many rows."""


_FILE = "state.db"


def is_begun(folder: Path | None) -> bool:
    """Whether an earlier life has left something."""
    return folder is not None and (folder / _FILE).exists()


def open_store(folder: Path | None, clock: Clock, address: str | None = None) -> Store:
    """Opened by its first use. Without a folder or the address of a database everything is forgotten
    at the end. Raises ConfigError."""
    if address is not None:
        return _postgresql(address, clock)
    from fakeai_proxy.store.sqlite import SqliteStore

    blobs = FileBlobs(None if folder is None else folder / "blobs", clock)
    return SqliteStore(None if folder is None else folder / _FILE, blobs, clock)


def _postgresql(address: str, clock: Clock) -> Store:
    try:
        from fakeai_proxy.store.postgresql.store import PostgresqlStore
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise ConfigError(
            "store: PostgreSQL needs asyncpg. Install it with `pip install 'fakeai-proxy[scale]'`."
        ) from None
    return PostgresqlStore(address, clock)
