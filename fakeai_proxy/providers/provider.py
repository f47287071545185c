"""What a vendor is, as far as its answers tell: envelope, words, headers, error frames."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from types import EllipsisType, MappingProxyType
from typing import NamedTuple, TypeVar

import orjson

from fakeai_proxy.errors import KINDS, OWN, ApiError, hinted
from fakeai_proxy.exchange import Headers

_T = TypeVar("_T")
Facts = Mapping[str, object]
#: The JSON around an error; None where the vendor sends no body.
Envelope = Callable[[ApiError, str], dict[str, object] | None]


class Told(NamedTuple):
    """What the headers of an answer tell. `request_id` is `req_` and 32 hex digits."""

    request_id: str
    spent_ms: int
    epoch_s: int
    status: int = 200


@dataclass(frozen=True, slots=True)
class Wording:
    """How one vendor says one kind of error. What is left as `...` is as the catalogue has it.
    `message` and the values of `headers` have places for the facts; `quoting` goes around the
    message of a caller who knows better. Without an `envelope` it is the vendor's usual one."""

    status: int | EllipsisType = ...
    message: str | EllipsisType = ...
    type: str | EllipsisType | None = ...
    param: str | EllipsisType | None = ...
    code: str | int | EllipsisType | None = ...
    headers: Mapping[str, str] | EllipsisType = ...
    detail: Callable[[Facts], dict[str, object]] | None = None
    quoting: str = "{message}"
    envelope: Envelope | None = None


def openai_envelope(error: ApiError, request_id: str) -> dict[str, object]:
    return {
        "error": {
            "message": error.message,
            "type": error.type,
            "param": error.param,
            "code": error.code,
            **error.detail,
        }
    }


def data_frame(envelope: Mapping[str, object]) -> bytes:
    """Server-sent data; the connection is closed after it."""
    return b"data: " + dumped(envelope) + b"\n\n"


@dataclass(frozen=True, slots=True)
class Provider:
    name: str
    #: Exact names, or `*.suffix`.
    hosts: tuple[str, ...] = ()
    envelope: Envelope = openai_envelope
    #: Kind of error -> how it is said; what is not there is said as OpenAI does.
    words: Mapping[str, Wording] = field(default_factory=lambda: MappingProxyType({}))
    #: Of every answer, errors too.
    headers: tuple[tuple[bytes, bytes | Callable[[Told], bytes]], ...] = ()
    #: An envelope in the middle of a stream.
    frame: Callable[[Mapping[str, object]], bytes] = data_frame
    #: Recognizes its requests on a base URL of ours, where there is no host to go by.
    path: re.Pattern[str] | None = None

    @property
    def request_id_header(self) -> bytes:
        """ "" where the vendor has none."""
        return next((name for name, value in self.headers if value is request_id), b"")

    def answer_headers(self, told: Told) -> Headers:
        return tuple(
            [(name, value if isinstance(value, bytes) else value(told))
             for name, value in self.headers]
        )  # fmt: skip


# --- headers -----------------------------------------------------------------------------------------


def request_id(told: Told) -> bytes:
    return told.request_id.encode()


def request_uuid(told: Told) -> bytes:
    digits = told.request_id.removeprefix("req_").rjust(32, "0")
    return "-".join(
        (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32])
    ).encode()


def spent_ms(told: Told) -> bytes:
    return b"%d" % told.spent_ms


def date(told: Told) -> bytes:
    return _http_date(told.epoch_s)


@lru_cache(maxsize=2)
def _http_date(epoch_s: int) -> bytes:
    return formatdate(epoch_s, usegmt=True).encode()


# --- errors ------------------------------------------------------------------------------------------


def phrase(status: int) -> str:
    """`Not Found`; "" for a status that is in no standard."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def in_words_of(provider: Provider, error: ApiError) -> tuple[ApiError, Envelope]:
    """The error as the vendor would say it, and what it would put around it."""
    kind = error.kind or _UNSAID.get(error.status, OWN)
    if kind == OWN:
        return error, provider.envelope
    wording = provider.words.get(kind, _AS_IT_IS)
    facts = {**KINDS[kind].facts, **(error.facts or {})}
    said = ApiError(
        error.status if error.fixed else _or(wording.status, error.status),
        _message(wording, error, facts),
        type=error.type,
        param=error.param,
        code=error.code,
        headers=_headers(wording, error, facts),
        detail={**error.detail, **(wording.detail(facts) if wording.detail else {})},
        kind=kind,
    )
    if error.kind:
        said.type = _or(wording.type, error.type)
        said.param = _or(wording.param, error.param)
        said.code = _or(wording.code, error.code)
    return said, wording.envelope or provider.envelope


_AS_IT_IS = Wording()
#: The kinds of errors that name none: those of which a vendor has one form only.
_UNSAID = {400: "bad_request", 422: "unprocessable", 429: "rate_limit"}


def _or(value: _T | EllipsisType, otherwise: _T) -> _T:
    return otherwise if isinstance(value, EllipsisType) else value


def _message(wording: Wording, error: ApiError, facts: Facts) -> str:
    if error.facts is None or isinstance(wording.message, EllipsisType):
        return wording.quoting.replace("{message}", error.message)
    return hinted(wording.message.format_map(facts), error.hint)


def _headers(wording: Wording, error: ApiError, facts: Facts) -> dict[str, str]:
    """The vendor's, then the caller's; a caller with a message of its own has its own headers too."""
    if error.facts is None:
        return error.headers
    theirs = _or(wording.headers, KINDS[error.kind].headers)
    return {**{name: text.format_map(facts) for name, text in theirs.items()}, **error.headers}


class Answer(NamedTuple):
    status: int
    headers: Headers
    body: bytes


def error_answer(provider: Provider, error: ApiError, told: Told) -> Answer:
    """The whole answer, but for `content-length`. Our own errors have none of the vendor's headers
    but the request id."""
    said, envelope = in_words_of(provider, error)
    made = envelope(said, told.request_id)
    headers: Headers = () if made is None else ((b"content-type", b"application/json"),)
    headers += tuple(
        (name.encode(), value.encode("latin-1", "replace")) for name, value in said.headers.items()
    )
    if error.kind == OWN:
        headers += ((provider.request_id_header or b"x-request-id", told.request_id.encode()),)
    else:
        headers += provider.answer_headers(told._replace(status=said.status))
    return Answer(said.status, headers, b"" if made is None else dumped(made))


def error_body(provider: Provider, error: ApiError, request_id: str) -> bytes:
    said, envelope = in_words_of(provider, error)
    made = envelope(said, request_id)
    return b"" if made is None else dumped(made)


def stream_error(provider: Provider, error: ApiError, path: str = "") -> bytes:
    """What the vendor sends where a stream fails after its head has gone out. The connection is
    closed after it, without the end that a whole stream has. `path` is the request's: `/responses`
    has events of its own."""
    said, envelope = in_words_of(provider, error)
    if path.rstrip("/").endswith("/responses"):
        return b"event: error\n" + data_frame(
            {"type": "error", "code": said.code or said.type, "message": said.message,
             "param": said.param}
        )  # fmt: skip
    return provider.frame(envelope(said, "") or provider.envelope(said, "") or {})


def dumped(value: object) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        # The message repeats bytes of a target that are no UTF-8.
        return json.dumps(value).encode()
