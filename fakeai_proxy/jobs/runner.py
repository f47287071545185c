"""Finds the rows that are due and has their jobs run, each under a lease.

The store decides who works on what; `dispatch` only says that it is worth a look. Rows that other
processes made, or left behind, are found by looking from time to time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import count
from typing import NamedTuple, Protocol

from fakeai_proxy.clock import Clock
from fakeai_proxy.errors import ApiError
from fakeai_proxy.services.job import Job, Work
from fakeai_proxy.store import Change, Key, LeaseLost, Missing, Row, Store, StoreError

log = logging.getLogger("fakeai_proxy")

#: After so long, the work of a process that died is taken over.
LEASE_S = 10.0
#: How often a process looks for work that others have left.
SWEEP_REAL_S = 5.0
#: A lease is renewed so many times before it would end.
RENEWALS = 3
#: Work that fails is tried again after one lease, two, four, and so on up to this.
BACKOFF_S_MAX = 600.0

#: Makes what a job is given, of the row, its owner and the store.
Equip = Callable[[Row, str, Store], Work]


class Queue(Protocol):
    """Where several replicas share the work: it has one of them look at what is due."""

    def start(self) -> None: ...

    def tell(self, key: Key) -> None: ...

    async def close(self) -> None: ...


class _Lease(NamedTuple):
    """What works on a row. `doubt` makes it look whether the row is still its own."""

    task: asyncio.Task[None]
    doubt: asyncio.Event


class JobRunner:
    def __init__(
        self,
        jobs: Mapping[str, Callable[[], Job]],
        keeper: Callable[[], Store],
        equip: Equip,
        clock: Clock,
        owner: str,
        lease_s: float = LEASE_S,
    ) -> None:
        """`jobs` are loaded by kind when there is work for them; `owner` is this process, and no
        other one ever."""
        self._jobs = jobs
        self._keeper = keeper
        self._equip = equip
        self._clock = clock
        self._owner = owner
        self._lease_s = lease_s
        self._running: dict[Key, _Lease] = {}
        self._serials = count(1)
        self._failures: dict[Key, int] = {}
        self._wake = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._is_closing = False
        #: Without one, whatever is dispatched is looked for here.
        self.queue: Queue | None = None

    def start(self) -> None:
        """Look for work from now on; without it, the first `dispatch` does."""
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look())
            self._looking.add_done_callback(_tell)
            if self.queue is not None:
                self.queue.start()

    def dispatch(self, key: Key) -> None:
        """A row of this key may be due, or due at another time than before; or whoever works on it
        has lost it."""
        self.start()
        if key in self._running:
            self._running[key].doubt.set()
        if self.queue is None:
            self.wake()
        else:
            self.queue.tell(key)

    def wake(self) -> None:
        """Look for work now."""
        self._wake.set()

    async def take(self, kind: str) -> None:
        """Work on a row of this kind that is due, if there is one, to its end. Raises 503."""
        load = self._jobs.get(kind)
        if load is None or self._is_closing:
            return  # a later version of us knows it, or another replica does it
        job = await self._loaded(load)
        if self._room(job) <= 0:
            return
        store = self._keeper()
        for row in await self._claimed(store, kind, 1):
            self._begin(job, row, store)
            await asyncio.wait((self._running[row.key].task,))

    async def close(self) -> None:
        """What is under way is given back, to be taken up by whoever comes first."""
        self._is_closing = True
        tasks = [lease.task for lease in self._running.values()]
        if self._looking is not None:
            tasks.append(self._looking)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self.queue is not None:
            await self.queue.close()

    # --- looking -----------------------------------------------------------------------------------

    async def _look(self) -> None:
        timer = self._clock.timer(self._wake.set)
        try:
            while True:
                self._wake.clear()
                try:
                    due_at = await self._take()
                except ApiError as error:
                    log.warning("jobs wait, as the store cannot be used: %s", error)
                    due_at = None
                if due_at is not None:
                    timer.at(self._clock.now() + due_at - self._clock.wall())
                with suppress(TimeoutError):
                    async with asyncio.timeout(SWEEP_REAL_S):
                        await self._wake.wait()
        finally:
            timer.close()

    async def _take(self) -> float | None:
        """Begin what is due, as far as there is room. When to look again. Raises 503."""
        store = self._keeper()
        next_due = await store.next_due(list(self._jobs))
        looks = []
        for kind, due_at in next_due.items():
            if due_at > self._clock.wall():
                looks.append(due_at)
                continue
            job = await self._loaded(self._jobs[kind])
            room = self._room(job)
            if room <= 0:
                continue  # whatever ends looks again
            rows = await self._claimed(store, kind, room)
            for row in rows:
                self._begin(job, row, store)
            if len(rows) == room:
                continue
            looks += (await store.next_due((kind,))).values()
        return min(looks, default=None)

    async def _claimed(self, store: Store, kind: str, limit: int) -> list[Row]:
        # Of a name of their own: who lost a row has lost it to us, too.
        owner = f"{self._owner}-{next(self._serials)}"
        return await store.claim(kind, owner, self._clock.wall() + self._lease_s, limit)

    def _room(self, job: Job) -> int:
        return job.at_once - sum(1 for key in self._running if key.kind == job.kind)

    async def _loaded(self, load: Callable[[], Job]) -> Job:
        with self._clock.hold():
            return await asyncio.to_thread(load)

    def _begin(self, job: Job, row: Row, store: Store) -> None:
        before = self._running.get(row.key)
        doubt = asyncio.Event()
        working = self._work(job, row, store, doubt, before)
        task = asyncio.get_running_loop().create_task(working)
        self._running[row.key] = _Lease(task, doubt)
        task.add_done_callback(partial(self._ended, row.key))

    def _ended(self, key: Key, task: asyncio.Task[None]) -> None:
        if self._running[key].task is task:
            del self._running[key]
        _tell(task)
        self._wake.set()

    # --- working -----------------------------------------------------------------------------------

    async def _work(
        self, job: Job, row: Row, store: Store, doubt: asyncio.Event, before: _Lease | None
    ) -> None:
        if before is not None:  # it has lost the row, and is about to notice
            before.doubt.set()
            await asyncio.wait((before.task,))
        doing = asyncio.get_running_loop().create_task(
            _run(job, self._equip(row, row.owner, store))
        )
        try:
            kept = await self._guard(doing, row, store, doubt)
        except asyncio.CancelledError:
            await _cancelled(doing)
            # The store may be closing, too; then the lease ends by itself.
            await self._give_back(store, row, 0.0)
            raise
        error = None if doing.cancelled() else doing.exception()
        if not kept or isinstance(error, (LeaseLost, Missing)):
            log.info("%s %s is no longer ours to work on", row.key.kind, row.key.id)
        elif error is not None:
            await self._failed(store, row, error)
            return
        self._failures.pop(row.key, None)

    async def _failed(self, store: Store, row: Row, error: BaseException) -> None:
        key = row.key
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        wait_s = min(self._lease_s * 2 ** (failures - 1), BACKOFF_S_MAX)
        known = isinstance(error, (ApiError, StoreError))
        log.log(
            logging.WARNING if known else logging.ERROR,
            "%s %s is tried again in %.0f s: %s", key.kind, key.id, wait_s, error,
            exc_info=None if known else error,
        )  # fmt: skip
        await self._give_back(store, row, wait_s)

    async def _guard(
        self, doing: asyncio.Task[None], row: Row, store: Store, doubt: asyncio.Event
    ) -> bool:
        """Renew the lease until the work is done, and at once when there is `doubt`. Whether we had it
        to the end: without a lease there is no work."""
        key = row.key
        while True:
            renew_at = self._clock.now() + self._lease_s / RENEWALS
            waiting = asyncio.ensure_future(self._clock.sleep_until(renew_at))
            doubting = asyncio.ensure_future(doubt.wait())
            try:
                await asyncio.wait((doing, waiting, doubting), return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
                doubting.cancel()
            if doing.done():
                return True
            doubt.clear()
            try:
                kept = await store.renew(key, row.owner, self._clock.wall() + self._lease_s)
            except ApiError as error:  # the store may be back before the lease ends
                log.warning("the lease of %s %s is not renewed: %s", key.kind, key.id, error)
                continue
            if not kept and not doing.done():
                await _cancelled(doing)
                return False

    async def _give_back(self, store: Store, row: Row, wait_s: float) -> None:
        due_at = self._clock.wall() + wait_s

        def given_back(found: Row) -> Row:
            if found.owner != row.owner:
                raise LeaseLost(row.key)
            return replace(found, due_at=due_at, owner="")

        with suppress(ApiError, StoreError):
            await store.commit(Change(row.key, given_back))


async def _run(job: Job, work: Work) -> None:
    await job.run(work)


async def _cancelled(task: asyncio.Task[None]) -> None:
    """Cancel it and wait until it has ended, however it does."""
    task.cancel()
    await asyncio.wait((task,))


def _tell(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a job failed", exc_info=error)
