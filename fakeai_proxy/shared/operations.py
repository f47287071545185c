"""What is done to every process that serves, in one order: the requests that steer them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, NamedTuple

from fakeai_proxy.errors import ApiError, operation_unconfirmed

log = logging.getLogger("fakeai_proxy")

#: Who does it: this process, those of this machine, or those of all replicas.
Reach = Literal["here", "machine", "all"]

#: Operations that are told to whoever joins later.
REMEMBERED_MAX = 10_000
REMEMBERED_BYTES_MAX = 64 << 20
#: How long whoever asks waits for all the others.
PATIENCE_REAL_S = 10.0


class Operation(NamedTuple):
    """A request to the control API. `token` is its sender's, to know it again."""

    token: str
    method: str
    path: str
    query: str
    body: bytes


class Issued(NamedTuple):
    """`mark` is the same in every process and no other operation's; `at` is an instant of the clock
    of whoever is told."""

    mark: str
    at: float
    operation: Operation


class Outcome(NamedTuple):
    status: int
    content_type: str
    body: bytes


#: Does it to this process. Raises ApiError.
Perform = Callable[[Issued], Awaitable[Outcome]]


class Performer:
    """One operation at a time, in the order in which they come; none before `begin`."""

    def __init__(self) -> None:
        self._perform: Perform | None = None
        self._begun = asyncio.Event()
        self._turn = asyncio.Lock()
        self._wanted: dict[str, asyncio.Future[Outcome]] = {}
        #: The mark of the last one, or of the one that is being performed.
        self.mark = "0"

    async def begin(self, perform: Perform, history: Sequence[Issued], marks: bool) -> None:
        """First of all, what was done to the others before we came."""
        self._perform = perform
        for issued in history:
            await self._do(issued, marks)
        self._begun.set()

    def expect(self, token: str) -> asyncio.Future[Outcome]:
        """What will come of an operation of our own."""
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._wanted[token] = outcome
        return outcome

    def forget(self, token: str) -> None:
        self._wanted.pop(token).cancel()

    async def outcome(self, token: str) -> Outcome:
        """Raises ApiError."""
        try:
            async with asyncio.timeout(PATIENCE_REAL_S):
                return await self._wanted[token]
        except TimeoutError:
            raise operation_unconfirmed() from None
        finally:
            del self._wanted[token]

    async def perform(self, issued: Issued, marks: bool = True) -> None:
        """`marks`: it is one that all who count together perform."""
        await self._begun.wait()
        async with self._turn:
            await self._do(issued, marks)

    async def _do(self, issued: Issued, marks: bool) -> None:
        if marks:
            self.mark = issued.mark
        assert self._perform is not None, "it has begun"
        done = asyncio.ensure_future(self._perform(issued))
        await asyncio.wait((done,))
        wanted = self._wanted.get(issued.operation.token)
        failure = done.exception()
        if failure is not None and not isinstance(failure, ApiError):
            log.error("%s failed", issued.operation.path, exc_info=failure)
        if wanted is None or wanted.done():
            return
        if failure is None:
            wanted.set_result(done.result())
        else:
            wanted.set_exception(failure)
