"""The nouns that travel, and the protocols around them.

An `Exchange` is one request and all that happens to it. A `Source` turns it into a `Reply`: status,
headers and chunks, with the `Workload` that a GPU would have had. A reply that is known in full is
*scripted* (a list of chunks, played by the scheduler of `shaping/scheduler.py`); one that is still
arriving is *live* (an async iterator). A whole JSON body is a script of one chunk worth n tokens.
"""

from __future__ import annotations

from array import array
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal, NamedTuple

from fakeai_proxy.body import Body, Heard

if TYPE_CHECKING:
    from fakeai_proxy.dialogue import Dialogue, Passage

#: The id of the exchange that the running code works for, in threads, too.
current_id: ContextVar[str] = ContextVar("current_id", default="")
#: The project of whoever has none of their own.
PROJECT = "proj_default"

#: Ordered, duplicates kept, names as sent.
Headers = tuple[tuple[bytes, bytes], ...]

#: Headers that belong to one connection and are never passed on or recorded (RFC 9110, 7.6.1).
HOP_BY_HOP = frozenset(
    (
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization",
        b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
    )
)  # fmt: skip


#: The status of a WebSocket handshake that is agreed to.
SWITCHED = 101
#: Of what is asked with a WebSocket handshake, and within one.
SOCKET_METHOD = "WS"


def header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The first value under `name`, which is given in lower case."""
    for key, value in headers:
        if key.lower() == name:
            return value
    return None


def is_event_stream(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the body is server-sent events. Asked of every answer, so only one name is lowered."""
    for name, value in headers:
        if len(name) == 12 and name.lower() == b"content-type":
            return value[:17].lower() == b"text/event-stream"
    return False


def end_to_end(headers: Headers) -> Headers:
    """What may be passed on: without hop-by-hop headers and those that `Connection` names."""
    named = {
        token.strip().lower()
        for key, value in headers
        if key.lower() == b"connection"
        for token in value.split(b",")
    }
    return tuple(
        (key, value)
        for key, value in headers
        if key.lower() not in HOP_BY_HOP and key.lower() not in named
    )


@dataclass(frozen=True, slots=True)
class Origin:
    """The server that a forwarded request was meant for."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (
            host if self.port == {"http": 80, "https": 443}[self.scheme] else f"{host}:{self.port}"
        )

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}"


@dataclass(slots=True)
class Request:
    """A request as it came. `target` is the raw path with its query; `origin` is None when the
    client used us as its base URL. `dialect` names the vendor whose words to use where neither host
    nor path tells."""

    method: str
    target: str
    headers: Headers
    body: Body
    origin: Origin | None = None
    client: str = ""
    dialect: str = "auto"
    #: Requests of one session share one recorded order.
    session: str = ""
    _first: dict[bytes, bytes] = field(init=False, repr=False, compare=False)
    #: The last fingerprint and the body that it is of: faults and sources ask for the same.
    _fingerprint: tuple[bytes, bytes] | None = field(
        default=None, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        self._first = {name.lower(): value for name, value in reversed(self.headers)}

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def is_handshake(self) -> bool:
        """Whether a WebSocket is asked for."""
        upgrade = self._first.get(b"upgrade")
        return upgrade is not None and upgrade.lower() == b"websocket"

    @property
    def recorded_method(self) -> str:
        """What it is called in a cassette, where a WebSocket is another thing than a GET."""
        return SOCKET_METHOD if self.is_handshake else self.method

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    def header(self, name: bytes) -> bytes | None:
        """The first value under `name`, which is given in lower case."""
        return self._first.get(name)

    def text_header(self, name: bytes) -> str:
        """The first value as text, "" when absent."""
        value = self._first.get(name)
        return "" if value is None else value.decode("latin-1")

    def fingerprint(self, body: bytes) -> bytes:
        """What keys the dice: equal requests are equal here whatever their headers."""
        if self._fingerprint is not None and self._fingerprint[0] is body:
            return self._fingerprint[1]
        hashed = blake2b(
            f"{self.method} {self.target}\n".encode("utf-8", "surrogateescape"), digest_size=16
        )
        hashed.update(body)
        digest = hashed.digest()
        self._fingerprint = body, digest
        return digest


@dataclass(slots=True)
class Admission:
    """What the back end did with a workload; filled by the pacer before the first late chunk is
    rendered."""

    worker: str = ""
    cached_tokens: int = 0
    queue_s: float = 0.0


#: Why a model stops: it has said all, or it may say no more.
Finish = Literal["stop", "length"]


@dataclass(slots=True)  # and never changed: to freeze it would make it cost a microsecond more
class Workload:
    """What a GPU would have to do. `prompt` holds the token ids, for the prefix cache, and `output`
    those of the answer where they are known, so that the next turn of a conversation finds them
    there. `samples` answers are drawn from one prompt; `output_tokens` counts them all, and
    `output_limit` is what the client allows each of them (0: no limit of its own). Of requests that
    wait, a lower `priority` goes first. Requests of one `session` go to one worker while it serves.
    `finishes` says why each sample ends ("stop" or "length"); where it says nothing, `output_limit`
    tells. A request with several prompts has them as `parts`, which a back end works on side by side;
    everything else then counts them all. `strides` are the tokens that come with each step, where a
    prediction lets several through in one; empty where each step makes one."""

    model: str
    prompt: Sequence[int]
    output_tokens: int
    priority: int = 0
    samples: int = 1
    output: Sequence[int] = ()
    lora: str = ""
    cache_salt: str = ""
    output_limit: int = 0
    session: str = ""
    finishes: Sequence[Finish] = ()
    parts: Sequence[Workload] = ()
    strides: Sequence[int] = ()

    @classmethod
    def of(cls, parts: Sequence[Workload]) -> Workload:
        """The workload of a request with so many prompts."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            parts[0].model,
            [token for part in parts for token in part.prompt],
            sum([part.output_tokens for part in parts]),
            priority=parts[0].priority,
            samples=sum([part.samples for part in parts]),
            parts=parts,
        )

    @property
    def prompt_tokens(self) -> int:
        return len(self.prompt)


@dataclass(frozen=True, slots=True, eq=False)
class Usage:
    """What is paid for. `kind` is one of an organization's usage (completions, embeddings, images ...),
    `amounts` and `labels` have its names. `late` are the amounts that depend on how many tokens of a
    prompt were cached, which only the back end knows. The same one is counted twice more cheaply than
    two that are equal."""

    kind: str
    model: str
    amounts: Mapping[str, int]
    labels: Mapping[str, str] = field(default_factory=dict)
    late: Callable[[Admission], Mapping[str, int]] | None = None


class Chunk(NamedTuple):
    """Bytes of a body, the output tokens they stand for, and their age: seconds from the request's
    arrival to theirs, if they came from somewhere. `data` may be a function of the admission, for
    bytes that tell what the back end did (cached tokens)."""

    data: bytes | Callable[[Admission], bytes]
    tokens: int = 0
    age_s: float | None = None


#: The rate class of the lines of a batch.
BATCH = "batch"
#: Where a reply's content came from; a fault makes some of its own.
SYNTH, HIT, LIVE, FAULT = "SYNTH", "HIT", "LIVE", "FAULT"
#: What came of a request where there is a cassette, besides HIT and LIVE: recorded, answered by a
#: recording that no longer counts, and not on it.
NEW, STALE, MISS = "NEW", "STALE", "MISS"
#: What came of holding a live answer against its recording: of another status or shape, in other words
#: only, and there was none.
DRIFT, TEXT, SKIPPED = "DRIFT", "TEXT", "SKIPPED"


@dataclass(slots=True)
class Reply:
    """A status, headers and a body. Hop-by-hop headers are absent; without `content-length` the
    body is framed as the client's connection allows."""

    status: int
    headers: Headers
    chunks: Sequence[Chunk] | AsyncGenerator[Chunk]
    reason: str = ""
    workload: Workload | None = None
    provenance: str = SYNTH
    #: Seconds from the request's arrival to the response head, if recorded.
    head_age_s: float | None = None
    #: The body stops short of its end (an interrupted recording): the connection is cut after it.
    cut: bool = False
    #: Awaited before the end of the body goes out: what the client may rely on then. Raises ApiError.
    keep: Callable[[Admission], Awaitable[None]] | None = None
    #: Instead of a body: the connection becomes a WebSocket, on which we speak as this says.
    dialogue: Dialogue | None = None
    #: Instead of a body: the connection becomes a WebSocket and is joined with this one. Closing the
    #: chunks gives it back.
    passage: Passage | None = None
    usage: Sequence[Usage] = ()
    #: Why the model stopped, in the vendor's word; "" where the workload tells.
    finish: str = ""

    @property
    def script(self) -> Sequence[Chunk] | None:
        """The chunks where all of them are known; None of a live reply."""
        chunks = self.chunks
        if isinstance(chunks, (tuple, list)):  # no need to ask what a Sequence is
            return chunks
        return chunks if isinstance(chunks, Sequence) else None

    @property
    def live(self) -> AsyncGenerator[Chunk]:
        """The chunks of a reply that is no script."""
        assert not isinstance(self.chunks, Sequence)
        return self.chunks


@dataclass(slots=True, eq=False)
class Exchange:
    id: str
    request: Request
    arrived_at: float
    #: Keys the dice for this exchange; set by the source.
    dice_key: bytes = b""
    #: The operation that it asks for, as a path with names for what varies; "" until one is found.
    route: str = ""
    reply: Reply | None = None
    admission: Admission = field(default_factory=Admission)
    first_byte_at: float | None = None
    finished_at: float | None = None
    sent_bytes: int = 0
    #: When each chunk was written, as far as they are written one by one.
    instants: array[float] = field(default_factory=lambda: array("d"))
    #: What an upstream answered.
    heard: Heard | None = None
    #: What was to be played, where somebody wants to look at it afterwards.
    script: Sequence[Chunk] = ()
    #: What was done to it on purpose (faults with their parameters), and in which phase of a scenario.
    faults: tuple[str, ...] = ()
    phase: str = ""
    #: Whose it is: whose state it sees, and who pays. "" until a key has told.
    project: str = ""
    key_id: str = ""
    user_id: str = ""
    is_known: bool = False  # the key was made here
    is_admin: bool = False
    #: The class of service in which it is asked: "", "batch", "flex" or "priority".
    tier: str = ""
    #: Whoever asks counts what it uses, in the commit with what comes of it.
    is_accounted: bool = False
    #: What the limits had too little of (rpm, tpm ...; quota), and how long to wait for it.
    refused: tuple[str, float] | None = None
    #: How it ended: "" while it runs, then "ok", "error", "cut" or "client_gone".
    end: str = ""
    status: int = 0
    #: Why it was refused: a code, and the parameter that it is about.
    error: str = ""
    meter: Callable[[Exchange], None] | None = None
    #: What came of it where there is a cassette, and the id of the recording that it has to do with.
    verdict: str = ""
    recording: int = 0
    is_settled: bool = False

    @property
    def source(self) -> str:
        """Where its answer came from; "" where it was refused or left before there was one."""
        if self.reply is not None:
            return self.reply.provenance
        return FAULT if self.faults and self.end in ("error", "cut") else ""

    def settle(self) -> None:
        """The last bytes are about to leave: whoever has an answer finds it counted."""
        self.is_settled = True
        if self.meter is not None:
            meter, self.meter = self.meter, None
            meter(self)
