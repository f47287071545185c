"""mitmproxy's flow files, from its version 4 on.

They are tnetstrings, one a flow, which is little enough to read here: mitmproxy itself pins its own
versions of libraries that this program has, and cannot be installed beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fakeai_proxy.cassette.formats.fields import Fields, read_bytes
from fakeai_proxy.cassette.formats.seen import (
    Answer,
    Seen,
    Skipped,
    Times,
    settled,
    split_url,
)
from fakeai_proxy.errors import CassetteError
from fakeai_proxy.exchange import Headers, header

#: Flows of before hold their versions as tuples, and other fields.
_VERSION_MIN = 4
_DIGITS_MAX = 12
_DEPTH_MAX = 32


def read(files: Sequence[Path], tell: Callable[[int, int], None]) -> Iterator[Seen | Skipped]:
    for path in files:
        data = read_bytes(path)
        position, number = 0, 0
        while position < len(data):
            try:
                value, end = _value(memoryview(data), position)
            except (ValueError, RecursionError) as error:
                at = f"{path}: flow {number + 1}, byte {position}"
                raise CassetteError(f"{at}: no flow of mitmproxy ({error})") from None
            yield _seen(Fields(value, path, f"flow {number + 1}"))
            position, number = end, number + 1
            tell(position, len(data))


def begins(data: bytes) -> bool:
    """Whether this is the beginning of a flow file."""
    digits = data[:_DIGITS_MAX].partition(b":")[0]
    return digits.isdigit() and data[len(digits) : len(digits) + 1] == b":"


def _value(data: memoryview, start: int, depth: int = 0) -> tuple[Any, int]:
    """A value and where the next one begins. Raises ValueError."""
    front = bytes(data[start : start + _DIGITS_MAX + 1])
    digits, colon, _ = front.partition(b":")
    if not colon or not digits.isdigit() or depth > _DEPTH_MAX:
        raise ValueError("no length")
    begin = start + len(digits) + 1
    end = begin + int(digits)
    if end >= len(data):
        raise ValueError("it breaks off")
    kind = chr(data[end])
    if kind in "]}":
        held = _held(data, begin, end, depth + 1)
        return (held if kind == "]" else _object(held)), end + 1
    make = _SCALARS.get(kind)
    if make is None:
        raise ValueError(f"unknown type {kind!r}")
    return make(bytes(data[begin:end])), end + 1


def _held(data: memoryview, position: int, end: int, depth: int) -> list[Any]:
    held = []
    while position < end:
        value, position = _value(data[:end], position, depth)
        held.append(value)
    return held


def _object(held: list[Any]) -> dict[str, Any]:
    if len(held) % 2:
        raise ValueError("a key without a value")
    names = [name.decode("latin-1") if isinstance(name, bytes) else str(name) for name in held[::2]]
    return dict(zip(names, held[1::2], strict=True))


def _nothing(data: bytes) -> None:
    if data:
        raise ValueError("nothing, with bytes")


_SCALARS: dict[str, Callable[[bytes], Any]] = {
    ",": bytes,
    ";": lambda data: data.decode("utf-8"),
    "#": int,
    "^": float,
    "!": lambda data: data == b"true",
    "~": _nothing,
}


def _seen(flow: Fields) -> Seen | Skipped:
    version = flow.any("version")
    if not isinstance(version, int) or version < _VERSION_MIN:
        raise flow.wrong("version", "is of mitmproxy before 4; read and write it with a later one")
    kind = _text(flow, "type")
    if kind != "http" or flow.has("websocket"):
        return Skipped(flow.place, "a WebSocket" if kind == "http" else f"no HTTP: {kind}")
    request = flow.object("request")
    if _text(request, "method") == "CONNECT":
        return Skipped(flow.place, "the beginning of a tunnel")
    headers = _headers(request)
    where = split_url(_url(request, headers), request.place)
    if where is None:
        return Skipped(flow.place, "no HTTP")
    begun = request.number("timestamp_start", 0.0)
    asked, answer, times = request.any("content"), None, Times()
    if flow.has("response"):
        response = flow.object("response")
        answer, times = _answer(response), _times(begun, response)
    if asked is None or (answer is None and flow.has("response")):
        return Skipped(flow.place, "its body was passed on without being kept")
    return Seen(flow.place, _text(request, "method"), *where, settled(headers, asked), asked,
                answer, times, begun or None)  # fmt: skip


def _url(request: Fields, headers: Headers) -> str:
    authority = _text(request, "authority", "") or (header(headers, b"host") or b"").decode(
        "latin-1"
    )
    if not authority:
        host = _text(request, "host")
        authority = f"{f'[{host}]' if ':' in host else host}:{request.integer('port')}"
    return f"{_text(request, 'scheme')}://{authority}{_text(request, 'path')}"


def _answer(response: Fields) -> Answer | None:
    body = response.any("content")
    if not isinstance(body, bytes):
        return None
    headers = _headers(response)
    return Answer(response.integer("status_code"), settled(headers, body), body,
                  _text(response, "reason", ""))  # fmt: skip


def _times(begun: float, response: Fields) -> Times:
    head = response.number("timestamp_start", begun) - begun
    end = response.number("timestamp_end", begun + head) - begun
    return Times(max(0, round(head * 1e6)), max(0, round(end * 1e6)))


def _headers(message: Fields) -> Headers:
    try:
        return tuple(
            (bytes(name), bytes(value))
            for name, value in message.items("headers")
            if not bytes(name).startswith(b":")
        )
    except (TypeError, ValueError):
        raise message.wrong("headers", "are no headers") from None


def _text(fields: Fields, name: str, default: str | None = None) -> str:
    value = fields.any(name)
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return fields.text(name) if default is None else fields.text(name, default)
