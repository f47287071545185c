"""What a fault is: a row with a name, its parameters, a sentence, and small functions at up to four points.

*before* answers instead of the source; *head* and *stage* change a reply on its way; *line* spoils the
connection to the client; *door* acts before a request is known. None of them knows where a reply came
from or how it is timed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from fakeai_proxy.errors import KINDS
from fakeai_proxy.exchange import Chunk, Exchange, Headers, Reply, header
from fakeai_proxy.providers import Provider, provider_of

if TYPE_CHECKING:
    from fakeai_proxy.shaping.faults.link import Link

#: Output tokens and body bytes assumed of a reply that does not tell how long it will be, where a
#: place in it is given as a share.
UNTOLD_TOKENS, UNTOLD_BYTES = 100, 4_000


class Params(BaseModel):
    """What can be set of a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


P = TypeVar("P", bound=Params)


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError("it is one of " + ", ".join(KINDS))
    return kind


#: One of the errors of `errors/catalogue.py`.
Kind = Annotated[str, AfterValidator(_known)]


class Where(Params):
    """A place within an answer."""

    after: int | None = Field(
        None, ge=0, description="Output tokens that pass first; instead of share."
    )
    share: float = Field(
        0.5, ge=0, le=1, description="Share of the answer that passes first (of 100 tokens, but within it, "
        "where nobody knows how long it will be)."
    )  # fmt: skip

    def tokens(self, reply: Reply) -> int:
        """Output tokens before the place."""
        if self.after is not None:
            return self.after
        return int(self.share * (_tokens(reply) or UNTOLD_TOKENS))

    def part(self, reply: Reply) -> float:
        """The share of the body before the place, where a body's tokens all come at once."""
        if self.after is None:
            return self.share
        return min(1.0, self.after / (_tokens(reply) or UNTOLD_TOKENS))


def _tokens(reply: Reply) -> int:
    if reply.workload is not None:
        return reply.workload.output_tokens
    if isinstance(reply.chunks, list | tuple):
        return sum([chunk.tokens for chunk in reply.chunks])
    return 0


def body_bytes(reply: Reply) -> int | None:
    """How long the body will be, None where nobody knows."""
    if isinstance(reply.chunks, list | tuple):
        sizes = [len(chunk.data) for chunk in reply.chunks if isinstance(chunk.data, bytes)]
        return sum(sizes) if len(sizes) == len(reply.chunks) else None
    length = header(reply.headers, b"content-length") or b""
    return int(length) if length.isdigit() else None


def counted_bytes(reply: Reply) -> int | None:
    """The length that a share of a body is of; None for a body that comes in one piece, whose own
    length it is."""
    total = body_bytes(reply)
    if total is None and not isinstance(reply.chunks, list | tuple) and not is_json(reply.headers):
        return UNTOLD_BYTES
    return total


def is_json(headers: Headers) -> bool:
    return b"json" in (header(headers, b"content-type") or b"").lower()


class Stop(Enum):
    """How a stage ends a body early."""

    WHOLE = auto()  # as if that were all
    CUT = auto()  # without the end that the protocol asks for


class Stage:
    """Changes a body chunk by chunk, one that is known in full and one that is still arriving alike.
    Data that is not there yet (a function of the admission) is passed on or changed with `edited`."""

    stopped: Stop | None = None

    def feed(self, chunk: Chunk) -> Iterable[Chunk]:
        return (chunk,)

    def end(self) -> Iterable[Chunk]:
        """What is left after the last chunk."""
        return ()


def edited(chunk: Chunk, edit: Callable[[bytes], bytes]) -> Chunk:
    data = chunk.data
    if isinstance(data, bytes):
        return chunk._replace(data=edit(data))
    return chunk._replace(data=lambda admission: edit(data(admission)))


def inserted(data: bytes, beside: Chunk) -> Chunk:
    """Bytes that stand for nothing and leave with the chunk beside them."""
    return Chunk(data, 0, beside.age_s)


class Case:
    """One fault of one exchange."""

    def __init__(
        self,
        exchange: Exchange,
        link: Link,
        until: Callable[[float], Awaitable[None]],
        roll: Callable[[], Random],
    ) -> None:
        """`until` waits for an instant; `roll` makes the dice for what the fault leaves to chance."""
        self.exchange = exchange
        self.link = link
        self.until = until
        self._roll = roll

    @cached_property
    def rng(self) -> Random:
        return self._roll()

    @property
    def provider(self) -> Provider:
        return provider_of(self.exchange.request)


#: What a stage works on: events of a stream and otherwise the whole body at once; events of a stream
#: and otherwise pieces as they come.
FRAMES, EVENTS = "frames", "events"
#: Which replies a fault is for.
ANY, STREAM, WHOLE = "any", "stream", "whole"


@dataclass(frozen=True)
class Fault(Generic[P]):
    name: str
    meaning: str
    params: type[P]
    #: As it is given to --fault.
    example: str
    before: Callable[[P, Case], Awaitable[Reply | None]] | None = None
    head: Callable[[P, Case, Reply], None] | None = None
    stage: Callable[[P, Case, Reply], Stage] | None = None
    line: Callable[[P, Case], None] | None = None
    #: At the front door: what is done is the door's business.
    at_door: bool = False
    unit: str = FRAMES
    on: str = ANY
    #: Stages of a higher rank come after those of a lower one: they count what is really sent.
    rank: int = 0
    #: The declared length stays what it was although the body does not.
    keeps_length: bool = False

    @property
    def points(self) -> tuple[str, ...]:
        """Where it acts, for its readers."""
        found = {"before": self.before, "reply": self.head or self.stage, "wire": self.line,
                 "door": self.at_door}  # fmt: skip
        return tuple([point for point, acts in found.items() if acts])


AnyFault = Fault[Any]
