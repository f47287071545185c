"""A recorded reply, ready to be played: its pieces with their ages and tokens, and what is known of
the work behind it.

Made once for a recording and played as often as it is asked for; nothing in it depends on who asks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import NamedTuple

from fakeai_proxy.cassette import sse
from fakeai_proxy.cassette.bodies import Blob
from fakeai_proxy.cassette.codings import codings
from fakeai_proxy.cassette.draft import recut
from fakeai_proxy.cassette.format import RecordedResponse, Replied
from fakeai_proxy.cassette.messages import Message
from fakeai_proxy.cassette.spoken import spoken_frames
from fakeai_proxy.exchange import Chunk, Headers, is_event_stream
from fakeai_proxy.headers import Written

#: Where a frame ends; what follows the last one is one, too.
_FRAME_END = re.compile(rb"\r?\n\r?\n|\Z")
#: Counts above this are no counts.
_TOKENS_MAX = 1 << 24
#: What the objects of a script take beside their bytes, measured: the script and its place in a
#: cache, a header, a chunk.
_SCRIPT_BYTES, _HEADER_BYTES, _CHUNK_BYTES = 900, 150, 170


class Script(NamedTuple):
    """`head_age_s` and the chunks' ages count from the request's arrival; `timed` has length and age
    of each. A body in a file of its own is `blob`: there are no chunks then."""

    status: int
    headers: Headers
    reason: str
    head_age_s: float
    #: The body stops short of its end.
    cut: bool
    chunks: tuple[Chunk, ...]
    model: str | None
    #: As the recording tells them; None where it does not.
    prompt_tokens: int | None
    output_tokens: int | None
    blob: Blob | None
    timed: tuple[tuple[int, float], ...]
    #: When it was asked, by the wall; 0 where nobody has said.
    at: float
    #: The salted hash of the credential that it was asked with, "" for none.
    tag: str
    #: Of a WebSocket (status 101): what was said on it.
    messages: tuple[Message, ...] = ()
    end: str = "eof"
    #: The headers with what a player adds to them.
    told: Written = Written()

    @property
    def size_bytes(self) -> int:
        """About what it takes in memory."""
        names = sum([len(name) + len(value) + _HEADER_BYTES for name, value in self.headers])
        body = sum([cut + _CHUNK_BYTES for cut, _ in self.timed])
        said = sum([len(message.data) + _CHUNK_BYTES for message in self.messages])
        return _SCRIPT_BYTES + names + body + said + len(self.told.lines)


def script_of(replied: Replied) -> Script:
    """Its `view` as `view_of` makes it."""
    response, view = replied.response, replied.view
    usage, model, body = view.get("usage"), view.get("model"), response.body
    prompt, output = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    timed = _timed(response, body.size if isinstance(body, Blob) else len(body))
    return Script(
        status=response.status,
        headers=response.headers,
        reason=response.reason,
        head_age_s=response.head_us / 1e6,
        cut=response.end != "eof",
        chunks=() if isinstance(body, Blob) else chunks_of(response.headers, body, timed, output),
        model=model if isinstance(model, str) else None,
        prompt_tokens=prompt,
        output_tokens=output,
        blob=body if isinstance(body, Blob) else None,
        timed=timed,
        at=replied.at,
        tag=str(replied.auth.get("tag", "")),
        messages=response.messages,
        end=response.end,
    )


def _timed(response: RecordedResponse, size: int) -> tuple[tuple[int, float], ...]:
    """Length and age of each read; where someone has edited the body, of as many reads in
    proportion."""
    cuts, gaps_us = response.cuts, response.gaps_us
    if sum(cuts) != size:
        cuts = recut(cuts, size)
    if len(cuts) == 1:
        return ((cuts[0], gaps_us[0] / 1e6 if gaps_us else 0.0),)
    gaps_us = (*gaps_us, *(0 for _ in range(len(cuts) - len(gaps_us))))
    return tuple([(cut, us / 1e6) for cut, us in zip(cuts, accumulate(gaps_us), strict=False)])


def chunks_of(
    headers: Headers,
    body: bytes,
    timed: tuple[tuple[int, float], ...],
    output_tokens: int | None,
) -> tuple[Chunk, ...]:
    if len(timed) == 1:
        whole = output_tokens
        if whole is None:
            whole = sum(_tokens(headers, [body], None))
        return (Chunk(body, whole, timed[0][1]),)
    pieces, position = [], 0
    for cut, _ in timed:
        pieces.append(body[position : position + cut])
        position += cut
    tokens = _tokens(headers, pieces, output_tokens)
    return tuple(
        [
            Chunk(piece, count, age_s)
            for piece, count, (_, age_s) in zip(pieces, tokens, timed, strict=True)
        ]
    )


def by_frames(headers: Headers, chunks: Sequence[Chunk]) -> tuple[Chunk, ...]:
    """A stream's chunks cut where its frames end, each with its tokens: for a back end whose reads are
    not the recorded ones. What is encoded, or no stream, stays as it is."""
    data = [chunk.data for chunk in chunks if isinstance(chunk.data, bytes)]
    if not is_event_stream(headers) or codings(headers) or len(data) != len(chunks):
        return tuple(chunks)
    body, total = b"".join(data), sum([chunk.tokens for chunk in chunks])
    ages = iter(zip(accumulate(map(len, data)), chunks, strict=True))
    read_end, read = next(ages, (0, Chunk(b"")))
    frames = list(spoken_frames(body))
    whole, seen, given, place = sum([tokens for _, tokens in frames]), 0, 0, 0
    found: list[Chunk] = []
    start = 0
    for match in _FRAME_END.finditer(body):
        end = match.end()
        if end == start:
            continue
        while read_end < end:
            read_end, read = next(ages)
        while place < len(frames) and frames[place][0] <= end:
            seen += frames[place][1]
            place += 1
        reached = seen * total // whole if whole else 0
        found.append(Chunk(body[start:end], reached - given, read.age_s))
        start, given = end, reached
    return tuple(found)


def _tokens(headers: Headers, pieces: list[bytes], output_tokens: int | None) -> list[int]:
    """The output tokens that each piece stands for. A stream's are spread over its frames (over its
    bytes where it is encoded); a whole body's all come before its first byte."""
    if not is_event_stream(headers):
        return [output_tokens or 0, *(0 for _ in pieces[1:])][: len(pieces)]
    weigh: Callable[[bytes], int] = len if codings(headers) else sse.data_frames
    seen = list(accumulate(map(weigh, pieces)))
    whole = seen[-1] if seen else 0
    total = whole if output_tokens is None or not whole else output_tokens
    reached = [count * total // whole if whole else 0 for count in seen]
    return [after - before for before, after in zip([0, *reached], reached, strict=False)]


def _count(usage: object, name: str) -> int | None:
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if isinstance(count, int) and 0 <= count < _TOKENS_MAX else None
