"""What faults of the body look like on the wire, to the byte, to a client on a bare socket.

The upstream sends the stream in reads that have nothing to do with its events.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from itertools import pairwise

import pytest

from tests.conftest import Ended, Serve
from tests.doubles.upstream import Answer, FakeUpstream, bytes_reply, json_reply, sse_reply
from tests.shaping.test_faults_everywhere import CHAT, ask


def event(text: str) -> bytes:
    delta = f'{{"delta":{{"content":"{text}"}},"finish_reason":null}}'
    return f'data: {{"model":"m","choices":[{delta}]}}\n\n'.encode()


FINISH = b'data: {"model":"m","choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"model":"m","choices":[],"usage":{"total_tokens":9}}\n\n'
DONE = b"data: [DONE]\n\n"
A, B, C, D = map(event, ("one", "two", "drei", "fünf"))
EVENTS = [A, B, C, D, FINISH, USAGE, DONE]
STREAM = b"".join(EVENTS)
ERROR = (
    b'data: {"error":{"message":"The server had an error while processing your request. Sorry about '
    b'that!","type":"server_error","param":null,"code":null}}\n\n'
)

#: A fault -> the events that come, and whether they come to an orderly end.
GOLDEN: dict[str, tuple[list[bytes], bool]] = {
    "cut:after=2": ([A, B], False),
    "cut:after=2,within=true": ([A, B, C[: len(C) // 2]], False),
    "cut:after=0": ([], False),
    "reset:after=3": ([A, B, C], False),
    "truncate:after=2": ([A, B], True),
    "error_event:after=1": ([A, ERROR], True),
    "error_event:after=1,message=gone": (
        [A, b'data: {"error":{"message":"gone","type":"server_error","param":null,"code":null}}\n\n'],
        True,
    ),
    "no_done": (EVENTS[:-1], True),
    "double_done": ([*EVENTS, DONE], True),
    "duplicate:nth=2": ([A, B, B, C, D, D, FINISH, USAGE, USAGE, DONE], True),
    "reorder:after=1": ([A, C, B, D, FINISH, USAGE, DONE], True),
    "comments:nth=3": ([A, B, b": keep-alive\n\n", C, D, FINISH, b": keep-alive\n\n", USAGE, DONE], True),
    "no_blank_line:nth=3": ([A, B, C[:-1], D, FINISH, USAGE[:-1], DONE], True),
    "malformed_json:after=1": ([A, B[:-3] + b"\n\n", C, D, FINISH, USAGE, DONE], True),
    "huge_event:after=3,bytes=60": (
        [A, B, C, D.replace(b"{", b'{"padding":"' + b"x" * 47 + b'",', 1), FINISH, USAGE, DONE], True
    ),
    "split_utf8": ([event("éone"), event("étwo"), event("édrei"), D, FINISH, USAGE, DONE], True),
    "split_utf8:drop=true": (
        [*(event(f"é{text}").replace("é".encode(), b"\xc3") for text in ("one", "two", "drei")),
         D.replace("ü".encode(), b"\xc3"), FINISH, USAGE, DONE], True
    ),
    "no_usage": ([A, B, C, D, FINISH, USAGE.replace(b',"usage":{"total_tokens":9}', b""), DONE], True),
    "wrong_model:name=other": ([one.replace(b'"m"', b'"other"') for one in EVENTS], True),
    "finish:reason=length": ([A, B, C, D, FINISH.replace(b"stop", b"length"), USAGE, DONE], True),
    "refusal:message=no": (
        [A.replace(b'"content":"one"', b'"content":"","refusal":"no"'),
         *(one.replace(b'"content":"%b"' % text, b'"content":"","refusal":""')
           for one, text in ((B, b"two"), (C, b"drei"), (D, "fünf".encode()))), FINISH, USAGE, DONE], True
    ),
}  # fmt: skip


def in_pieces(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


def taken_apart(answer: bytes) -> tuple[bytes, list[bytes], bool]:
    """Head, chunks, and whether the last chunk said that it was the last."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head.lower()
    chunks = []
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            return head, chunks, rest == b"\r\n"
        assert rest[length : length + 2] == b"\r\n"
        chunks.append(rest[:length])
        rest = rest[length + 2 :]
    return head, chunks, False


async def through(
    serve: Serve, fault: str, answer: Answer, ended: Ended | None = None, **settings: object
) -> bytes:
    async with FakeUpstream() as upstream:
        upstream.on("POST", CHAT, answer)
        app = await serve(
            observer=ended, mode="pass", upstream=upstream.url, fault=(fault,), **settings
        )
        return await ask(app, b"{}")


@pytest.mark.parametrize("size", [7, 100, 10_000])
@pytest.mark.parametrize("fault", GOLDEN)
async def test_a_stream_is_spoiled_event_by_event(serve: Serve, fault: str, size: int) -> None:
    events, whole = GOLDEN[fault]
    ended = Ended()
    answer = await through(serve, fault, sse_reply(in_pieces(STREAM, size)), ended)
    head, chunks, ends = taken_apart(answer)
    assert b"".join(chunks) == b"".join(events)
    assert ends is whole
    assert b"\r\nx-fakeai-fault: " + fault.encode() in head
    assert ended.exchanges[0].faults == (fault,)
    assert ended.exchanges[0].end == ("ok" if whole else "cut")


async def test_letters_are_split_between_two_reads(serve: Serve) -> None:
    _, chunks, _ = taken_apart(await through(serve, "split_utf8", sse_reply([STREAM])))
    halves = [(one[-1:], two[:1]) for one, two in pairwise(chunks) if one[-1] > 127]
    assert halves == [(b"\xc3", b"\xa9")] * 3 + [(b"\xc3", b"\xbc")]


async def test_garbled_letters_are_the_same_ones_every_time(serve: Serve) -> None:
    once = [await through(serve, "garble:share=0.5", sse_reply([STREAM])) for _ in range(2)]
    assert once[0].partition(b"\r\n\r\n")[2] == once[1].partition(b"\r\n\r\n")[2]
    events = b"".join(taken_apart(once[0])[1])
    assert events != STREAM
    assert len(events.decode()) == len(STREAM.decode())


SAID = {"model": "m", "choices": [{"message": {"role": "assistant", "content": '{"a":"x"}'},
                                   "finish_reason": "stop"}], "usage": {"total_tokens": 9}}  # fmt: skip
BODY = json.dumps(SAID).encode()


async def test_a_body_is_cut_short_of_its_declared_length(serve: Serve) -> None:
    head, _, body = (await through(serve, "cut:share=0.5", json_reply(SAID))).partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(BODY) in head
    assert body == BODY[: len(BODY) // 2]


@pytest.mark.parametrize("size", [5, 1000])
async def test_a_body_of_unknown_length_is_cut_where_it_should_be(serve: Serve, size: int) -> None:
    headers = [(b"Content-Type", b"application/json")]
    answer = Answer(200, headers, in_pieces(BODY, size), framing="chunked")
    _, chunks, whole = taken_apart(await through(serve, "cut:share=0.25", answer))
    assert (b"".join(chunks), whole) == (BODY[: len(BODY) // 4], False)


async def test_a_truncated_body_of_ours_declares_what_it_sends(serve: Serve) -> None:
    app = await serve(fault=("truncate:share=0.5",), profile="none")
    question = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}'
    head, _, body = (await ask(app, question)).partition(b"\r\n\r\n")
    assert b"content-length: %d\r\n" % len(body) in head
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


@pytest.mark.parametrize(("by", "declared"), [(-10, len(BODY) - 10), (25, len(BODY) + 25)])
async def test_a_wrong_length_is_declared(serve: Serve, by: int, declared: int) -> None:
    answer = await through(serve, f"content_length:by={by}", json_reply(SAID))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-length: %d\r\n" % declared in head
    assert body == BODY


async def test_a_server_of_http_1_0_sends_no_chunks_and_closes(serve: Serve) -> None:
    answer = await through(serve, "http10", sse_reply([STREAM]))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK\r\n")
    assert b"chunked" not in head
    assert body == STREAM


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("no_usage", {key: value for key, value in SAID.items() if key != "usage"}),
        ("wrong_model:name=n", {**SAID, "model": "n"}),
        ("finish:reason=length", {**SAID, "choices": [{**SAID["choices"][0], "finish_reason": "length"}]}),  # type: ignore[index]
        ("invalid_output", {**SAID, "choices": [{"message": {"role": "assistant",
         "content": '{"a":0,"unexpected":true}'}, "finish_reason": "stop"}]}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("coded", [False, True])
async def test_a_whole_body_is_changed_where_it_says_so(
    serve: Serve, fault: str, expected: object, coded: bool
) -> None:
    headers = [(b"Content-Type", b"application/json")]
    answer = bytes_reply(BODY, headers)
    if coded:
        answer = bytes_reply(gzip.compress(BODY), [*headers, (b"Content-Encoding", b"gzip")])
    head, chunks, whole = taken_apart(await through(serve, fault, answer))
    assert whole
    assert b"encoding: gzip" not in head.lower()
    assert json.loads(b"".join(chunks)) == expected


async def test_what_cannot_be_read_is_left_alone_and_not_claimed(serve: Serve) -> None:
    ended = Ended()
    coded = bytes_reply(
        b"\x01\x02", [(b"Content-Type", b"application/json"), (b"Content-Encoding", b"br")]
    )
    answer = await through(serve, "no_usage", coded, ended)
    assert answer.endswith(b"\r\n\r\n\x01\x02")
    assert b"x-fakeai-fault" not in answer
    assert ended.exchanges[0].faults == ()


async def test_the_mark_can_be_turned_off(serve: Serve) -> None:
    answer = await through(serve, "no_usage", json_reply(SAID), fault_mark=False)
    assert b"x-fakeai-fault" not in answer
    assert b"total_tokens" not in answer


async def test_a_reset_is_a_reset(serve: Serve) -> None:
    app = await serve(fault=("reset:after=0",), profile="none")
    host, _, port = app.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" % CHAT.encode())
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        ("html:code=502", b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\n"),
        ("empty", b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 0\r\n"),
        ("redirect", b"HTTP/1.1 307 Temporary Redirect\r\n"),
        ("503", b"HTTP/1.1 503 Service Unavailable\r\n"),
        ("hang_up", b""),
    ],
)
async def test_an_answer_is_given_instead(serve: Serve, fault: str, answer: bytes) -> None:
    ended = Ended()
    app = await serve(observer=ended, fault=(fault,))
    got = await ask(app, b"{}")
    assert got.startswith(answer)
    if fault == "redirect":
        assert f"\r\nlocation: {CHAT}\r\n".encode() in got
    if not answer:
        assert got == b""
