"""Records and their text form: one JSON object a line.

`head` opens a file, `open` says that a request was seen, `close` is the whole interaction, `drop`
takes an `open` back. The truth is the bytes and when they came; `view` is computed from them for
lists and searches. Fields that this version does not know are kept and written back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import orjson

from fakeai_proxy.cassette.bodies import Content, from_form, size_of, spaced, to_form
from fakeai_proxy.cassette.messages import Message, from_fields, to_fields
from fakeai_proxy.errors import CassetteError
from fakeai_proxy.exchange import SWITCHED, Headers, is_event_stream

VERSION = 1
#: How keys are made; changes with `matching.py`, not with the layout of records.
KEY_PROFILE = "exact-1"

End = Literal["eof", "reset", "timeout", "client_gone", "upstream_error"]
Extra = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Head:
    tool: str
    created_at: float
    salt: bytes
    version: int = VERSION
    key_profile: str = KEY_PROFILE
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """`complete` is False when the reply came before the body's end."""

    method: str
    target: str
    headers: Headers
    body: Content = b""
    complete: bool = True
    withheld: str = ""
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordedResponse:
    """`cuts[k]` is the length of the k-th read of the body, `gaps_us[k]` the microseconds since the
    read before it (the first: since the request's arrival), `head_us` the response head's time.
    `withheld` says why a body could not be stored safely; it is empty then. `messages` are what was
    said where the connection became a WebSocket."""

    status: int
    headers: Headers
    body: Content = b""
    cuts: tuple[int, ...] = ()
    gaps_us: tuple[int, ...] = ()
    head_us: int = 0
    end: str = "eof"
    reason: str = ""
    withheld: str = ""
    messages: tuple[Message, ...] = ()
    extra: Extra = field(default_factory=dict)

    @property
    def is_socket(self) -> bool:
        return self.status == SWITCHED

    @property
    def size_bytes(self) -> int:
        """Of what came: of the body, or of what the server said."""
        said = sum([len(one.data) for one in self.messages if one.sender == "server"])
        return sum(self.cuts) + said

    @property
    def whole_us(self) -> int:
        """From the request's arrival to the last that came."""
        return sum(self.gaps_us) + sum([one.dt_us for one in self.messages])


@dataclass(frozen=True, slots=True)
class Open:
    id: str
    at: float
    upstream: str
    request: RecordedRequest
    session: str = ""
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Interaction:
    """The record `close`. `id` is 16 hex digits; `upstream` is `scheme://authority`, "" when it is
    not known; `at` is the wall time of the request's arrival; no response: none had come."""

    id: str
    at: float
    upstream: str
    request: RecordedRequest
    response: RecordedResponse | None
    raw_key: bytes
    key: bytes
    simhash: int = 0
    key_profile: str = KEY_PROFILE
    session: str = ""
    seq: int = 0
    auth: Extra = field(default_factory=dict)
    view: Extra = field(default_factory=dict)
    extra: Extra = field(default_factory=dict)

    @property
    def end(self) -> str:
        return self.response.end if self.response else "client_gone"

    @property
    def whole(self) -> bool:
        """Whether the reply came to its own end; a WebSocket may be left by the client, too."""
        response = self.response
        if response is None:
            return False
        return response.end == "eof" or (response.is_socket and response.end == "client_gone")


@dataclass(frozen=True, slots=True)
class Drop:
    """Interaction `id` is not in the cassette on purpose."""

    id: str
    reason: str = ""
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unknown:
    """A record of a later version: kept, not understood."""

    kind: str
    extra: Extra = field(default_factory=dict)


Record = Head | Open | Interaction | Drop | Unknown


def encode(record: Record) -> bytes:
    """The record's line, newline included."""
    fields = _ENCODERS[type(record)](record)
    fields.update(record.extra)
    try:
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8") + b"\n"
    except UnicodeEncodeError:  # a lone surrogate, legal in JSON only as an escape
        return json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"


def decode(line: bytes) -> Record:
    """Raises CassetteError on anything that is not a record of a version we read."""
    try:
        fields = json.loads(line)
        kind = fields.pop("kind")
        if kind not in _DECODERS:
            return Unknown(str(kind), fields)
        record: Record = _DECODERS[kind](fields)
        return record
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CassetteError(f"not a record of a cassette ({reason(error)})") from None


def reason(error: Exception) -> str:
    """Why something is no JSON object of ours."""
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON: {error.msg} at column {error.colno}"
    return f"it has no {error}" if isinstance(error, KeyError) else str(error)


_REPLY, _BODY, _JSON_BODY = b',"response":{"status":', b',"body":{', b',"body":{"json":'
_REQUEST = b',"request":{"method":'
_VALUE = json.JSONDecoder()


class Replied(NamedTuple):
    """A `close` without its request."""

    response: RecordedResponse
    view: Extra
    at: float
    auth: Extra


def decode_reply(line: bytes) -> Replied | None:
    """A `close` without its request, which may be much longer; None where the line is anything else or
    laid out in another way than `encode` does it.

    That the response's place was found is proven by what is before it being whole JSON.
    """
    start = line.find(_REPLY)
    if start < 0 or not line.startswith(b'{"kind":"close",'):
        return None
    try:
        about = orjson.loads(line[:start] + b"}")
        if "request" in about:
            return None
        place = start + _REPLY.index(b"{")
        response = _json_reply(line, place)
        if response is None:
            fields, _ = _VALUE.raw_decode(line[place:].decode("utf-8"))
            response = _response(fields)
        return Replied(response, about["view"], about["at"], about["auth"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # the whole record says what is wrong with it, if anything is


def _json_reply(line: bytes, place: int) -> RecordedResponse | None:
    """The response that begins at `place`, if its body is JSON, compact or spaced: the line has it
    in compact form, and it need not be parsed to be written again. Where it ends is proven by its
    being whole JSON. Raises ValueError and others."""
    front = line.find(_BODY, place)
    if not line.startswith(_JSON_BODY, front):
        return None
    fields = orjson.loads(line[place:front] + b"}")
    cuts = fields["cuts"]
    size, body_at = sum(cuts), front + len(_JSON_BODY)
    if line.startswith(b"}}" + _REQUEST, body_at + size):
        body = line[body_at : body_at + size]
        orjson.loads(body)
    else:
        end = line.find(b',"style":"spaced"}}' + _REQUEST, body_at)
        compact = line[body_at : max(end, body_at)]
        orjson.loads(compact)
        rewritten = spaced(compact)
        if rewritten is None or len(rewritten) != size:
            return None
        body = rewritten
    return RecordedResponse(
        fields["status"], _unpairs(fields["headers"]), body, tuple(cuts),
        tuple(fields["gaps_us"]), fields["head_us"], fields["end"], _unwire(fields["reason"]),
    )  # fmt: skip


# --- to text ---------------------------------------------------------------------------------


def _head_fields(record: Any) -> dict[str, Any]:
    return {"kind": "head", "version": record.version, "tool": record.tool,
            "created_at": record.created_at, "salt": record.salt.hex(),
            "key_profile": record.key_profile}  # fmt: skip


def _open_fields(record: Any) -> dict[str, Any]:
    request = _request_fields(record.request)
    request.pop("body")
    return {"kind": "open", "id": record.id, "at": record.at, "session": record.session,
            "upstream": record.upstream, "request": request}  # fmt: skip


def _close_fields(record: Any) -> dict[str, Any]:
    return {
        "kind": "close", "id": record.id, "at": record.at, "key": record.key.hex(),
        "raw_key": record.raw_key.hex(), "simhash": f"{record.simhash:016x}",
        "key_profile": record.key_profile, "session": record.session, "seq": record.seq,
        "upstream": record.upstream, "view": dict(record.view), "auth": dict(record.auth),
        # The response first, so that it can be read without the request: see `decode_reply`.
        "response": None if record.response is None else _response_fields(record.response),
        "request": _request_fields(record.request),
    }  # fmt: skip


def _drop_fields(record: Any) -> dict[str, Any]:
    return {"kind": "drop", "id": record.id, "reason": record.reason}


def _unknown_fields(record: Any) -> dict[str, Any]:
    return {"kind": record.kind}


_ENCODERS = {Head: _head_fields, Open: _open_fields, Interaction: _close_fields,
             Drop: _drop_fields, Unknown: _unknown_fields}  # fmt: skip


def _request_fields(request: RecordedRequest) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "method": _wire(request.method), "target": _wire(request.target),
        "headers": _pairs(request.headers), "body": to_form(request.body),
    }  # fmt: skip
    if not request.complete:
        fields["complete"] = False
    if request.withheld:
        fields["withheld"] = request.withheld
    fields.update(request.extra)
    return fields


def _response_fields(response: RecordedResponse) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "status": response.status, "reason": _wire(response.reason),
        "headers": _pairs(response.headers), "end": response.end, "head_us": response.head_us,
        "cuts": response.cuts, "gaps_us": response.gaps_us,
        "body": to_form(response.body, is_event_stream(response.headers)),
    }  # fmt: skip
    if response.withheld:
        fields["withheld"] = response.withheld
    if response.messages:
        fields["frames"] = [to_fields(message) for message in response.messages]
    fields.update(response.extra)
    return fields


def _pairs(headers: Headers) -> list[list[str]]:
    return [[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers]


def _wire(text: str) -> str:
    """Text from a start line, odd bytes as latin-1."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


# --- from text -------------------------------------------------------------------------------


def _unwire(text: str) -> str:
    return text.encode("latin-1").decode("utf-8", "surrogateescape")


def _unpairs(pairs: list[list[str]]) -> Headers:
    return tuple([(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs])


def _head(fields: dict[str, Any]) -> Head:
    version = int(fields.pop("version"))
    if version > VERSION:
        raise CassetteError(f"version {version}; this program reads up to version {VERSION}")
    return Head(fields.pop("tool"), fields.pop("created_at"), bytes.fromhex(fields.pop("salt")),
                version, fields.pop("key_profile"), fields)  # fmt: skip


def _open(fields: dict[str, Any]) -> Open:
    return Open(fields.pop("id"), fields.pop("at"), fields.pop("upstream"),
                _request(fields.pop("request")), fields.pop("session", ""), fields)  # fmt: skip


def _close(fields: dict[str, Any]) -> Interaction:
    response = fields.pop("response")
    return Interaction(
        id=fields.pop("id"),
        at=fields.pop("at", 0.0),
        upstream=fields.pop("upstream", ""),
        request=_request(fields.pop("request")),
        response=None if response is None else _response(response),
        raw_key=bytes.fromhex(fields.pop("raw_key", "")),
        key=bytes.fromhex(fields.pop("key", "")),
        simhash=int(fields.pop("simhash", "0"), 16),
        key_profile=fields.pop("key_profile", KEY_PROFILE),
        session=fields.pop("session", ""),
        seq=fields.pop("seq", 0),
        auth=fields.pop("auth", {}),
        view=fields.pop("view", {}),
        extra=fields,
    )


def _drop(fields: dict[str, Any]) -> Drop:
    return Drop(fields.pop("id"), fields.pop("reason", ""), fields)


def _request(fields: dict[str, Any]) -> RecordedRequest:
    return RecordedRequest(
        _unwire(fields.pop("method")), _unwire(fields.pop("target")),
        _unpairs(fields.pop("headers")), from_form(fields.pop("body", {"text": ""})),
        fields.pop("complete", True), fields.pop("withheld", ""), fields,
    )  # fmt: skip


def _response(fields: dict[str, Any]) -> RecordedResponse:
    body = from_form(fields.pop("body", {"text": ""}))
    size = size_of(body)
    cuts = tuple(fields.pop("cuts", (size,) if size else ()))
    return RecordedResponse(
        fields.pop("status"), _unpairs(fields.pop("headers")), body, cuts,
        tuple(fields.pop("gaps_us", (0,) * len(cuts))), fields.pop("head_us", 0),
        fields.pop("end", "eof"), _unwire(fields.pop("reason", "")), fields.pop("withheld", ""),
        tuple([from_fields(frame) for frame in fields.pop("frames", ())]), fields,
    )  # fmt: skip


_DECODERS: dict[str, Any] = {"head": _head, "open": _open, "close": _close, "drop": _drop}
