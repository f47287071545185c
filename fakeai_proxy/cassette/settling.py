"""From a recording just made to a file that lives in git.

The bytes of requests and answers, and when they came, stay as they are. What differs from one recording
to the next without meaning anything goes: random ids, the port of the server, the hour, whose key it
was, the order in which things at the same time were written. An answer that is what it was before
keeps its old line, so that a recording made anew changes no more of the file than has changed.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

from fakeai_proxy.cassette import frames
from fakeai_proxy.cassette.format import Head, Interaction, decode, encode
from fakeai_proxy.cassette.manifest import SALT_BYTES, TOOL
from fakeai_proxy.cassette.rewriting import all_segments, blobs_at, blobs_of, carry, forget_blobs
from fakeai_proxy.cassette.sealing import found_in
from fakeai_proxy.cassette.segments import existing_salt
from fakeai_proxy.exchange import Headers, header

_DAY_S = 86_400
#: Request headers that are random, or meant for us.
_DROPPED = frozenset((b"idempotency-key", b"x-fakeai-session"))
#: What a secret in a header has become: its kind and the tag of its value, which names an owner.
_TAGGED = re.compile(rb"\b(REDACTED\.[\w-]+)\.[0-9a-f]{12}\b")


@dataclass(frozen=True, slots=True)
class _Line:
    record: Interaction
    line: bytes

    @property
    def question(self) -> tuple[bytes, str]:
        return self.record.key, self.record.upstream


def begin(fresh: Path, target: Path, name: str) -> None:
    """Make the file `fresh` to record into, which `settle` then puts into `target`. Secrets are
    hashed with what `target` has, or with what follows from `name`."""
    digest = blake2b(name.encode("utf-8"), digest_size=SALT_BYTES).digest()
    salt = existing_salt(target) if target.exists() else digest
    fresh.write_bytes(encode(Head(TOOL, 0.0, salt)))


def ids_of(path: Path) -> frozenset[str]:
    """Of the recordings in it, none where there is no such file. Raises CassetteError."""
    return frozenset(line.record.id for line in _lines(path)) if path.exists() else frozenset()


def settle(
    target: Path, fresh: Path, own: str, *, anew: bool, known: Collection[str] = ()
) -> tuple[int, list[str]]:
    """Put what `fresh` holds into `target`: behind what is there, or `anew` in its place. `own` is the
    HOST:PORT at which it was recorded. `known` are the ids that were there when recording began: what
    somebody else has recorded since is not added once more. How many lines are not as before, and the
    ids of what was recorded. Raises CassetteError."""
    before = _lines(target) if target.exists() else []
    theirs = set() if anew else {one.question for one in before if one.record.id not in known}
    came = [
        line
        for line in _lines(fresh)
        if line.record.response is not None and line.question not in theirs
    ]
    if not came:
        return 0, []
    if anew:
        after = _in_place(before, came, own)
        text = b"".join([encode(Head(TOOL, 0.0, existing_salt(fresh))), *_texts(after)])
    else:
        after = _added(before, came, own)
        there = target.read_bytes()
        text = there + (b"" if there.endswith(b"\n") else b"\n") + b"".join(_texts(after))
    if not target.exists() or target.read_bytes() != text:
        for line in after:
            for blob in blobs_of(line.record):
                carry(blobs_at(fresh).path(blob), blobs_at(target).path(blob))
        _replace(target, text)
        forget_blobs(target)
    return len(set(_texts(after)) - set(_texts(before))), [line.record.id for line in after]


def _texts(lines: Iterable[_Line]) -> Iterator[bytes]:
    return (line.line for line in lines)


def _lines(path: Path) -> list[_Line]:
    found = []
    for one in found_in(all_segments(path)):
        line = one.segment.line(one.place)
        record = decode(line) if one.label.kind == frames.CLOSE else None
        if isinstance(record, Interaction):
            found.append(_Line(record, line if line.endswith(b"\n") else line + b"\n"))
    return found


def _in_place(before: Sequence[_Line], came: Sequence[_Line], own: str) -> list[_Line]:
    """In the order of the questions in `before`, those that are not there last."""
    kept: defaultdict[tuple[bytes, str], deque[_Line]] = defaultdict(deque)
    places: dict[tuple[bytes, str], int] = {}
    for place, line in enumerate(before):
        kept[line.question].append(line)
        places.setdefault(line.question, place)
    ordered = sorted(came, key=lambda line: places.get(line.question, len(before)))
    result: list[_Line] = []
    for line in ordered:
        same = kept[line.question]
        old = next((one for one in same if _answer(one) == _answer(line)), None)
        if old is not None:
            same.remove(old)
        result.append(old or line)
    names = Counter[tuple[bytes, str]]()
    old_lines = {id(line) for line in before}
    for place, line in enumerate(result):
        names[line.question] += 1
        if id(line) not in old_lines:
            result[place] = _plain(line, names[line.question], place + 1, own, result)
    return result


def _added(before: Sequence[_Line], came: Sequence[_Line], own: str) -> list[_Line]:
    names = Counter(line.question for line in before)
    result: list[_Line] = []
    for line in came:
        names[line.question] += 1
        seq = len(before) + len(result) + 1
        result.append(_plain(line, names[line.question], seq, own, [*before, *result]))
    return result


def _answer(line: _Line) -> tuple[object, ...]:
    """What makes two answers one: dates and request ids in headers do not."""
    response = line.record.response
    assert response is not None, "only answered ones are kept"
    content_type = header(response.headers, b"content-type")
    said = [(one.sender, one.op, one.data) for one in response.messages]
    return response.status, content_type, response.body, response.end, said


def _plain(line: _Line, nth: int, seq: int, own: str, others: Sequence[_Line]) -> _Line:
    """The same without what means nothing."""
    record = line.record
    taken = {other.record.id for other in others}
    while (name := _name(line.question, nth)) in taken:
        nth += 1
    response = record.response
    assert response is not None, "only answered ones are kept"
    made = replace(
        record,
        id=name,
        at=float(record.at // _DAY_S * _DAY_S),
        session="",
        seq=seq,
        auth={key: value for key, value in record.auth.items() if key != "tag"},
        request=replace(
            record.request, headers=_request_headers(record.request.headers, record.upstream, own)
        ),
        response=replace(response, headers=_untagged(response.headers)),
    )
    return _Line(made, encode(made))


def _name(question: tuple[bytes, str], nth: int) -> str:
    key, upstream = question
    return blake2b(b"%b %d %b" % (key, nth, upstream.encode()), digest_size=8).hexdigest()


def _request_headers(headers: Headers, upstream: str, own: str) -> Headers:
    host = (upstream.partition("://")[2] or "localhost").encode()
    return _untagged(
        tuple(
            (name, host if (name.lower(), value) == (b"host", own.encode()) else value)
            for name, value in headers
            if name.lower() not in _DROPPED
        )
    )


def _untagged(headers: Headers) -> Headers:
    return tuple((name, _TAGGED.sub(rb"\1." + b"0" * 12, value)) for name, value in headers)


def _replace(target: Path, text: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    try:
        temporary.write_bytes(text)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
