"""Work that outlives the request that asked for it: a row of the store that is due, and who does it.

A room offers `JOBS` as it offers OPERATIONS. The row is the truth: its lease says who works on it, its
document how far that has come, and every step is one commit that holds only while the lease does. So
a process may die at any moment, and another goes on where the last commit left off.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from fakeai_proxy.clock import Clock
from fakeai_proxy.dice import Dice
from fakeai_proxy.exchange import Exchange, Headers, Reply
from fakeai_proxy.generate.embedders import Kind
from fakeai_proxy.services.catalogue import Catalogue
from fakeai_proxy.services.responder import Responder
from fakeai_proxy.services.webhooks import NOBODY, Webhooks
from fakeai_proxy.store import Change, Document, LeaseLost, Row, Store, Tally, finish


class Asked(NamedTuple):
    """A request to ourselves. `target` is a path as clients write it, `tier` the rate class."""

    method: str
    target: str
    headers: Headers
    body: bytes
    tier: str = "batch"
    #: Who asks, and pays.
    project: str = ""
    key_id: str = ""
    user_id: str = ""
    #: Whether the job commits the `tallies` of the answer itself, as for the lines of a batch it does:
    #: then what is asked again after a kill is counted once.
    is_accounted: bool = False
    #: What answers it instead of the source, at the same pace and under the same limits.
    content: Callable[[Exchange], Awaitable[Reply]] | None = None


class Answered(NamedTuple):
    """`tallies` are what it used, where the job commits them with its result; what others used is counted
    when they are answered."""

    id: str
    status: int
    headers: Headers
    body: bytes
    tallies: Sequence[Tally] = ()


Post = Callable[[str, Mapping[str, str], bytes], Awaitable[int]]


async def _reaches_nobody(url: str, headers: Mapping[str, str], body: bytes) -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Work:
    """What a job is given. `row` is as it was when the lease began; the lease is renewed for as long
    as the job runs, and a job that loses it is cancelled. `ask` has a request answered as a client's
    would be: limited, paced, told of. Raises what `Pipeline.serve` does not answer, never ApiError."""

    row: Row
    owner: str
    store: Store
    clock: Clock
    dice: Dice
    catalogue: Catalogue
    embedder: Kind
    #: Seconds of a back end's work in one of ours; infinite where answers take no time.
    pace: float
    ask: Callable[[Asked], Awaitable[Answered]]
    #: Who is told of ends; `announce` goes into the commit with `finish`.
    webhooks: Webhooks = NOBODY
    #: How many tokens of batches may wait for a vendor's model; None for any number.
    queue_limit: Callable[[str, str], float | None] = lambda vendor, model: None
    #: Sends a body with headers to a URL elsewhere. The status; 0 where nobody answers.
    post: Post = _reaches_nobody
    #: Whether code that comes as a grader may run here.
    runs_python: bool = False
    #: What the user has put ready, if anything.
    responder: Responder | None = None

    def finish(self, document: Document | None = None) -> Change:
        """The end of the work. The commit raises LeaseLost if somebody else has taken it over."""
        return finish(self.row.key, self.owner, document)

    def later(self, document: Document, due_at: float) -> Change:
        """Gives the work back until `due_at`. The commit raises LeaseLost."""
        return self.change(lambda row: replace(row, document=document, due_at=due_at, owner=""))

    def change(self, function: Callable[[Row], Row]) -> Change:
        """Of the row while we work on it. The commit raises LeaseLost."""

        def held(row: Row) -> Row:
            if row.owner != self.owner:
                raise LeaseLost(row.key)
            return function(row)

        return Change(self.row.key, held)


@dataclass(frozen=True)
class Job:
    """`run` works on one row of `kind` and commits what comes of it; `at_once` rows are worked on at
    a time in one process. What is wrong with the work itself is a result that it commits; an
    ApiError or a StoreError is told to the log, and the work is tried again later."""

    kind: str
    run: Callable[[Work], Awaitable[None]]
    at_once: int = 4
