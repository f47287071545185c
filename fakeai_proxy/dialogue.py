"""Our side of a WebSocket, and the other end of one that is passed through: the protocols between whoever
speaks and whoever has the connection."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import Admission, Headers, Usage, Workload


class Onlooker(Protocol):
    """Sees a WebSocket that is passed through."""

    def saw(self, from_client: bool, data: bytes) -> Awaitable[None] | None:
        """Bytes came from one side. What is given is waited for before they go on."""

    async def ended(self, by_client: bool) -> None:
        """One side is gone; the other does not know it yet."""


@dataclass(slots=True)
class Passage:
    """An upstream's end of a WebSocket. `connection` is its transport's owner, which only whoever
    opened it and whoever joins it look into."""

    connection: object
    onlookers: list[Onlooker] = field(default_factory=list)


class Say(NamedTuple):
    """Send this message, a text in UTF-8, at once."""

    message: bytes


class Begin(NamedTuple):
    """Have a model work on `turn`; the dialogue is told as it gets on (`Dialogue.advance`)."""

    turn: Turn


class Stop(NamedTuple):
    """The turn with this key is given up."""

    key: str


class Close(NamedTuple):
    """Send a close frame (RFC 6455, 7.4); nothing is said after it."""

    code: int
    reason: str


class Wire(NamedTuple):
    """Send these bytes, which are whole frames, at once."""

    frames: bytes


class Vanish(NamedTuple):
    """End the connection without a word."""


class Missed(NamedTuple):
    """What the client has said is not on the cassette."""


Effect = Say | Begin | Stop | Close | Wire | Vanish | Missed


class Turn(Protocol):
    """What is said at the pace of a model: an exchange within a dialogue. `demand` is what a body
    that asked for it would hold, for whoever limits tokens."""

    @property
    def key(self) -> str: ...

    @property
    def dice_key(self) -> bytes:
        """Of what is said: known when it is prepared."""

    @property
    def demand(self) -> Mapping[str, object]: ...

    @property
    def usage(self) -> Sequence[Usage]:
        """What it has used by now."""

    def prepare(self) -> tuple[Workload, Sequence[int]]:
        """The work, and after how many tokens each there is something to say. Computes for as long
        as it takes, in any thread. Raises ApiError."""

    async def keep(self, admission: Admission) -> None:
        """As `Reply.keep`, before the last step. Raises ApiError."""


class Dialogue(Protocol):
    """Our side of a WebSocket: a core without socket, clock or task. Whoever drives it passes in what
    came and when, and does the effects in their order."""

    @property
    def subprotocols(self) -> Sequence[str]: ...

    @property
    def message_bytes_max(self) -> int:
        """Longer messages end the connection with 1009."""

    def open(self, now: float) -> Sequence[Effect]: ...

    def read(self, message: str | bytes) -> object:
        """What a message says. Changes nothing, so that a large one can be read in a thread; the
        next message is read after this one is received."""

    def receive(self, event: object, now: float) -> Sequence[Effect]:
        """`event` is what `read` made."""

    def advance(
        self, key: str, place: int, admission: Admission, headers: Headers, now: float
    ) -> Sequence[Effect]:
        """The turn has the tokens for its step at `place`. `headers` tell how its sender stands in
        the limits."""

    def fail(self, key: str, error: ApiError, now: float) -> Sequence[Effect]:
        """The turn comes to nothing, or no further."""

    def due_at(self) -> float | None:
        """When to `wake` it, if nothing comes before."""

    def wake(self, now: float) -> Sequence[Effect]: ...
