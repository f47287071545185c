"""An upstream of traps, recorded through sockets by the real program and replayed by it: the same bytes on
the wire, at the same instants, with the same ends."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import brotli
import zstandard

from fakeai_proxy.app import App
from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.clock import VirtualClock, turn
from tests.cassette.made import held
from tests.conftest import serving
from tests.doubles.upstream import CLOSE, CUT, Answer, FakeUpstream, Step

#: What passes between two pieces: a number that binary fractions hold exactly, so that sums do too.
GAP_S = 0.125
#: The end of a body, where a connection or a chunk of its own tells it, comes with the last piece: how much
#: later it came is not recorded. Turns of the event loop in which whatever can be seen has been.
TURNS = 60


class Hidden(bytes):
    """A piece of which a client sees nothing yet."""


@dataclass
class Trap:
    """`pieces` leave one by one, each `GAP_S` after the one before. `end` is how it is recorded."""

    pieces: Sequence[bytes]
    request: bytes = b""
    method: str = "GET"
    end: str = "eof"
    #: After the last piece, instead of keeping the connection.
    last: Any = None
    #: Reads of the body, where they can be told from here.
    cuts: Sequence[int] | None = None
    again: bytes = b""


def head(*lines: bytes, status: bytes = b"200 OK") -> bytes:
    return b"\r\n".join((b"HTTP/1.1 " + status, *lines, b"", b""))


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


SSE, CHUNKED = b"Content-Type: text/event-stream", b"Transfer-Encoding: chunked"
STREAM = head(SSE, CHUNKED)
LAST = chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
JSON = b"Content-Type: application/json"
OWL = 'data: {"delta":"\N{OWL} Übung"}\n\n'.encode()
TEXT = b'{"text": "' + b"many words of a kind, " * 40 + b'"}'
CODED = {
    b"gzip": gzip.compress(TEXT, mtime=0),
    b"deflate": zlib.compress(TEXT),
    b"br": brotli.compress(TEXT),
    b"zstd": zstandard.compress(TEXT),
}


def streamed(*pieces: bytes, **more: Any) -> Trap:
    """Each piece as a chunk of its own."""
    whole = [STREAM, *map(chunk, pieces), LAST]
    return Trap(whole, cuts=[*map(len, pieces), 14], **more)


def measured(body: bytes, *lines: bytes, **more: Any) -> Trap:
    pieces = [head(*lines, b"Content-Length: %d" % len(body)), *([body] if body else ())]
    return Trap(pieces, cuts=[len(piece) for piece in pieces[1:]], **more)


def posted(body: bytes, *lines: bytes) -> bytes:
    return b"\r\n".join((*lines, b"Content-Length: %d" % len(body), b"", body))


TRAPS: dict[str, Trap] = {
    "a character cut in two": streamed(OWL[:17], OWL[17:18], OWL[18:]),
    "CRLF": streamed(b"event: a\r\ndata: 1\r\n", b"\r\ndata: 2\r\n\r", b"\n"),
    "LF and CRLF and CR": streamed(b"data: 1\n\ndata: 2\r\n\r\ndata: 3\r\rdata: 4\r\n\n"),
    "comments": streamed(b": ping\n\n", b":\n\ndata: 1\n\n", b": \xc3\xa9\n"),
    "one byte at a time": streamed(*(bytes((byte,)) for byte in OWL)),
    "a chunk that is announced long before it comes": Trap(
        [STREAM, Hidden(b"5\r\n"), b"hel", b"lo", Hidden(b"\r\n"), LAST], cuts=[3, 2, 14]
    ),
    "chunk extensions and large sizes": Trap(
        [STREAM, b"0000005;a=b\r\nhello\r\n", b"A \r\n0123456789\r\n", LAST], cuts=[5, 10, 14]
    ),
    "trailers": Trap(
        [head(SSE, CHUNKED, b"Trailer: X-Sum"), chunk(b"data: 1\n\n"),
         chunk(b"data: 2\n\n") + b"0\r\nX-Sum: abc\r\n\r\n"], cuts=[9, 9],
    ),
    "many headers of one name, odd ones, empty ones": measured(
        b"{}", JSON, b"X-A: 1", b"x-a: 2", b"X-A: 1", b"X-Odd: caf\xe9 \xff", b"X-None:", b"X-B:  b "
    ),
    "an odd reason": Trap([head(b"Content-Length: 2", status=b"299 Tr\xe8s  bien"), b"ok"], cuts=[2]),
    "no reason": Trap([head(b"Content-Length: 2", status=b"200 "), b"ok"], cuts=[2]),
    "no length, until the end of the connection": Trap([head(JSON), b'{"a":', b"1}"], last=CUT, cuts=[5, 2]),
    "HTTP/1.0": Trap([b"HTTP/1.0 200 OK\r\n\r\n", b"old"], last=CUT, cuts=[3]),
    "an empty body": measured(b""),
    "only the end of chunks": Trap([head(JSON, CHUNKED) + b"0\r\n\r\n"], cuts=[]),
    "interim answers": Trap(
        [Hidden(b"HTTP/1.1 100 Continue\r\n\r\n"), Hidden(head(b"Link: </a>", status=b"103 Early Hints")),
         head(b"Content-Length: 2"), b"ok"], cuts=[2],
    ),
    "204": Trap([head(b"X-A: 1", status=b"204 No Content")], cuts=[]),
    "304": Trap([head(b'ETag: "x"', b"Content-Length: 99", status=b"304 Not Modified")], cuts=[]),
    "HEAD": Trap([head(b"Content-Length: 1234")], method="HEAD", cuts=[]),
    "a redirect": Trap(
        [head(b"Location: http://elsewhere.test/", b"Content-Length: 5", status=b"302 Found"), b"there"],
        cuts=[5],
    ),
    "a stall of ten minutes less one": streamed(b"data: 1\n\n", *[b": still here\n\n"] * 3),
    "a reset within a chunk": Trap(
        [STREAM, chunk(b"data: 1\n\n"), b"ff\r\nhalf of"], last=CUT, end="reset", cuts=[9, 7]
    ),
    "a reset between chunks": Trap([STREAM, chunk(b"data: 1\n\n")], last=CUT, end="reset", cuts=[9]),
    "a body that is shorter than it said": Trap(
        [head(JSON, b"Content-Length: 20"), b'{"a":'], last=CUT, end="reset", cuts=[5]
    ),
    "a reset after the head": Trap([head(JSON, b"Content-Length: 9")], last=CUT, end="reset", cuts=[]),
    "a body that is no chunk": Trap(
        [STREAM, chunk(b"data: 1\n\n"), Hidden(b"zz\r\n")], last=CUT, end="reset", cuts=[9]
    ),
    "a request in chunks": Trap(
        [head(b"Content-Length: 2"), b"ok"], method="POST", cuts=[2],
        request=b'Transfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n',
        again=posted(b'{"a":1}'),
    ),
    "an event of ten megabytes": Trap(
        [STREAM, chunk(b"data: " + b"0123456789abcdef" * (10 << 16) + b"\n\n"), LAST]
    ),
    "ten megabytes of no text": Trap(
        [head(b"Content-Type: audio/wav", b"Content-Length: %d" % (10 << 20)), bytes(range(256)) * (40 << 10)]
    ),
    **{
        f"{coding.decode()}, cut": Trap(
            [head(JSON, b"Content-Encoding: " + coding, b"Content-Length: %d" % len(data)),
             data[:7], data[7:]], cuts=[7, len(data) - 7],
        )
        for coding, data in CODED.items()
    },
    "a coding that it is not": measured(
        b"not gzip at all", b"Content-Encoding: gzip", b"Content-Type: image/png"
    ),
    "gzip, streamed": Trap(
        [head(SSE, CHUNKED, b"Content-Encoding: gzip"), chunk(CODED[b"gzip"][:11]),
         chunk(CODED[b"gzip"][11:]) + b"0\r\n\r\n"], cuts=[11, len(CODED[b"gzip"]) - 11],
    ),
}  # fmt: skip


def path_of(name: str) -> bytes:
    return b"/v1/" + name.replace(" ", "-").replace(",", "").encode()


@dataclass
class Wire:
    """What a client saw: how much had come by which instant, since it asked, and all of it."""

    seen: list[tuple[float, int]] = field(default_factory=list)
    data: bytearray = field(default_factory=bytearray)
    ended: bool = False

    async def read(self, reader: asyncio.StreamReader, clock: VirtualClock, began: float) -> None:
        try:
            while piece := await reader.read(1 << 16):
                self.data += piece
                at = round(clock.now() - began, 6)
                if self.seen and self.seen[-1][0] == at:
                    self.seen.pop()
                self.seen.append((at, len(self.data)))
        except ConnectionResetError:
            pass
        self.ended = True


async def asked(
    app: App, clock: VirtualClock, trap: Trap, target: bytes, gates: Sequence[asyncio.Event] = ()
) -> Wire:
    """The answer to the trap's request; `gates` let one piece of it pass each."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(app.url.rpartition(":")[2]))
    more = (trap.request if gates else trap.again or trap.request) or b"\r\n"
    began, wire = clock.now(), Wire()
    writer.write(
        b"%b %b HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-test\r\nConnection: close\r\n%b"
        % (trap.method.encode(), target, more)
    )
    reading = asyncio.create_task(wire.read(reader, clock, began))
    for _ in gates and range(TURNS):
        await turn()  # until the request has arrived, at this instant
    for place, gate in enumerate(gates):
        if place < len(trap.pieces):
            clock.advance(GAP_S * (1 if place % 3 else 4783))
        wanted = len(wire.data) + _visible(trap, place)
        gate.set()
        for count in range(1 << 30):
            await turn()
            if wire.ended or (len(wire.data) >= wanted and count > _turns(trap, place)):
                break
            assert count < 100_000, (target, place, bytes(wire.data[-200:]))
    await reading
    writer.close()
    return wire


def _visible(trap: Trap, place: int) -> int:
    """How many bytes a client has got when all of a piece has come, at least."""
    if place >= len(trap.pieces) or isinstance(trap.pieces[place], Hidden):
        return 0
    return max(1, len(trap.pieces[place]) - 16 if len(trap.pieces[place]) > 1 << 16 else 1)


def _turns(trap: Trap, place: int) -> int:
    hidden = place < len(trap.pieces) and isinstance(trap.pieces[place], Hidden)
    return TURNS if hidden else 0


def stepping(trap: Trap) -> tuple[Answer, list[asyncio.Event]]:
    gates = [asyncio.Event() for _ in trap.pieces]
    steps: list[Step] = []
    for gate, piece in zip(gates, trap.pieces, strict=True):
        steps += [gate, piece]
    if trap.last is not None:
        gates.append(asyncio.Event())
        steps += [gates[-1], trap.last]
    return Answer(steps=steps, framing="raw"), gates


async def test_every_trap_is_replayed_as_it_was_recorded(tmp_path: Path) -> None:
    path = tmp_path / "c.fcz"
    clock = VirtualClock(autojump=False)
    first: dict[str, Wire] = {}
    chosen = {"cassette": (path,), "explain_hits": False}
    async with (
        FakeUpstream() as up,
        serving(clock, mode="record", upstream=up.url, **chosen) as app,
    ):
        for name, trap in TRAPS.items():
            answer, gates = stepping(trap)
            up.on(trap.method, path_of(name).decode(), answer)
            first[name] = await asked(app, clock, trap, path_of(name), gates)
    recorded = {record.request.target.encode(): record for record, _, _ in held(path)}
    clock = VirtualClock()
    async with serving(clock, mode="replay", replay_interrupted=True, **chosen) as app:
        for name, trap in TRAPS.items():
            again = await asked(app, clock, trap, path_of(name))
            assert digest(again) == digest(first[name]), (
                name,
                again.data[:900],
                first[name].data[:900],
            )
            assert again.seen == first[name].seen, name
            _check(name, trap, recorded[path_of(name)])


def digest(wire: Wire) -> str:
    return sha256(wire.data).hexdigest()


def _check(name: str, trap: Trap, record: Interaction) -> None:
    assert record.end == trap.end, name
    assert record.response is not None
    if trap.cuts is not None:
        assert list(record.response.cuts) == list(trap.cuts), name


async def test_many_requests_on_one_connection_are_answered_in_their_order(tmp_path: Path) -> None:
    """All come at once, some in chunks; the upstream keeps some connections and closes others."""
    path = tmp_path / "c.fcz"
    chosen = {"cassette": (path,), "explain_hits": False, "timing": "none"}
    requests = []
    for place in range(12):
        body = b'{"n": %d}' % place
        framing = b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        if place % 3 == 0:
            framing = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        requests.append(b"POST /v1/%d HTTP/1.1\r\nHost: x\r\n%b" % (place % 2, framing))
    requests.append(b"GET /v1/end HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    async with FakeUpstream() as up, serving(mode="record", upstream=up.url, **chosen) as app:
        up.on("POST", "/v1/0", *(measured_answer(place) for place in range(6)))
        up.on("POST", "/v1/1", *(chunked_answer(place) for place in range(6)))
        up.on("GET", "/v1/end", measured_answer(99))
        first = await _pipelined(app, requests)
    assert first.count(b"HTTP/1.1 200") == 13
    assert len(held(path)) == 13
    async with serving(mode="replay", **chosen) as app:
        assert await _pipelined(app, requests) == first
        one_by_one = b"".join([await _pipelined(app, [one, requests[-1]]) for one in requests[:2]])
        assert b'{"answer": 0}' in one_by_one


def measured_answer(place: int) -> Answer:
    return Answer(steps=[b'{"answer": %d}' % place])


def chunked_answer(place: int) -> Answer:
    """Every other is the last on its connection."""
    lines = (CHUNKED, b"Connection: close") if place % 2 else (CHUNKED,)
    pieces = [head(*lines), chunk(b"one %d" % place), chunk(b"two") + b"0\r\n\r\n"]
    return Answer(steps=[*pieces, CLOSE] if place % 2 else pieces, framing="raw")


async def _pipelined(app: App, requests: Sequence[bytes]) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(app.url.rpartition(":")[2]))
    writer.write(b"".join(requests))
    answer = await reader.read(-1)
    writer.close()
    return answer
