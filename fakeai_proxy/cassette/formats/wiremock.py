"""WireMock's stub mappings, with the bodies that lie in its `__files`.

A mapping says what a request must be like. What it recorded itself says so exactly, and is imported; one
that any of several requests would meet is no recording of one, and is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fakeai_proxy.cassette.formats.fields import Fields, read_bytes, read_json
from fakeai_proxy.cassette.formats.seen import (
    Answer,
    Seen,
    Several,
    Skipped,
    Times,
    headers_of,
    settled,
    split_url,
    upstream_of,
    with_type,
)
from fakeai_proxy.errors import CassetteError

#: What a stub must not have to be a recording, and how to say it.
_NO_REPLY = {"proxyBaseUrl": "it is passed on to a server", "fault": "it breaks the connection"}


def read(files: Sequence[Path], tell: Callable[[int, int], None]) -> Iterator[Seen | Skipped]:
    stubs: list[Fields] = []
    for path in files:
        document = Fields(read_json(path), path)
        stubs += document.objects("mappings") if document.has("mappings") else [document]
    stubs.sort(key=_order)
    for done, stub in enumerate(stubs, 1):
        try:
            yield _seen(stub)
        except Several as reason:
            yield Skipped(stub.place, str(reason))
        tell(done, len(stubs))


def _order(stub: Fields) -> tuple[int, int]:
    """The answers to one request in the order of its scenario; of others, those that were put in
    later come first, as they do when they are asked for."""
    state = stub.text("requiredScenarioState", "Started")
    step = state.rpartition("-")[2]
    return int(step) if step.isdigit() else 0, -stub.integer("insertionIndex", 0)


def _seen(stub: Fields) -> Seen:
    request, response = stub.object("request"), stub.object("response")
    for name, reason in _NO_REPLY.items():
        if response.has(name):
            raise Several(reason)
    upstream, target = _where(request)
    body, kind = _asked(request)
    headers = headers_of(_wanted(request, "headers"))
    method = request.text("method", "ANY")
    if method == "ANY":
        method = "POST" if body else "GET"
    answer, times = _answer(response)
    headers = with_type(headers, kind) if kind else headers
    return Seen(stub.place, method, upstream, target, headers, body, answer, times)


def _where(request: Fields) -> tuple[str, str]:
    path = request.any("url") or request.any("urlPath")
    if not isinstance(path, str):
        raise Several("its URL is a pattern")
    query = urlencode(list(_wanted(request, "queryParameters")), errors="surrogatepass")
    if query:
        path += ("&" if "?" in path else "?") + query
    where = split_url("http://unknown.invalid" + path, request.place)
    assert where is not None, "the scheme is HTTP's"
    upstream = ""
    if request.has("host"):
        scheme, host = request.text("scheme", "https"), _equal(request.object("host"), "its host")
        port = f":{request.integer('port')}" if request.has("port") else ""
        upstream = upstream_of(scheme, host + port, request.place)
    return upstream, where[1]


def _wanted(request: Fields, name: str) -> Iterator[tuple[str, str]]:
    matchers = request.object(name, {})
    for key in matchers.value:
        matcher = matchers.object(key)
        every = list(matcher.objects("hasExactly")) or [matcher]
        for one in every:
            yield key, _equal(one, f"{name} {key}")


def _equal(matcher: Fields, what: str) -> str:
    value = matcher.any("equalTo")
    if not isinstance(value, str) or matcher.any("caseInsensitive"):
        raise Several(f"{what} may be one of several")
    return value


def _asked(request: Fields) -> tuple[bytes, bytes]:
    """The body, and its type where the pattern says so."""
    if request.items("multipartPatterns"):
        raise Several("its parts are patterns")
    patterns = list(request.objects("bodyPatterns"))
    for pattern in patterns:
        if pattern.has("equalToJson"):
            value = pattern.any("equalToJson")
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            return text.encode("utf-8", "surrogatepass"), b"application/json"
        if pattern.has("equalTo"):
            return pattern.text("equalTo").encode("utf-8", "surrogatepass"), b""
        if pattern.has("binaryEqualTo"):
            return pattern.base64("binaryEqualTo"), b""
    if patterns:
        raise Several("its body may be one of several")
    return b"", b""


def _answer(response: Fields) -> tuple[Answer, Times]:
    pairs: list[tuple[str, str]] = []
    for name, value in response.object("headers", {}).value.items():
        pairs += [(name, str(one)) for one in (value if isinstance(value, list) else [value])]
    headers, body = headers_of(pairs), _body(response)
    if "response-template" in response.items("transformers") and b"{{" in body:
        raise Several("its answer is a template")
    kind = b"application/json" if response.has("jsonBody") else b""
    headers = with_type(headers, kind) if kind else headers
    first_us = round(_delay_ms(response) * 1000)
    spread_us = round(response.object("chunkedDribbleDelay", {}).number("totalDuration", 0) * 1000)
    answer = Answer(response.integer("status", 200), settled(headers, body), body,
                    response.text("statusMessage", ""))  # fmt: skip
    return answer, Times(first_us, first_us + spread_us)


def _delay_ms(response: Fields) -> float:
    """The middle of a distribution."""
    spread = response.object("delayDistribution", {})
    middle = spread.number("median", (spread.number("lower", 0) + spread.number("upper", 0)) / 2)
    return max(0.0, response.number("fixedDelayMilliseconds", middle))


def _body(response: Fields) -> bytes:
    if response.has("bodyFileName"):
        return _file(response, response.text("bodyFileName"))
    if response.has("base64Body"):
        return response.base64("base64Body")
    if response.has("jsonBody"):
        value: Any = response.any("jsonBody")
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "surrogatepass")
    return response.text("body", "").encode("utf-8", "surrogatepass")


def _file(response: Fields, name: str) -> bytes:
    for above in response.path.resolve().parents:
        folder = above / "__files"
        if folder.is_dir():
            path = (folder / name).resolve()
            if not path.is_relative_to(folder):
                raise response.wrong("bodyFileName", "is outside of __files")
            return read_bytes(path)
    raise CassetteError(f"{response.place}: there is no __files with {name}")
