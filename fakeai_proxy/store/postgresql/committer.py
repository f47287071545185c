"""Commits of many callers in one transaction, each answered when that is safe."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING

from fakeai_proxy import errors
from fakeai_proxy.errors import ApiError, ConfigError
from fakeai_proxy.store.documents import Row, Write
from fakeai_proxy.store.postgresql.connections import Connections
from fakeai_proxy.store.postgresql.failures import COLLISIONS, FAILURES, is_lost, unavailable
from fakeai_proxy.store.postgresql.flush import Labels, begin, flush, load
from fakeai_proxy.store.workspace import Touched, Workspace

if TYPE_CHECKING:
    import asyncpg

#: Callers and writes of one transaction: the first of them waits for the last.
GROUP_MAX = 256
WRITES_MAX = 2000
#: Transactions under way, so that one that waits for a lock does not hold up all; a further one only where
#: the last is held up, because together is quicker.
LANES = 4
_HELD_UP_S = 0.05
TRIES = 5
#: Above this many writes a group is worked out in a thread.
_IN_PLACE = 32
_LABELS_MAX = 10_000


@dataclass(eq=False)
class Job:
    writes: Sequence[Write]
    #: When it was asked for.
    at: float
    answer: asyncio.Future[list[Row | None]]
    rows: list[Row | None] = field(default_factory=list)
    error: BaseException | None = None

    def tell(self) -> None:
        if self.answer.done():
            return  # whoever asked is gone
        if self.error is None:
            self.answer.set_result(self.rows)
        else:
            self.answer.set_exception(self.error)


class _Told:
    """What fails in here is told to the callers of these jobs, and to nobody else."""

    def __init__(self, *jobs: Job) -> None:
        self._jobs = jobs

    def __enter__(self) -> None:
        for job in self._jobs:
            job.error = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is not None:
            for job in self._jobs:
                job.error = error
        return isinstance(error, Exception)


class Committer:
    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._jobs: deque[Job] = deque()
        #: Lanes that look for jobs; one that has found none is no longer here, though its task may be.
        self._open_lanes = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._labels: Labels = {}
        self._begun_at = -_HELD_UP_S

    async def run(self, writes: Sequence[Write], at: float) -> list[Row | None]:
        """Raises what the writes raise, and 503."""
        loop = asyncio.get_running_loop()
        job = Job(writes, at, loop.create_future())
        self._jobs.append(job)
        is_held_up = loop.time() - self._begun_at > _HELD_UP_S
        if not self._open_lanes or (is_held_up and self._open_lanes < LANES):
            self._open_lanes += 1
            self._begun_at = loop.time()
            task = asyncio.ensure_future(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await job.answer

    async def close(self) -> None:
        """After the jobs that wait."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _work(self) -> None:
        while group := self._taken():
            self._begun_at = asyncio.get_running_loop().time()
            with _Told(*group):
                await self._commit(group)
            for job in group:
                job.tell()
        self._open_lanes -= 1

    def _taken(self) -> list[Job]:
        group: list[Job] = []
        writes = 0
        while self._jobs and len(group) < GROUP_MAX and (not group or writes < WRITES_MAX):
            group.append(self._jobs.popleft())
            writes += len(group[-1].writes)
        return group

    async def _commit(self, group: list[Job]) -> None:
        try:
            await self._tried(group)
        except ApiError as error:
            self._fail(group, error)
        except ConfigError as error:
            self._fail(group, errors.store_unavailable(str(error).rstrip(".")))
        except (*FAILURES, ValueError, TypeError) as error:
            if len(group) > 1 and not isinstance(error, OSError) and not is_lost(error):
                # One of them may be what the database does not take.
                for job in group:
                    await self._commit([job])
            elif isinstance(error, ValueError | TypeError):
                self._fail(group, error)
            else:
                self._fail(group, unavailable(error))

    @staticmethod
    def _fail(group: list[Job], error: BaseException) -> None:
        for job in group:
            job.error = error

    async def _tried(self, group: list[Job]) -> None:
        for left in reversed(range(TRIES)):
            try:
                await self._transaction(group)
                return
            except COLLISIONS:
                if not left:
                    raise
            except FAILURES as error:
                if not left or not is_lost(error):
                    raise
                # Of a pool whose server was restarted every connection may be gone.

    async def _transaction(self, group: list[Job]) -> None:
        writes = [write for job in group for write in job.writes]
        touched = Touched.by(writes)
        async with self._connections.one() as connection:
            committing = False
            try:
                kinds = {key.kind for key in touched.inserted}
                await connection.execute(begin(self._connections.schema, kinds))
                workspace = await load(connection, touched)
                if len(writes) > _IN_PLACE:
                    await asyncio.to_thread(_apply, workspace, group)
                else:
                    _apply(workspace, group)
                now = max(job.at for job in group)
                sequences, learnt = await flush(connection, workspace, self._labels, now)
                committing = True
                await connection.execute("COMMIT")
            except FAILURES as error:
                if committing and (is_lost(error) or isinstance(error, OSError)):
                    raise errors.store_unsure() from None
                raise
            finally:
                await _end(connection)
        if len(self._labels) + len(learnt) > _LABELS_MAX:
            self._labels.clear()
        self._labels.update(learnt)
        for job in group:
            job.rows = [
                replace(row, sequence=sequences[row.key])
                if row is not None and not row.sequence and row.key in sequences
                else row
                for row in job.rows
            ]


def _apply(workspace: Workspace, group: list[Job]) -> None:
    for job in group:
        with _Told(job):
            job.rows = workspace.commit(job.writes, job.at)


async def _end(connection: asyncpg.Connection) -> None:
    if not connection.is_closed() and connection.is_in_transaction():
        with contextlib.suppress(*FAILURES):
            await connection.execute("ROLLBACK")
