"""The one thread that writes: scrubs, compresses, appends, and syncs in groups.

Its queue is bounded in bytes. What does not fit is dropped, counted and said: the client is never
made to wait for a disk. A record's future resolves when its bytes have been given to the operating
system, which a killed process cannot take back.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import zstandard

from fakeai_proxy.cassette import frames
from fakeai_proxy.cassette.blobs import BlobStore
from fakeai_proxy.cassette.draft import Draft, Sealer
from fakeai_proxy.cassette.format import Drop, Head, Record, encode
from fakeai_proxy.cassette.frames import Label, Place
from fakeai_proxy.cassette.index import label_of
from fakeai_proxy.cassette.manifest import sync_folder
from fakeai_proxy.cassette.segments import (
    Segment,
    is_single,
    lock,
    single_blobs,
)
from fakeai_proxy.cassette.settings import Durability
from fakeai_proxy.errors import CassetteError, FakeAIError

log = logging.getLogger("fakeai_proxy")

#: A live file of a directory is closed when it has so many bytes, and another is begun.
LIVE_BYTES_MAX = 64 << 20
#: A group is synced when it has so many records or its first is so old.
GROUP_RECORDS = 32
GROUP_S = 0.05
#: What sealing and writing may raise; the thread survives it, the record's future tells it.
_FAILURES = (FakeAIError, OSError, ValueError, LookupError, TypeError, AttributeError,
             RuntimeError, MemoryError, AssertionError, zstandard.ZstdError)  # fmt: skip


class Times(Protocol):
    """What is asked of a clock here."""

    def now(self) -> float: ...

    def wall(self) -> float: ...


@dataclass(slots=True)
class _Item:
    draft: Draft | Drop
    closing: bool
    cost_bytes: int
    written: Future[bool]
    #: Nothing is written, only made ready.
    advance: bool = False


@dataclass(frozen=True, slots=True)
class Turned:
    """The writer has gone on from a file to the next; `unended` are the ids of requests that are
    under way, which are in both."""

    before: Segment
    after: Segment
    unended: frozenset[int]


class Output:
    """The file of this process in a cassette; made at the first record."""

    def __init__(self, cassette: Path, head: Head) -> None:
        self._cassette = cassette
        self._head = head
        self._descriptor: int | None = None
        self._size = 0
        #: Whether there may be another after it.
        self.is_one_of_many = not (single := is_single(cassette))
        self.plain = cassette.suffix == ".jsonl"
        millis = int(head.created_at * 1000)
        self.path = (
            cassette
            if single
            else cassette / f"live-{millis:012x}-{secrets.token_hex(4)}.jsonl.zst"
        )
        blobs = single_blobs(cassette) if single else cassette / "blobs"
        self.segment = Segment(self.path, BlobStore(blobs))

    @property
    def size_bytes(self) -> int:
        return self._size

    def following(self, at: float) -> Output:
        """The file after this one, in the order of their names."""
        later = max(at, self._head.created_at + 0.002)
        return Output(self._cassette, replace(self._head, created_at=later))

    def append(self, record: Record) -> tuple[Label, Place]:
        self.prepare()
        return self._append(record)

    def prepare(self) -> None:
        """Open the file and write its head. Raises CassetteError when another process writes it."""
        if self._descriptor is None:
            self._open()

    def sync(self) -> None:
        if self._descriptor is not None:
            os.fsync(self._descriptor)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def abandon(self) -> None:
        self.close()
        self.path.unlink(missing_ok=True)

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
        descriptor = os.open(self.path, flags, 0o600)
        if not lock(descriptor):
            os.close(descriptor)
            raise CassetteError(f"{self.path}: another process is recording into it")
        size = os.fstat(descriptor).st_size
        if size and not self.plain and not frames.labelled(os.pread(descriptor, 4, 0)):
            os.close(descriptor)
            raise CassetteError(
                f"{self.path}: compressed by another program; decompress it to record into it"
            )
        self._descriptor, self._size = descriptor, size
        sync_folder(self.path.parent)
        if not size:
            self._append(self._head)
        elif self.plain and os.pread(descriptor, 1, size - 1) != b"\n":
            self._write(b"\n")

    def _append(self, record: Record) -> tuple[Label, Place]:
        label, line = label_of(record), encode(record)
        if self.plain:
            place = Place(self._size, len(line) - 1)
            self._write(line)
        else:
            data = frames.pack(label, line)
            place = Place(self._size + frames.LABEL_BYTES, len(data) - frames.LABEL_BYTES)
            self._write(data)
        return label, place

    def _write(self, data: bytes) -> None:
        assert self._descriptor is not None
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            os.ftruncate(self._descriptor, self._size)  # a full disk must not leave half a record
            raise
        self._size += len(data)


class Writer:
    def __init__(
        self,
        output: Output,
        sealer: Sealer,
        clock: Times,
        added: Callable[[Segment, Label, Place], None],
        durability: Durability = "group",
        queue_bytes_max: int = 64 << 20,
        turned: Callable[[Turned], None] | None = None,
        live_bytes_max: int = LIVE_BYTES_MAX,
    ) -> None:
        """With `turned`, which is told in the writer's thread, a live file is not written for ever."""
        self._output = output
        self._sealer = sealer
        self._clock = clock
        self._added = added
        self._durability = durability
        self._queue_bytes_max = queue_bytes_max
        self._queue: deque[_Item] = deque()
        self._queued_bytes = 0
        self._wake = threading.Condition()
        self._closing = False
        self._seq = 0
        self._turned = turned if output.is_one_of_many else None
        self._live_bytes_max = live_bytes_max
        #: Openings whose end is to come, by id.
        self._unended: dict[str, Record] = {}
        self._unsynced = 0
        self._unsynced_since = 0.0
        self._thread: threading.Thread | None = None
        #: Interactions that did not fit into the queue.
        self.dropped = 0

    def open(self, draft: Draft) -> None:
        """Say that a request was seen, unless the disk is too far behind."""
        if self._queued_bytes < self._queue_bytes_max:
            self._put(_Item(draft, False, 1024, Future()))

    def append(self, draft: Draft) -> Future[bool]:
        """Write the whole interaction; the draft is the writer's from now on. Resolves to True when
        it is written, False when it was dropped; fails when it could not be written."""
        item = _Item(draft, True, draft.memory_bytes, Future())
        # A waiter that is cancelled must not cancel the record.
        item.written.set_running_or_notify_cancel()
        if self._queued_bytes + item.cost_bytes > self._queue_bytes_max:
            self.dropped += 1
            log.warning("%s %s was not recorded: the recorder is %d MB behind",
                        draft.method, draft.target.partition("?")[0], self._queued_bytes >> 20)  # fmt: skip
            draft.close()
            if not draft.extra.get("again"):
                self.drop(draft.id, "recorder_backpressure")
            item.written.set_result(False)
        else:
            self._put(item)
        return item.written

    def advance(self, draft: Draft) -> None:
        """Get a large reply's bytes so far out of the way; the draft is the writer's."""
        if self._queued_bytes < self._queue_bytes_max:
            self._put(_Item(draft, False, 4096, Future(), advance=True))
        else:
            draft.close()

    def drop(self, record_id: str, reason: str) -> None:
        """Take an `open` back."""
        self._put(_Item(Drop(record_id, reason), False, 0, Future()))

    @property
    def written(self) -> str | None:
        """The name of the file that is written; None where nothing has been."""
        return self._output.path.name if self._output.size_bytes else None

    def close(self) -> None:
        """Write all that is queued, sync, end the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()
        self._sealer.close()
        self._output.close()

    def _put(self, item: _Item) -> None:
        with self._wake:
            if self._closing:
                item.written.set_exception(CassetteError("the cassette is closed"))
                return
            self._queue.append(item)
            self._queued_bytes += item.cost_bytes
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
                self._thread.start()
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                if not self._queue and not self._closing:
                    self._wake.wait(GROUP_S if self._unsynced else None)
                item = self._queue.popleft() if self._queue else None
                done = item is None and self._closing
            if item is not None:
                self._write(item)
                if self._turned is not None and self._output.size_bytes >= self._live_bytes_max:
                    self._turn(self._turned)
            if self._sync_due(item is None):
                self._sync()
            if done:
                return

    def _write(self, item: _Item) -> None:
        try:
            if item.advance:
                assert isinstance(item.draft, Draft)
                self._sealer.advance(item.draft)
                return
            record = self._record(item)
            label, place = self._output.append(record)
            if not self._unsynced:
                self._unsynced_since = self._clock.now()
            self._unsynced += 1
            if self._durability == "each":
                self._sync()
            self._added(self._output.segment, label, place)
            item.written.set_result(True)
        except _FAILURES as failure:
            log.error("an exchange could not be recorded: %s", failure)
            item.written.set_exception(CassetteError(f"not recorded: {failure}"))
        finally:
            with self._wake:
                self._queued_bytes -= item.cost_bytes
            if (item.closing or item.advance) and isinstance(item.draft, Draft):
                item.draft.close()

    def _turn(self, turned: Callable[[Turned], None]) -> None:
        """Go on in another file, with the requests that are under way."""
        before, after = self._output, self._output.following(self._clock.wall())
        try:
            placed = [after.append(record) for record in self._unended.values()]
            after.prepare()
        except _FAILURES as failure:
            after.abandon()
            self._live_bytes_max *= 2
            log.warning("%s grows on: %s", before.path, failure)
            return
        self._sync()
        self._output = after
        before.close()
        ids = frozenset(label.id for label, _ in placed)
        turned(Turned(before.segment, after.segment, ids))
        for label, place in placed:
            self._added(after.segment, label, place)

    def _record(self, item: _Item) -> Record:
        if isinstance(item.draft, Drop):
            self._sealer.forget(item.draft.id)
            self._unended.pop(item.draft.id, None)
            return item.draft
        if not item.closing:
            record = self._unended[item.draft.id] = self._sealer.opening(item.draft)
            return record
        self._unended.pop(item.draft.id, None)
        self._seq += 1
        return self._sealer.sealed(item.draft, self._seq)

    def _sync_due(self, idle: bool) -> bool:
        if not self._unsynced:
            return False
        old = self._clock.now() - self._unsynced_since >= GROUP_S
        return idle or old or self._unsynced >= GROUP_RECORDS

    def _sync(self) -> None:
        self._unsynced = 0
        if self._durability != "none":
            try:
                self._output.sync()
            except OSError as error:
                log.error("a cassette could not be synced: %s", error)
