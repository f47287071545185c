"""An interaction as another program's file tells it, and the draft that is made of it.

A draft goes the way of every recording (`draft.py`): keys, scrubbing, view. What decides its id is what
was asked and answered and its place among the others, so that importing twice gives the same cassette.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from typing import NamedTuple
from urllib.parse import quote

from fakeai_proxy.body import Body
from fakeai_proxy.cassette.codings import codings
from fakeai_proxy.cassette.draft import Draft, Heard, recoded
from fakeai_proxy.cassette.messages import Message
from fakeai_proxy.cassette.tape import Tape
from fakeai_proxy.errors import CassetteError
from fakeai_proxy.exchange import Headers, Origin, Request, end_to_end, header, is_event_stream
from fakeai_proxy.providers import provider_of

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_URL = re.compile(r"(?i)(https?)://([^/?#]*)([^#]*)", re.S)
_AUTHORITY = re.compile(r"(?:[^@]*@)?(\[[0-9A-Fa-f:.]+\]|[^:\[\]@\s\ud800-\udfff]+)(?::(\d{1,5}))?")
_FRAME_END = re.compile(rb"\r?\n\r?\n")
#: What a request line takes as it is.
_PLAIN = "".join(chr(code) for code in range(0x21, 0x7F))
#: Stands where the host is not known; RFC 6761 keeps it from being one.
_NO_HOST = "http://unknown.invalid"
_MAGIC = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}
_YEAR_10000 = 253_402_300_800
_BODILESS = (204, 304)
_TAPE_BYTES = 1 << 20


class Skipped(NamedTuple):
    """Something that is not imported, and why."""

    place: str
    reason: str


class Several(Exception):  # noqa: N818 - not an error: a reason to skip something
    """What is told is no interaction: any of several requests would do, or any of several answers."""


class Times(NamedTuple):
    """When the head and the last byte came, microseconds after the request."""

    head_us: int = 0
    end_us: int = 0


class Schedule(NamedTuple):
    """How a body was read: lengths, and microseconds between reads."""

    cuts: tuple[int, ...]
    gaps_us: tuple[int, ...]
    head_us: int
    #: Whether another program measured it, or it is made of less than that.
    recorded: bool = False


@dataclass(slots=True)
class Answer:
    """`headers` and `body` belong together: see `settled`."""

    status: int
    headers: Headers
    body: bytes = b""
    reason: str = ""
    end: str = "eof"
    schedule: Schedule | None = None
    #: Of a WebSocket: what was said, and whether it is known when.
    messages: list[Message] | None = None
    is_timed: bool = True


@dataclass(slots=True)
class Seen:
    """`upstream` is `scheme://authority`, "" where the file does not say it."""

    place: str
    method: str
    upstream: str
    target: str
    headers: Headers
    body: bytes = b""
    answer: Answer | None = None
    times: Times = field(default_factory=Times)
    at: float | None = None
    session: str = ""
    complete: bool = True
    #: The id that it had, where it was ours.
    id: str = ""


def drafted(seen: Seen, place: int, source: str, taken: set[str]) -> Draft:
    """The `place`-th draft of an import from `source`; its id joins those that are `taken`. Raises
    CassetteError for what cannot have been a message of HTTP."""
    if not _TOKEN.fullmatch(seen.method):
        raise CassetteError(f"{seen.place}: {seen.method!r} is no method")
    told: dict[str, str] = {"from": source}
    heard = None
    answer = seen.answer
    if answer is not None and answer.messages is not None:
        if not answer.is_timed:
            told["schedule"] = "synthetic"
        heard = Heard(answer.status, answer.headers, answer.reason, seen.times.head_us, end=answer.end,
                      messages=answer.messages)  # fmt: skip
    elif answer is not None:
        schedule = answer.schedule or scheduled(answer, seen.times)
        if not schedule.recorded:
            told["schedule"] = "synthetic"
        heard = _heard(seen, answer, schedule)
    origin = origin_of(seen.upstream)
    if seen.upstream and origin is None:
        raise CassetteError(f"{seen.place}: {seen.upstream[:80]!r} is no server")
    request = Request(seen.method, seen.target, seen.headers, Body(), origin)
    number = _id(seen, place, taken)
    taken.add(number)
    return Draft(
        id=number,
        at=_at(seen),
        upstream=seen.upstream,
        method=seen.method,
        target=seen.target,
        headers=_checked(end_to_end(seen.headers), seen.place),
        session=seen.session,
        provider=provider_of(request).name,
        body=_tape(seen.body),
        complete=seen.complete,
        heard=heard,
        extra={"imported": told},
    )


def _heard(seen: Seen, answer: Answer, schedule: Schedule) -> Heard:
    if not 100 <= answer.status <= 999:
        raise CassetteError(f"{seen.place}: {answer.status} is no status")
    headers = _checked(end_to_end(answer.headers), seen.place)
    if answer.end == "eof" and seen.method.upper() != "HEAD" and answer.status not in _BODILESS:
        length = b"%d" % len(answer.body)
        headers = tuple(
            (name, length if name.lower() == b"content-length" else value)
            for name, value in headers
        )
    return Heard(
        answer.status, headers, answer.reason, schedule.head_us, _tape(answer.body),
        list(schedule.cuts), list(schedule.gaps_us), answer.end,
    )  # fmt: skip


def _id(seen: Seen, place: int, taken: set[str]) -> str:
    if seen.id and seen.id not in taken:
        return seen.id
    hashed = blake2b(digest_size=8)
    answer = seen.answer
    about = [str(place), seen.method, seen.upstream, seen.target, str(answer and answer.status)]
    for part in (*(one.encode("utf-8", "surrogatepass") for one in about), seen.body,
                 answer.body if answer else b""):  # fmt: skip
        hashed.update(b"%d:%b" % (len(part), part))
    return hashed.hexdigest()


def _at(seen: Seen) -> float:
    """The instant of the request; where the file has none, the date that the reply bears."""
    if seen.at is not None:
        if not 0 <= seen.at < _YEAR_10000:
            raise CassetteError(f"{seen.place}: {seen.at} is no time")
        return seen.at
    date = header(seen.answer.headers, b"date") if seen.answer else None
    try:
        return parsedate_to_datetime(date.decode("latin-1")).timestamp() if date else 0.0
    except (ValueError, OverflowError):
        return 0.0


def _tape(data: bytes) -> Tape:
    tape = Tape()
    for start in range(0, len(data), _TAPE_BYTES):
        tape.add(data[start : start + _TAPE_BYTES])
    return tape


def _checked(headers: Headers, place: str) -> Headers:
    for name, _ in headers:
        if not _TOKEN.fullmatch(name.decode("latin-1")):
            raise CassetteError(f"{place}: {name!r} is no name of a header")
    return headers


def settled(headers: Headers, body: bytes) -> Headers:
    """The headers that fit the body: programs that keep it decoded often keep its coding's header."""
    applied = codings(headers)
    if not applied or not body:
        return headers
    magic = _MAGIC.get(applied[-1])
    encoded = body.startswith(magic) if magic is not None else not _is_text(body)
    return headers if encoded else recoded(headers, body)


def _is_text(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def scheduled(answer: Answer, times: Times) -> Schedule:
    """Made of what little is known: the frames of a stream one by one, evenly over the time that
    they took together; anything else at once, at the end."""
    body = answer.body
    end_us = max(times.head_us, times.end_us)
    if not body:
        return Schedule((), (), times.head_us)
    if not is_event_stream(answer.headers) or codings(answer.headers):
        return Schedule((len(body),), (end_us,), times.head_us)
    borders = [match.end() for match in _FRAME_END.finditer(body)]
    if not borders or borders[-1] != len(body):
        borders.append(len(body))
    count = len(borders)
    cuts = [end - start for start, end in zip((0, *borders), borders, strict=False)]
    over_us = end_us - times.head_us
    ages = [times.head_us + (over_us * k // (count - 1) if count > 1 else 0) for k in range(count)]
    gaps = [late - early for early, late in zip((0, *ages), ages, strict=False)]
    return Schedule(tuple(cuts), tuple(gaps), times.head_us)


def split_url(url: str, place: str) -> tuple[str, str] | None:
    """`scheme://authority`, and the target; None for a URL that is not HTTP's. Raises
    CassetteError."""
    match = _URL.fullmatch(url.partition("#")[0])
    if match is None:
        if re.match(r"(?i)https?:", url) or ":" not in url:
            raise CassetteError(f"{place}: {url[:80]!r} is no URL")
        return None
    scheme, rest = match[1].lower(), match[3]
    target = _plain(rest if rest.startswith("/") else "/" + rest)
    upstream = upstream_of(scheme, match[2], place)
    return "" if upstream == _NO_HOST else upstream, target


def url_of(upstream: str, target: str) -> str:
    """What `split_url` takes apart."""
    return (upstream or _NO_HOST) + _plain(target)


def _plain(target: str) -> str:
    try:
        raw = target.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raw = target.encode("utf-8", "surrogatepass")
    return quote(raw, safe=_PLAIN)


def upstream_of(scheme: str, authority: str, place: str) -> str:
    match = _AUTHORITY.fullmatch(authority)
    default = {"http": 80, "https": 443}.get(scheme)
    port = int(match[2] or default or 0) if match else 0
    if match is None or default is None or not 0 < port < 1 << 16:
        raise CassetteError(f"{place}: {scheme}://{authority[:80]} is no server")
    return Origin(scheme, match[1].strip("[]").lower(), port).url


def origin_of(upstream: str) -> Origin | None:
    scheme, _, authority = upstream.partition("://")
    match = _AUTHORITY.fullmatch(authority)
    default = {"http": 80, "https": 443}.get(scheme)
    if match is None or default is None:
        return None
    return Origin(scheme, match[1].strip("[]"), int(match[2] or default))


def headers_of(pairs: Iterable[tuple[str, str]]) -> Headers:
    """HTTP/2's own (`:authority` and the like) are left out; what a program has put into one value
    with line breaks are several."""
    return tuple(
        (_wire(name), _wire(line.strip("\r")))
        for name, value in pairs
        if not name.startswith(":")
        for line in value.split("\n")
    )


def _wire(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def with_type(headers: Headers, kind: bytes) -> Headers:
    """With a content type where there is none."""
    has = header(headers, b"content-type") is not None
    return headers if has else (*headers, (b"content-type", kind))
