"""An upstream that does what a test tells it, to the byte.

    async with FakeUpstream() as up:
        up.on("POST", "/v1/chat/completions", json_reply({"id": "1"}))
        ... ask `up.url` ...
        assert up.requests[0].target == "/v1/chat/completions"

It is written on bare streams, so what it saw and sent is what was on the wire. A reply is a list of
steps: bytes go out in one write, an `asyncio.Event` is waited for, `CUT` aborts the connection, `CLOSE`
ends it in good order and `HANG` waits until the other side has gone. For WebSockets see `echo.py`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto

from tests.doubles.stream_server import StreamServer

Header = tuple[bytes, bytes]

#: Request bodies up to this are kept; longer ones are only counted and hashed.
KEPT_BYTES = 4 << 20


class Act(Enum):
    CUT = auto()
    CLOSE = auto()
    HANG = auto()


CUT, CLOSE, HANG = Act.CUT, Act.CLOSE, Act.HANG
Step = bytes | asyncio.Event | Act


@dataclass
class Answer:
    """What goes back. `steps` are body pieces, framed as `framing` says: "length" counts the bytes
    of all steps, "chunked" makes every piece a chunk, "none" adds nothing to the headers, "raw" sends
    the steps and no head."""

    status: int = 200
    headers: Sequence[Header] = ()
    steps: Sequence[Step] = ()
    framing: str = "length"
    reason: bytes = b"OK"
    #: Answer before the request body is read.
    early: bool = False
    #: Overrides the declared length, for bodies that stop short.
    length: int | None = None

    def head(self) -> bytes:
        lines = [b"HTTP/1.1 %d %b\r\n" % (self.status, self.reason)]
        lines += [b"%b: %b\r\n" % pair for pair in self.headers]
        if self.framing == "length":
            total = sum(len(step) for step in self.steps if isinstance(step, bytes))
            lines.append(
                b"Content-Length: %d\r\n" % (total if self.length is None else self.length)
            )
        elif self.framing == "chunked":
            lines.append(b"Transfer-Encoding: chunked\r\n")
        return b"".join(lines) + b"\r\n"


def json_reply(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Answer:
    given = [(name.encode(), text.encode()) for name, text in (headers or {}).items()]
    return Answer(
        status, [(b"Content-Type", b"application/json"), *given], [json.dumps(value).encode()]
    )


def sse_reply(steps: Iterable[Step], headers: Sequence[Header] = ()) -> Answer:
    """A stream: every piece of bytes is one chunk, written at once."""
    return Answer(
        200, [(b"Content-Type", b"text/event-stream"), *headers], list(steps), framing="chunked"
    )


def bytes_reply(body: bytes, headers: Sequence[Header] = (), status: int = 200) -> Answer:
    return Answer(status, headers, [body])


@dataclass
class Seen:
    """A request as it came in."""

    head: bytes
    connection: int
    body: bytes = b""
    size: int = 0
    sha256: str = ""
    chunked: bool = False
    #: The whole body is here.
    whole: asyncio.Event = field(default_factory=asyncio.Event)
    #: The reply is on its way or done.
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    #: The other side has closed the connection.
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def method(self) -> str:
        return self.head.split(b" ", 1)[0].decode()

    @property
    def target(self) -> bytes:
        return self.head.split(b"\r\n", 1)[0].split(b" ", 1)[1].rsplit(b" ", 1)[0]

    @property
    def headers(self) -> list[Header]:
        lines = self.head.split(b"\r\n")[1:-2]
        return [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]

    def header(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class FakeUpstream(StreamServer):
    def __init__(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        super().__init__(tls)
        self._host = host
        self._answers: dict[tuple[str, str], list[Answer]] = {}
        self._arrivals = asyncio.Condition()
        self.requests: list[Seen] = []

    @property
    def url(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://{self._host}:{self.port}"

    def on(self, method: str, target: str, *answers: Answer) -> None:
        """Several answers are given in order, the last for ever. `*` is any target."""
        self._answers[method, target] = list(answers)

    async def request(self, index: int = 0) -> Seen:
        """The request with this number, waited for."""
        async with self._arrivals:
            await self._arrivals.wait_for(lambda: len(self.requests) > index)
        return self.requests[index]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.connections
        ahead: bytes | None = b""
        while ahead is not None:
            ahead = await self._answer_one(reader, writer, number, ahead)

    async def _answer_one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int, ahead: bytes
    ) -> bytes | None:
        """One request and its answer; bytes of the next one, or None at the end."""
        seen = Seen(ahead + await reader.readuntil(b"\r\n\r\n"), number)
        answer = self._answer(seen)
        async with self._arrivals:
            self.requests.append(seen)
            self._arrivals.notify_all()
        if not answer.early:
            try:
                await _read_body(reader, seen)
            except (ConnectionError, asyncio.IncompleteReadError):
                seen.gone.set()
                raise
        writer.write(answer.head() if answer.framing != "raw" else b"")
        seen.answering.set()
        watch = asyncio.create_task(reader.read(1))
        try:
            for step in answer.steps:
                if not await _take(step, answer, writer, watch, seen):
                    return None
            if answer.framing == "chunked":
                writer.write(b"0\r\n\r\n")
            await writer.drain()
        finally:
            if not watch.done():
                watch.cancel()
        if watch.done():
            return watch.result() or None
        with suppress(asyncio.CancelledError):
            return await watch
        return b""

    def _answer(self, seen: Seen) -> Answer:
        target = seen.target.decode("latin-1")
        for key in (target, target.partition("?")[0], "*"):
            answers = self._answers.get((seen.method, key))
            if answers:
                return answers.pop(0) if len(answers) > 1 else answers[0]
        return json_reply({"error": {"message": f"no answer for {target}"}}, 404)


async def _take(
    step: Step,
    answer: Answer,
    writer: asyncio.StreamWriter,
    watch: asyncio.Task[bytes],
    seen: Seen,
) -> bool:
    """Whether the reply goes on after this step."""
    if isinstance(step, bytes):
        chunked = answer.framing == "chunked"
        writer.write(b"%x\r\n%b\r\n" % (len(step), step) if chunked else step)
        await writer.drain()
        return True
    if isinstance(step, asyncio.Event):
        wait = asyncio.create_task(step.wait())
        await asyncio.wait((wait, watch), return_when=asyncio.FIRST_COMPLETED)
        wait.cancel()
        if step.is_set():
            return True
        seen.gone.set()
        return False
    if step is HANG:
        with suppress(ConnectionError):
            await watch
        seen.gone.set()
    elif step is CUT:
        writer.transport.abort()
    return False


async def _read_body(reader: asyncio.StreamReader, seen: Seen) -> None:
    digest = hashlib.sha256()

    def take(piece: bytes) -> None:
        digest.update(piece)
        seen.size += len(piece)
        if seen.size <= KEPT_BYTES:
            seen.body += piece

    if (seen.header(b"transfer-encoding") or b"").lower() == b"chunked":
        seen.chunked = True
        while size := int(await reader.readuntil(b"\r\n"), 16):
            take(await reader.readexactly(size))
            await reader.readexactly(2)
        await reader.readuntil(b"\r\n")
    else:
        left = int(seen.header(b"content-length") or 0)
        while left:
            piece = await reader.read(min(left, 1 << 16))
            if not piece:
                raise asyncio.IncompleteReadError(b"", left)
            left -= len(piece)
            take(piece)
    seen.sha256 = digest.hexdigest()
    seen.whole.set()
