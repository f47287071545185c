"""HAR 1.2, the archive that browsers' developer tools and most proxies speak.

A HAR keeps bodies decoded and as text. What goes beyond that stands in fields of our own, which others
pass over: the cuts and gaps of a reply, its bytes where text alone would not give them back, and
whatever of the request its URL does not say.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, get_args
from urllib.parse import parse_qsl, urlencode

from fakeai_proxy.cassette.codings import codings
from fakeai_proxy.cassette.draft import recut
from fakeai_proxy.cassette.format import End, Interaction, RecordedResponse
from fakeai_proxy.cassette.formats import har_sockets
from fakeai_proxy.cassette.formats.fields import Fields, read_json
from fakeai_proxy.cassette.formats.seen import (
    Answer,
    Schedule,
    Seen,
    Skipped,
    Times,
    headers_of,
    settled,
    split_url,
    url_of,
)
from fakeai_proxy.cassette.formats.told import Encode, Told
from fakeai_proxy.cassette.manifest import TOOL
from fakeai_proxy.exchange import SOCKET_METHOD, SWITCHED, Headers, header

_ENDS = get_args(End)


# --- in ----------------------------------------------------------------------------------------


def read(files: Sequence[Path], tell: Callable[[int, int], None]) -> Iterator[Seen | Skipped]:
    for path in files:
        entries = list(Fields(read_json(path), path).object("log").objects("entries"))
        for done, entry in enumerate(entries, 1):
            yield _seen(entry)
            tell(done, len(entries))


def _seen(entry: Fields) -> Seen | Skipped:
    request, response = entry.object("request"), entry.object("response")
    is_socket = entry.has(har_sockets.FIELD)
    if is_socket and response.integer("status", 0) != SWITCHED:
        return Skipped(entry.place, "a WebSocket that was refused")
    where = split_url(har_sockets.handshake_url(request.text("url")), request.place)
    if where is None:
        return Skipped(entry.place, f"no HTTP: {request.text('url')[:40]}")
    upstream, target = where
    headers, body = _headers(request), _asked(request)
    if body is None:
        return Skipped(entry.place, "the body of its form is not in the file")
    times = _times(entry)
    answer = _answer(response) if response.integer("status", 0) else None
    if isinstance(answer, Skipped):
        return answer
    if answer is not None and is_socket:
        answer.headers, answer.schedule = _headers(response), None
        answer.messages, answer.is_timed = har_sockets.seen(entry, _at(entry))
        times = times._replace(head_us=response.integer("_head_us", times.head_us))
    method = SOCKET_METHOD if is_socket else request.text("method")
    return Seen(
        entry.place, method, entry.text("_upstream", upstream),
        entry.text("_target", target), settled(headers, body), body, answer, times,
        _at(entry), entry.text("_session", ""), entry.any("_complete") is not False,
        _own_id(entry),
    )  # fmt: skip


def _own_id(entry: Fields) -> str:
    number = entry.text("_id", "")
    return number if len(number) == 16 and set(number) <= set("0123456789abcdef") else ""


def _headers(message: Fields) -> Headers:
    return headers_of(
        (one.text("name"), one.text("value", "")) for one in message.objects("headers")
    )


def _asked(request: Fields) -> bytes | None:
    """None where the file has only the names of a form's files."""
    post = request.object("postData", {})
    if post.text("encoding", "") == "base64":
        return post.base64("text")
    if post.text("text", ""):
        return post.text("text").encode("utf-8", "surrogatepass")
    pairs = [(one.text("name"), one.text("value", "")) for one in post.objects("params")]
    if pairs and post.text("mimeType", "").startswith("multipart/"):
        return None
    return urlencode(pairs, errors="surrogatepass").encode()


def _answer(response: Fields) -> Answer | Skipped:
    content, headers = response.object("content", {}), _headers(response)
    if response.has("_body"):
        body = response.base64("_body")
    elif content.text("encoding", "") == "base64":
        body = content.base64("text")
    elif content.has("text"):
        body = _encoded(content, headers)
    elif content.number("size", 0) > 0:
        return Skipped(content.place, "the body is not in the file")
    else:
        body = b""
    end = response.text("_end", "eof")
    answer = Answer(response.integer("status"), headers, body, response.text("statusText", ""),
                    end if end in _ENDS else "reset")  # fmt: skip
    if not response.has("_body"):
        answer.headers = settled(headers, body)
    if response.has("_cuts"):
        answer.schedule = _schedule(response, len(body))
    return answer


def _encoded(content: Fields, headers: Headers) -> bytes:
    """As it was before it became the text of a JSON file: in the charset that gives the length which
    the file tells, if one does."""
    text = content.text("text")
    forms = []
    for charset in (_charset(headers), "utf-8", "latin-1"):
        with contextlib.suppress(UnicodeEncodeError, LookupError):
            forms.append(text.encode(charset))
    length = header(headers, b"content-length") or b""
    told = {content.number("size", -1), int(length) if length.isdigit() else -1}
    fitting = [form for form in forms if len(form) in told]
    return (fitting or forms or [text.encode("utf-8", "surrogatepass")])[0]


def _charset(headers: Headers) -> str:
    kind = (header(headers, b"content-type") or b"").decode("latin-1").lower()
    return kind.partition("charset=")[2].partition(";")[0].strip(' "') or "utf-8"


def _schedule(response: Fields, size: int) -> Schedule:
    """Where somebody has edited the body, as many reads of it as there were."""
    cuts, gaps = tuple(response.integers("_cuts")), tuple(response.integers("_gaps_us"))
    if len(cuts) != len(gaps):
        raise response.wrong("_gaps_us", f"has {len(gaps)} gaps for {len(cuts)} cuts")
    cuts = recut(cuts, size)
    gaps = (*gaps, *(0 for _ in range(len(cuts) - len(gaps))))
    recorded = response.text("_schedule", "recorded") == "recorded"
    return Schedule(cuts, gaps, response.integer("_head_us", 0), recorded)


def _times(entry: Fields) -> Times:
    """Connecting aside: what is replayed is a request on a connection that is there."""
    timings = entry.object("timings", {})
    send, wait, receive = (
        max(0.0, timings.number(name, 0)) for name in ("send", "wait", "receive")
    )
    return Times(round((send + wait) * 1000), round((send + wait + receive) * 1000))


def _at(entry: Fields) -> float | None:
    if entry.has("_at"):
        return entry.number("_at")
    if not entry.has("startedDateTime"):
        return None
    try:
        begun = datetime.fromisoformat(entry.text("startedDateTime"))
        return (begun if begun.tzinfo else begun.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise entry.wrong("startedDateTime", "is no time") from None


# --- out ---------------------------------------------------------------------------------------


def write(told: Iterable[Told], out: BinaryIO, encode: Encode) -> int:
    name, _, version = TOOL.partition(" ")
    head = {"version": "1.2", "creator": {"name": name, "version": version}, "pages": []}
    out.write(json.dumps({"log": head})[:-2].encode() + b', "entries": [')
    count = 0
    for count, one in enumerate(told, 1):
        out.write((b",\n" if count > 1 else b"\n") + _line(_entry(one)))
    out.write(b"\n]}}\n")
    return count


def _line(entry: dict[str, Any]) -> bytes:
    try:
        return json.dumps(entry, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # odd bytes of a start line
        return json.dumps(entry).encode()


def _entry(told: Told) -> dict[str, Any]:
    record, request, response = told.record, told.record.request, told.record.response
    url = url_of(record.upstream, request.target)
    ended_us = max(response.head_us, sum(response.gaps_us)) if response else 0
    wait_ms = response.head_us / 1000 if response else 0
    entry: dict[str, Any] = {
        "startedDateTime": _time_text(record.at),
        "time": ended_us / 1000,
        "request": {
            "method": request.method, "url": url, "httpVersion": "HTTP/1.1", "cookies": [],
            "headers": _pairs(request.headers),
            "queryString": [{"name": name, "value": value} for name, value in
                            parse_qsl(request.target.partition("?")[2], True, errors="replace")],
            "headersSize": -1, "bodySize": len(told.asked),
        },
        "response": _response(told, response),
        "cache": {},
        "timings": {"blocked": -1, "dns": -1, "connect": -1, "ssl": -1, "send": 0,
                    "wait": wait_ms, "receive": (ended_us / 1000 - wait_ms)},
        "_id": record.id, "_at": record.at,
    }  # fmt: skip
    if response is not None and response.is_socket:
        entry["request"] |= {"method": "GET", "url": har_sockets.socket_url(url)}
        entry["_resourceType"] = "websocket"
        entry[har_sockets.FIELD] = har_sockets.told(record.at, response.messages)
    if told.asked:
        entry["request"]["postData"] = _post_data(request.headers, told.asked)
    if split_url(url, "") != (record.upstream, request.target):
        entry |= {"_upstream": record.upstream, "_target": request.target}
    if record.session:
        entry["_session"] = record.session
    if not request.complete:
        entry["_complete"] = False
    return entry


def _time_text(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _pairs(headers: Headers) -> list[dict[str, str]]:
    return [{"name": name.decode("latin-1"), "value": value.decode("latin-1")}
            for name, value in headers]  # fmt: skip


def _post_data(headers: Headers, body: bytes) -> dict[str, str]:
    kind = (header(headers, b"content-type") or b"").decode("latin-1")
    text = _text(body)
    if text is None or "\r" in text:  # what some tools read as another line break
        coded = base64.b64encode(body).decode()
        return {"mimeType": kind, "text": coded, "encoding": "base64"}
    return {"mimeType": kind, "text": text}


def _text(body: bytes) -> str | None:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _response(told: Told, response: RecordedResponse | None) -> dict[str, Any]:
    if response is None:
        return {"status": 0, "statusText": "", "httpVersion": "HTTP/1.1", "cookies": [],
                "headers": [], "content": {"size": 0, "mimeType": "x-unknown"},
                "redirectURL": "", "headersSize": -1, "bodySize": -1}  # fmt: skip
    fields: dict[str, Any] = {
        "status": response.status, "statusText": response.reason, "httpVersion": "HTTP/1.1",
        "cookies": [], "headers": _pairs(response.headers),
        "content": _content(told, response),
        "redirectURL": (header(response.headers, b"location") or b"").decode("latin-1"),
        "headersSize": -1, "bodySize": len(told.answered),
        "_cuts": list(response.cuts), "_gaps_us": list(response.gaps_us),
        "_head_us": response.head_us,
    }  # fmt: skip
    content = fields["content"]
    encoded = content.get("encoding") != "base64" and _charset(response.headers) != "utf-8"
    if encoded or codings(response.headers):
        fields["_body"] = base64.b64encode(told.answered).decode()
    if response.end != "eof":
        fields["_end"] = response.end
    if _is_synthetic(told.record):
        fields["_schedule"] = "synthetic"
    return fields


def _content(told: Told, response: RecordedResponse) -> dict[str, Any]:
    kind = (header(response.headers, b"content-type") or b"").decode("latin-1")
    plain = told.plain
    content: dict[str, Any] = {"size": len(plain), "mimeType": kind or "application/octet-stream"}
    text = _text(plain)
    if text is None:
        return {**content, "text": base64.b64encode(plain).decode(), "encoding": "base64"}
    return {**content, "text": text}


def _is_synthetic(record: Interaction) -> bool:
    imported = record.extra.get("imported")
    return isinstance(imported, dict) and imported.get("schedule") == "synthetic"
