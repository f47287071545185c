"""Answers of every kind come out of a cassette as they went in: the same bytes on the wire."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path

import pytest
import zstandard

from fakeai_proxy.app import App
from tests.conftest import serving
from tests.doubles.upstream import Answer, FakeUpstream, bytes_reply, json_reply, sse_reply

TARGET = "/v1/anything//at%2Fall?b=2&a=1&a=0"
UNICODE = 'data: {"delta":"Grüße, 世界 🎉"}\n\n'.encode()
TEXT = json.dumps({"object": "text", "data": "spam and eggs " * 500}).encode()

ANSWERS = {
    "json": json_reply({"a": 1.0, "b": [True, None], "ü": "\u2028"}),
    "an error": json_reply({"error": {"message": "overloaded"}}, 529, {"Retry-After": "3"}),
    "nothing": Answer(204, [(b"X-Empty", b"")], reason=b"No Content"),
    "binary": bytes_reply(bytes(range(256)) * 300, [(b"Content-Type", b"audio/mpeg")]),
    "gzip": bytes_reply(
        gzip.compress(TEXT, mtime=0),
        [(b"Content-Type", b"application/json"), (b"Content-Encoding", b"gzip")],
    ),
    "zstd": bytes_reply(
        zstandard.compress(TEXT),
        [(b"Content-Type", b"application/json"), (b"content-encoding", b"zstd")],
    ),
    "headers twice": Answer(
        200, [(b"Set-Thing", b"one"), (b"x-ODD-Case", b"  kept"), (b"Set-Thing", b"two")], [b"{}"]
    ),
    "a stream cut within a letter": sse_reply([UNICODE[:24], UNICODE[24:25], UNICODE[25:]] * 3),
    "an own reason": Answer(200, [], [b"x"], reason=b"Fine By Me"),
}


async def wire(app: App, headers: str, body: bytes) -> bytes:
    """Everything that comes back."""
    host, _, port = app.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST {TARGET} HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n{headers}\r\n".encode()
        + body
    )
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_is_replayed_to_the_byte(answer: Answer, tmp_path: Path) -> None:
    cassette = str(tmp_path / "bytes.fcz")
    question = b'{"q": "' + bytes([0xC3, 0xBC]) + b'"}'
    sized = f"Content-Type: application/json\r\nContent-Length: {len(question)}\r\n"
    chunked = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    async with FakeUpstream() as upstream:
        upstream.on("POST", TARGET, answer)
        async with serving(mode="record", cassette=(cassette,), upstream=upstream.url) as app:
            recorded = await wire(app, sized, question)
        assert upstream.requests[0].body == question
    assert recorded.startswith(b"HTTP/1.1 %d %b\r\n" % (answer.status, answer.reason))
    async with serving(
        mode="replay", cassette=(cassette,), timing="none", explain_hits=False
    ) as app:
        assert await wire(app, sized, question) == recorded
        in_pieces = b"4\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (
            question[:4], len(question) - 4, question[4:],
        )  # fmt: skip
        assert await wire(app, chunked, in_pieces) == recorded
