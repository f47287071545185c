"""From what was seen to what is stored: keys are computed, then secrets go, then the view is made.

A `Draft` holds a request and its reply as they were. `sealed` runs in the writer's thread and holds
a spooled body never whole in memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from fakeai_proxy.cassette.blobs import BlobStore, GrowingBlob
from fakeai_proxy.cassette.bodies import Blob, Content, size_of
from fakeai_proxy.cassette.codings import Undecodable, codings, decoded
from fakeai_proxy.cassette.format import (
    Extra,
    Interaction,
    Open,
    RecordedRequest,
    RecordedResponse,
)
from fakeai_proxy.cassette.matching import (
    CANONICAL_BYTES_MAX,
    canonical_body,
    key_of,
    large_key,
    raw_hash,
    simhash,
)
from fakeai_proxy.cassette.messages import Message
from fakeai_proxy.cassette.redaction import (
    Redactor,
    Scrubber,
    carried,
    echoes_of,
    is_lines,
    is_media,
)
from fakeai_proxy.cassette.tape import Tape
from fakeai_proxy.cassette.view import view_of
from fakeai_proxy.exchange import Headers

#: Binary bodies from this size on are blobs in a directory cassette.
BLOB_BYTES = 64 << 10
#: Streams of lines up to this size are scanned whole; a larger one is not stored.
LINES_BYTES_MAX = 32 << 20
#: Large replies that are stored while they come; further ones are stored at their end.
GROWING_MAX = 64


@dataclass(slots=True)
class Heard:
    """A reply as it came."""

    status: int
    headers: Headers
    reason: str = ""
    head_us: int = 0
    body: Tape = field(default_factory=Tape)
    cuts: list[int] = field(default_factory=list)
    gaps_us: list[int] = field(default_factory=list)
    end: str = "eof"
    #: Of a WebSocket: what was said on it.
    messages: list[Message] | None = None
    withheld: str = ""


@dataclass(slots=True)
class Draft:
    """`target` is the one that the upstream saw."""

    id: str
    at: float
    upstream: str
    method: str
    target: str
    headers: Headers
    session: str = ""
    provider: str = ""
    body: Tape = field(default_factory=Tape)
    complete: bool = True
    heard: Heard | None = None
    #: Fields of the record that are not the recorder's.
    extra: Extra = field(default_factory=dict)

    @property
    def memory_bytes(self) -> int:
        heard = self.heard.body.memory_bytes if self.heard else 0
        if self.heard and self.heard.messages:
            heard += sum(len(message.data) + 200 for message in self.heard.messages)
        return self.body.memory_bytes + heard + 4096

    def close(self) -> None:
        self.body.close()
        if self.heard is not None:
            self.heard.body.close()


@dataclass(slots=True)
class _Growing:
    """A reply that is stored while it comes."""

    blob: GrowingBlob
    scrubber: Scrubber
    taken_bytes: int = 0

    def take(self, body: Tape) -> None:
        for piece in body.pieces(self.taken_bytes):
            self.blob.add(self.scrubber.feed(piece))
            self.taken_bytes += len(piece)

    def commit(self, durable: bool) -> Blob:
        self.blob.add(self.scrubber.rest())
        return self.blob.commit(durable)


class _Stored(NamedTuple):
    content: Content
    recoded: bool = False
    withheld: str = ""


class Sealer:
    """`inline_binary`: bodies up to a megabyte stay in the record even when they are binary."""

    def __init__(
        self, redactor: Redactor, blobs: BlobStore, durable: bool, inline_binary: bool
    ) -> None:
        self._redactor = redactor
        self._blobs = blobs
        self._durable = durable
        self._inline_binary = inline_binary
        #: Large replies on their way, by the draft's id.
        self._growing: dict[str, _Growing] = {}

    def opening(self, draft: Draft) -> Open:
        echoes = echoes_of(carried(draft.target, draft.headers))
        return Open(draft.id, draft.at, draft.upstream, self._request(draft, b"", echoes),
                    self._text(draft.session, echoes))  # fmt: skip

    def advance(self, draft: Draft) -> None:
        """Store what has come of a large reply so far, so that little is left to do at its end. What
        must be seen whole is left for then."""
        heard = draft.heard
        if (
            heard is None
            or not heard.body.spooled
            or codings(heard.headers)
            or self._redactor.must_see_whole(heard.headers)
        ):
            return
        growing = self._growing.get(draft.id)
        if growing is None:
            if len(self._growing) >= GROWING_MAX:
                return
            echoes = echoes_of(carried(draft.target, draft.headers))
            growing = _Growing(self._blobs.begin(), self._redactor.scrubber(echoes))
            self._growing[draft.id] = growing
        taken = False
        try:
            growing.take(heard.body)
            taken = True
        finally:
            if not taken:
                self.forget(draft.id)

    def forget(self, draft_id: str) -> None:
        growing = self._growing.pop(draft_id, None)
        if growing is not None:
            growing.blob.discard()

    def close(self) -> None:
        for draft_id in list(self._growing):
            self.forget(draft_id)

    def sealed(self, draft: Draft, seq: int) -> Interaction:
        echoes = echoes_of(carried(draft.target, draft.headers))
        raw_key, key, likeness = self._keys(draft)
        stored = self._store(draft.body, draft.headers, echoes)
        request = self._request(draft, stored.content, echoes, stored)
        response = self._response(draft, draft.heard, echoes) if draft.heard else None
        return Interaction(
            id=draft.id,
            at=draft.at,
            upstream=draft.upstream,
            request=request,
            response=response,
            raw_key=raw_key,
            key=key,
            simhash=likeness,
            session=self._text(draft.session, echoes),
            seq=seq,
            auth=self._redactor.auth(draft.target, draft.headers),
            view=view_of(request, response, draft.provider),
            extra=draft.extra,
        )

    def _text(self, text: str, echoes: tuple[bytes, ...]) -> str:
        return self._redactor.scrub(text.encode("utf-8", "replace"), echoes).decode()

    def _keys(self, draft: Draft) -> tuple[bytes, bytes, int]:
        """Raw key, canonical key, SimHash: of the request as it was."""
        if not draft.complete:
            return bytes(16), bytes(16), 0
        hashed = raw_hash(draft.method, draft.target, draft.headers)
        for piece in draft.body.pieces():
            hashed.update(piece)
        raw = hashed.digest()
        if draft.body.size > CANONICAL_BYTES_MAX:
            return raw, large_key(draft.method, draft.target, draft.headers, raw), 0
        canonical = canonical_body(draft.headers, draft.body.whole())
        key = key_of(draft.method, draft.target, draft.headers, canonical)
        return raw, key, simhash(canonical)

    def _request(
        self, draft: Draft, body: Content, echoes: tuple[bytes, ...], stored: _Stored | None = None
    ) -> RecordedRequest:
        headers = draft.headers
        if stored is not None and stored.recoded:
            headers = recoded(headers, body)
        return RecordedRequest(
            self._text(draft.method, echoes),
            self._redactor.target(draft.target, echoes),
            self._redactor.request_headers(headers, echoes),
            body,
            draft.complete,
            stored.withheld if stored else "",
        )

    def _response(self, draft: Draft, heard: Heard, echoes: tuple[bytes, ...]) -> RecordedResponse:
        if heard.messages is not None:
            return self._socket(heard, heard.messages, echoes)
        if draft.id in self._growing:
            try:
                self.advance(draft)
                stored = _Stored(self._growing[draft.id].commit(self._durable))
            finally:
                self.forget(draft.id)
        else:
            stored = self._store(heard.body, heard.headers, echoes)
        headers, cuts = heard.headers, tuple(heard.cuts)
        if stored.recoded:
            headers = recoded(headers, stored.content)
            cuts = recut(cuts, size_of(stored.content))
        if stored.withheld:
            cuts = ()
        return RecordedResponse(
            status=heard.status,
            headers=self._redactor.response_headers(headers, echoes),
            body=stored.content,
            cuts=cuts,
            gaps_us=tuple(heard.gaps_us) if not stored.withheld else (),
            head_us=heard.head_us,
            end=heard.end,
            reason=self._text(heard.reason, echoes),
            withheld=stored.withheld,
        )

    def _socket(
        self, heard: Heard, messages: list[Message], echoes: tuple[bytes, ...]
    ) -> RecordedResponse:
        return RecordedResponse(
            status=heard.status,
            headers=self._redactor.response_headers(heard.headers, echoes),
            head_us=heard.head_us,
            end=heard.end,
            reason=self._text(heard.reason, echoes),
            withheld=heard.withheld,
            messages=tuple(self._redactor.messages(messages, echoes)),
        )

    def _store(self, body: Tape, headers: Headers, echoes: tuple[bytes, ...]) -> _Stored:
        whole = self._redactor.must_see_whole(headers) and body.size <= LINES_BYTES_MAX
        if whole or not body.spooled:
            clean = self._redactor.body(body.whole(), headers, echoes)
            if body.spooled or self._is_blob(clean.data):
                blob = self._blobs.write((clean.data,), self._durable)
                return _Stored(blob, clean.recoded, clean.withheld)
            return _Stored(clean.data, clean.recoded, clean.withheld)
        if is_lines(headers):
            return _Stored(b"", withheld=f"a stream of {body.size} bytes is not scanned")
        return self._store_spooled(body, headers, echoes)

    def _store_spooled(self, body: Tape, headers: Headers, echoes: tuple[bytes, ...]) -> _Stored:
        scrub, applied = self._redactor.scrub_pieces, codings(headers)
        if applied:
            try:
                dirty = self._redactor.finds(decoded(body.pieces(), applied), echoes)
            except Undecodable as error:
                if not is_media(headers):
                    return _Stored(b"", withheld=f"content-encoding cannot be undone: {error}")
                dirty = False
            if dirty or self._redactor.finds(body.pieces(), echoes):
                plain = scrub(decoded(body.pieces(), applied), echoes)
                return _Stored(self._blobs.write(plain, self._durable), recoded=True)
        return _Stored(self._blobs.write(scrub(body.pieces(), echoes), self._durable))

    def _is_blob(self, data: bytes) -> bool:
        if self._inline_binary or len(data) < BLOB_BYTES:
            return False
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            return True
        return False


def recoded(headers: Headers, content: Content) -> Headers:
    """The headers of a body that is stored decoded."""
    length = b"%d" % size_of(content)
    return tuple(
        (name, length if name.lower() == b"content-length" else value)
        for name, value in headers
        if name.lower() != b"content-encoding"
    )


def recut(cuts: tuple[int, ...], size: int) -> tuple[int, ...]:
    """As many reads as there were, in proportion, of a body of another size."""
    whole = sum(cuts)
    if whole == size:
        return cuts
    if not whole:
        return (size,) if size else ()
    borders, seen = [0], 0
    for cut in cuts:
        seen += cut
        borders.append(seen * size // whole)
    return tuple(after - before for before, after in pairwise(borders))
