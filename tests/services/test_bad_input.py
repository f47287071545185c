"""Hostile requests over a real socket: each is answered at once, with a 4xx in the envelope."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakeai_proxy.app import App
from tests.conftest import serving

GOOD = b'{"model":"text-embedding-3-small","input":"a","dimensions":2}'
JSON = (b"content-type: application/json",)
#: Real seconds after which an answer counts as missing.
PATIENCE_S = 20


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    #: Whether the server closed the connection, as it must have said.
    closed: bool

    @property
    def error(self) -> dict[str, object]:
        error = json.loads(self.body)["error"]
        assert {"message", "type", "param", "code"} <= set(error), error
        assert isinstance(error["message"], str)
        return dict(error)


async def ask(app: App, raw: bytes) -> Answer:
    """Send `raw`, read one response, and see that the connection still serves or was closed."""
    host, _, port = app.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 22)
    try:
        async with asyncio.timeout(PATIENCE_S):
            sending = asyncio.create_task(_send(writer, raw))
            answer = await _read(reader)
            await sending
            if answer.headers.get("connection", "") == "close":
                answer.closed = await reader.read(1) == b""
                assert answer.closed
            else:
                writer.write(request(body=GOOD))
                again = await _read(reader)
                assert again.status == 200, again
            return answer
    finally:
        writer.close()


async def _send(writer: asyncio.StreamWriter, raw: bytes) -> None:
    try:
        for start in range(0, len(raw), 1 << 16):
            writer.write(raw[start : start + (1 << 16)])
            await writer.drain()
    except ConnectionError:
        pass  # refused before the end: the answer is what counts


async def _read(reader: asyncio.StreamReader, head_only: bool = False) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])
    }
    length = 0 if head_only else int(headers.get("content-length", "0"))
    body = await reader.readexactly(length)
    return Answer(int(head[0].split()[1]), headers, body, False)


def request(
    body: bytes = b"",
    headers: tuple[bytes, ...] = JSON,
    path: bytes = b"/v1/embeddings",
    method: bytes = b"POST",
    length: bool = True,
) -> bytes:
    lines = [b"%b %b HTTP/1.1" % (method, path), b"host: x", b"authorization: Bearer k", *headers]
    if length:
        lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def field(value: bytes) -> bytes:
    return b'{"model":"text-embedding-3-small","input":' + value + b"}"


def packed(data: bytes, coding: bytes, raw: bytes) -> bytes:
    return request(raw, (*JSON, b"content-encoding: " + coding))


def bomb() -> bytes:
    """70 MB of spaces in 70 KB."""
    engine = zlib.compressobj(9, zlib.DEFLATED, 31)
    pieces = [engine.compress(b" " * (1 << 20)) for _ in range(70)]
    return b"".join(pieces) + engine.flush()


TABLE: dict[str, tuple[bytes, int]] = {
    "NaN": (request(field(b"NaN")), 400),
    "Infinity": (request(field(b"-Infinity")), 400),
    "a float beyond a double": (request(field(b"1e999")), 400),
    "400 digits": (request(field(b"[" + b"9" * 400 + b"]")), 400),
    "30 digits": (request(field(b"[" + b"9" * 30 + b"]")), 400),
    "trailing comma": (request(GOOD[:-1] + b",}"), 400),
    "a comment": (request(b"/* hi */" + GOOD), 400),
    "two values": (request(GOOD + GOOD), 400),
    "trailing words": (request(GOOD + b" x"), 400),
    "torn": (request(GOOD[:-9]), 400),
    "bad UTF-8": (request(field(b'"\xff\xfe"')), 400),
    "UTF-16": (request(GOOD.decode().encode("utf-16")), 400),
    "a byte order mark": (request(b"\xef\xbb\xbf" + GOOD), 400),
    "a NUL": (request(field(b'"a\x00b"')), 400),
    "a control character": (request(field(b'"a\nb"')), 400),
    "a lone surrogate": (request(field(b'"\\ud800"')), 400),
    "top-level list": (request(b"[" + GOOD + b"]"), 400),
    "top-level string": (request(b'"x"'), 400),
    "top-level null": (request(b"null"), 400),
    "nested 300 deep": (request(field(b"[" * 300 + b"]" * 300)), 400),
    "nested 1,000 deep": (request(field(b'{"a":' * 1000 + b"1" + b"}" * 1000)), 400),
    "nested 100,000 deep": (request(field(b"[" * 100_000)), 400),
    "an empty body": (request(b""), 400),
    "no body at all": (request(length=False), 400),
    "white space": (request(b" \r\n "), 400),
    "an empty object": (request(b"{}"), 400),
    "a form": (request(b"model=a&input=b", (b"content-type: application/x-www-form-urlencoded",)), 400),
    "text/plain": (request(GOOD, (b"content-type: text/plain",)), 400),
    "multipart": (request(b"--b--", (b"content-type: multipart/form-data; boundary=b",)), 400),
    "a content type of nonsense": (request(GOOD, (b"content-type: \xff;;=/",)), 400),
    "gzip that is none": (packed(GOOD, b"gzip", GOOD), 400),
    "torn gzip": (packed(GOOD, b"gzip", gzip.compress(GOOD)[:-9]), 400),
    "gzip with a tail": (packed(GOOD, b"gzip", gzip.compress(GOOD) + b"tail"), 400),
    "deflate that is none": (packed(GOOD, b"deflate", GOOD), 400),
    "an unknown coding": (packed(GOOD, b"squash", GOOD), 400),
    "two codings": (packed(GOOD, b"gzip, gzip", gzip.compress(gzip.compress(GOOD))), 400),
    "a zip bomb": (packed(GOOD, b"gzip", bomb()), 413),
    "an unknown path": (request(GOOD, path=b"/v1/embedding"), 404),
    "no version": (request(GOOD, path=b"/embeddings"), 404),
    "double slashes": (request(path=b"//v1//models", method=b"GET"), 404),
    "dots": (request(path=b"/v1/../../etc/passwd", method=b"GET"), 404),
    "percent-encoded nonsense": (request(path=b"/v1/%ff%00%zz", method=b"GET"), 404),
    "a model of nonsense": (request(path=b"/v1/models/%F0%9F%92%A9%FF%00", method=b"GET"), 404),
    "a very long path": (request(path=b"/v1/" + b"a" * 20_000, method=b"GET"), 404),
    "wrong method": (request(path=b"/v1/embeddings", method=b"GET"), 405),
    "another wrong method": (request(GOOD, method=b"PATCH"), 405),
    "OPTIONS from no page": (request(method=b"OPTIONS"), 405),
    "no key": (request(GOOD).replace(b"authorization", b"x-nothing"), 401),
    "a key of bytes": (request(GOOD).replace(b"Bearer k", b"Bearer invalid\xff\xfe\x80"), 401),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
async def test_a_hostile_request_is_refused_at_once(shared_app: App, name: str) -> None:
    raw, status = TABLE[name]
    answer = await ask(shared_app, raw)
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/json"
    assert answer.error["message"]


@pytest.fixture
async def shared_app() -> AsyncIterator[App]:
    async with serving(mode="synth") as app:
        yield app


@pytest.mark.parametrize(
    ("name", "raw", "statuses"),
    [
        ("a header of 200 KB", request(GOOD, (*JSON, b"x-big: " + b"a" * 200_000)), range(400, 500)),
        ("a path of 200 KB", request(path=b"/v1/" + b"a" * 200_000, method=b"GET"), range(400, 500)),
        ("bad chunked encoding",
         request(b"zz\r\nhello\r\n0\r\n\r\n", (*JSON, b"transfer-encoding: chunked"), length=False), [400]),
        ("a chunk longer than said",
         request(b"2\r\n" + GOOD, (*JSON, b"transfer-encoding: chunked"), length=False), [400]),
        ("no HTTP", b"good day\r\n\r\n", [400]),
        ("a made-up method", request(GOOD, method=b"BREW"), [400]),
        ("a path that is no UTF-8", request(path=b"/v1/\xff\xfe", method=b"GET"), [400]),
        ("a header without a colon", request(GOOD, (*JSON, b"nonsense")), [400]),
        ("a negative length", request(GOOD, (*JSON, b"content-length: -5"), length=False), [400]),
        ("two lengths", request(GOOD, (*JSON, b"content-length: 5")), [400]),
        ("a length and chunks", request(GOOD, (*JSON, b"transfer-encoding: chunked")), [400]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
async def test_what_is_no_http_is_answered_and_hung_up_on(
    shared_app: App, name: str, raw: bytes, statuses: list[int]
) -> None:
    answer = await ask(shared_app, raw)
    assert answer.status in statuses, answer
    assert answer.error["message"]
    assert answer.closed


async def test_a_body_that_is_declared_too_big_is_refused_before_it_is_sent(
    shared_app: App,
) -> None:
    head = request(headers=(*JSON, b"content-length: 100000000"), length=False)
    answer = await ask(shared_app, head)
    assert answer.status == 413
    assert "Maximum content size limit" in str(answer.error["message"])


async def test_a_body_that_grows_too_big_in_chunks_is_refused(shared_app: App) -> None:
    chunk = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
    head = request(headers=(*JSON, b"transfer-encoding: chunked"), length=False)
    answer = await ask(shared_app, head + chunk * 66)
    assert answer.status == 413


@pytest.mark.parametrize(
    "headers",
    [
        (b"content-type: application/json; charset=utf-8",),
        (b"content-type: APPLICATION/JSON",),
        (b"content-type: application/vnd.api+json",),
        (b"content-type: application/json;;; odd",),
        (),
    ],
)
async def test_json_is_recognized_however_it_is_announced(
    shared_app: App, headers: tuple[bytes, ...]
) -> None:
    assert (await ask(shared_app, request(GOOD, headers))).status == 200


@pytest.mark.parametrize(
    ("coding", "pack"), [(b"gzip", gzip.compress), (b"deflate", zlib.compress)]
)
async def test_a_compressed_body_is_read(shared_app: App, coding: bytes, pack: object) -> None:
    assert callable(pack)
    assert (await ask(shared_app, packed(GOOD, coding, pack(GOOD)))).status == 200


async def test_percent_encoding_in_a_path_is_undone(shared_app: App) -> None:
    raw = request(path=b"/v1/models/meta%2Fllama-3.1-8b-instruct", method=b"GET")
    answer = await ask(shared_app, raw)
    assert json.loads(answer.body)["id"] == "meta/llama-3.1-8b-instruct"


async def test_a_head_is_a_get_without_its_body(shared_app: App) -> None:
    host, _, port = shared_app.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    async with asyncio.timeout(PATIENCE_S):
        writer.write(request(path=b"/v1/models", method=b"HEAD", length=False))
        answer = await _read(reader, head_only=True)
        assert answer.status == 200
        assert int(answer.headers["content-length"]) > 100
        writer.write(request(GOOD))
        assert (await _read(reader)).status == 200
    writer.close()


async def test_a_page_in_a_browser_may_ask(shared_app: App) -> None:
    page = b"origin: http://localhost:3000"
    preflight = request(
        method=b"OPTIONS", headers=(page, b"access-control-request-method: POST")
    ).replace(b"authorization: Bearer k\r\n", b"")
    answer = await ask(shared_app, preflight)
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "authorization" in answer.headers["access-control-allow-headers"]
    for body, status in ((GOOD, 200), (b"{}", 400)):
        answer = await ask(shared_app, request(body, (*JSON, page)))
        assert answer.status == status
        assert answer.headers["access-control-allow-origin"] == "*"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
KEYS = st.sampled_from(["model", "input", "dimensions", "encoding_format", "user", "x", ""])


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.one_of(
        st.binary(max_size=200),
        JSON_VALUES.map(lambda value: json.dumps(value).encode()),
        st.dictionaries(KEYS, JSON_VALUES).map(
            lambda fields: json.dumps({"model": "text-embedding-3-small", **fields}).encode()
        ),
    )
)
def test_no_body_breaks_the_server(body: bytes) -> None:
    async def one() -> None:
        async with serving(mode="synth") as app:
            answer = await ask(app, request(body))
            assert answer.status == 200 or 400 <= answer.status < 500, answer
            if answer.status != 200:
                assert answer.error["message"]

    asyncio.run(one())
