"""A recording with other words: the same bytes in number, the same structure, timing and tool graph, so that
it can leave the house that it was recorded in.

A word becomes another of the same length, and the same word always the same one: what referred to each
other still does, also where a stream brought a word in pieces. What the protocol says (roles, types,
models, reasons) stays, numbers outside of texts too. What is no text becomes zeros.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b

from fakeai_proxy.cassette import sse
from fakeai_proxy.cassette.blobs import BlobStore
from fakeai_proxy.cassette.bodies import Blob, Content, size_of
from fakeai_proxy.cassette.codings import Undecodable, codings, decoded_whole
from fakeai_proxy.cassette.draft import recoded, recut
from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.cassette.messages import SIDES, Message, as_stream, parted
from fakeai_proxy.cassette.view import view_of
from fakeai_proxy.exchange import Headers, header, is_event_stream

#: Fields whose strings are the protocol's.
PROTOCOL = frozenset(
    (
        b"model", b"role", b"type", b"object", b"finish_reason", b"stop_reason", b"status", b"service_tier",
        b"event", b"encoding_format", b"detail", b"format", b"code", b"param", b"media_type", b"mime_type",
        b"tool_choice", b"reasoning_effort", b"effort", b"truncation", b"modalities", b"required",
        b"finishReason", b"mimeType", b"response_format", b"voice", b"language", b"purpose",
    )
)  # fmt: skip
#: Words of JSON within a text, of addresses, and of how somebody says who they are.
_KEPT_WORDS = frozenset(
    (
        b"true", b"false", b"null", b"http", b"https", b"data", b"image", b"base64",
        b"Bearer", b"Basic",
    )
)  # fmt: skip
#: Hosts, or ends of hosts, that are everybody's.
_PUBLIC = re.compile(
    r"(?:api|generativelanguage|integrate|ai)?\.?(?:openai\.com|anthropic\.com|googleapis\.com|"
    r"nvidia\.com|mistral\.ai|cohere\.com|openrouter\.ai|groq\.com|together\.xyz|deepseek\.com|"
    r"openai\.azure\.com|amazonaws\.com)$"
)
_HEADERS = re.compile(
    rb"(?i)content-.*|accept.*|retry-after.*|x-ratelimit-.*|anthropic-(version|beta|ratelimit.*)|"
    rb"openai-(version|beta|processing-ms)|transfer-encoding|date|server|connection|cache-control|vary"
)
_STRING = re.compile(rb'"((?:[^"\\]|\\.)*)"|[{}\[\],:]', re.S)
#: Escapes and names of fields in JSON within a text are passed over; words, digits and letters beyond
#: ASCII are changed. Where a secret was, one still was: only whose it was is not told.
_WORD = re.compile(
    rb"(?P<mark>REDACTED\.[a-z-]+\.|\bR-)(?P<tag>[0-9a-p]{6,})(?P<fill>x*)|"
    rb'\\"\w+\\"(?=\s*:)|\\u[0-9a-fA-F]{4}|\\.|(?P<word>[A-Za-z]+)|(?P<digits>[0-9]+)|'
    rb"(?P<other>[\xc3-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2})"
)
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{256,}={0,2}")
_VOWELS, _CONSONANTS = b"aeiou", b"bcdfghjklmnprstvwz"


class Anonymize:
    """Called with an interaction. `salt` makes the words of this cassette."""

    def __init__(self, salt: bytes, sources: BlobStore, target: BlobStore) -> None:
        self._words = Words(salt)
        self._sources = sources
        self._target = target

    def __call__(self, record: Interaction) -> Interaction:
        request, response = record.request, record.response
        body, headers = self._body(request.body, request.headers)
        path, mark, query = request.target.partition("?")
        request = replace(
            request,
            target=path + mark + self._words.text(query.encode("utf-8", "replace")).decode(),
            headers=self._headers(headers),
            body=body,
        )
        if response is not None:
            body, headers = self._body(response.body, response.headers)
            size = size_of(body)
            response = replace(
                response,
                headers=self._headers(headers),
                body=body,
                cuts=recut(response.cuts, size),
                messages=self._messages(response.messages),
            )
        return replace(
            record,
            upstream=self._host(record.upstream),
            session=self._words.text(record.session.encode("utf-8", "replace")).decode(),
            request=request,
            response=response,
            raw_key=b"",
            key=b"",
            simhash=0,
            auth={},
            view=view_of(request, response, str(record.view.get("provider", ""))),
        )

    def _host(self, upstream: str) -> str:
        scheme, mark, authority = upstream.partition("://")
        host = authority.partition(":")[0]
        known = _PUBLIC.search(host)
        own = host if known is None else host[: known.start()]
        return f"{scheme}{mark}{self._words.text(own.encode()).decode()}{authority[len(own) :]}"

    def _headers(self, headers: Headers) -> Headers:
        return tuple(
            (name, value if _HEADERS.fullmatch(name) else self._words.text(value))
            for name, value in headers
        )

    def _body(self, body: Content, headers: Headers) -> tuple[Content, Headers]:
        if isinstance(body, Blob):
            size = sum(len(piece) for piece in self._sources.read(body))
            return self._target.write(_zeros(size), durable=True), headers
        applied = codings(headers)
        if applied:
            try:
                body = decoded_whole(body, applied, 64 << 20)
                headers = recoded(headers, body)
            except Undecodable:
                return bytes(len(body)), headers
        return self._text(body, headers), headers

    def _messages(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """A close's code stays; what else is no text becomes zeros."""
        changed: Sequence[Message] = messages
        for sender in SIDES:
            lines = self._stream(as_stream(messages, sender))
            changed = parted(changed, sender, lines, op="text")
        return tuple(
            [
                replace(
                    one,
                    data=one.data[:2] + self._words.text(one.data[2:])
                    if one.op == "close"
                    else bytes(len(one.data)),
                )
                if one.op != "text"
                else one
                for one in changed
            ]
        )

    def _text(self, body: bytes, headers: Headers) -> bytes:
        kind = (header(headers, b"content-type") or b"").lower()
        try:
            body.decode("utf-8")
        except UnicodeDecodeError:
            return bytes(len(body))
        if kind.startswith(b"multipart/"):
            return bytes(len(body))
        if is_event_stream(headers):
            return self._stream(body)
        if body.lstrip()[:1] in (b"{", b"["):
            return self._json(body)
        return self._words.text(body)

    def _json(self, body: bytes) -> bytes:
        out = bytearray(body)
        for start, end in _values(body):
            out[start:end] = self._words.text(body[start:end])
        return bytes(out)

    def _stream(self, body: bytes) -> bytes:
        """Texts that lie scattered over frames are put together first: their words are."""
        out, taken = bytearray(body), set()
        for places in sse.scattered(body):
            changed = self._words.text(b"".join([body[start:end] for start, end in places]))
            at = 0
            for start, end in places:
                out[start:end] = changed[at : at + end - start]
                at += end - start
                taken.add(start)
        position = 0
        for line in body.split(b"\n"):
            if line.startswith(b"data:"):
                for first, last in _values(line[5:]):
                    start, end = position + 5 + first, position + 5 + last
                    if start not in taken:
                        out[start:end] = self._words.text(body[start:end])
            position += len(line) + 1
        return bytes(out)


def _values(text: bytes) -> Iterator[tuple[int, int]]:
    """The places of the strings in JSON that are no names and not the protocol's."""
    names: list[bytes] = [b""]
    last: tuple[int, int] | None = None
    name = b""
    for match in _STRING.finditer(text):
        if match[1] is not None:
            if last is not None and name not in PROTOCOL:
                yield last
            last = match.span(1)
            continue
        sign = match[0]
        if sign == b":" and last is not None:
            name, last = text[last[0] : last[1]], None
            continue
        if last is not None and name not in PROTOCOL:
            yield last
        last = None
        if sign in b"{[":
            names.append(name)
        elif sign in b"}]":
            name = names.pop() if len(names) > 1 else b""
    if last is not None and name not in PROTOCOL:
        yield last


def _zeros(size: int) -> Iterator[bytes]:
    for start in range(0, size, 1 << 18):
        yield bytes(min(1 << 18, size - start))


class Words:
    """Other words of the same lengths, the same for the same."""

    def __init__(self, salt: bytes) -> None:
        self._salt = salt
        self._word = lru_cache(65_536)(self._made)

    def text(self, text: bytes) -> bytes:
        if _BASE64.fullmatch(text):
            return b"A" * len(text)
        return _WORD.sub(self._changed, text)

    def _changed(self, match: re.Match[bytes]) -> bytes:
        whole = match[0]
        if match["mark"]:
            drawn = self._drawn(match["tag"], len(match["tag"]))
            tag = bytes([b"0123456789abcdef"[draw % 16] for draw in drawn])
            return match["mark"] + tag + match["fill"]
        if match["word"]:
            return whole if whole in _KEPT_WORDS else self._word(whole)
        if match["digits"]:
            return self._digits(whole)
        return self._letter(whole) if match["other"] else whole

    def _made(self, word: bytes) -> bytes:
        drawn = self._drawn(word.lower(), len(word))
        letters = bytearray()
        for place, (was, draw) in enumerate(zip(word, drawn, strict=True)):
            among = _VOWELS if place % 2 else _CONSONANTS
            letter = among[draw % len(among)]
            letters.append(letter - 32 if was < 97 else letter)
        return bytes(letters)

    def _digits(self, digits: bytes) -> bytes:
        drawn = self._drawn(digits, len(digits))
        # No number begins to have, or loses, leading zeros.
        return bytes(
            48 if was == 48 and not place else 49 + draw % 9
            for place, (was, draw) in enumerate(zip(digits, drawn, strict=True))
        )

    def _letter(self, letter: bytes) -> bytes:
        """Another of as many bytes in UTF-8: Greek for two, Chinese for three."""
        draw = int.from_bytes(self._drawn(letter, 2), "big")
        if len(letter) == 2:
            return chr(0x3B1 + draw % 17).encode()
        return letter if letter[0] == 0xE2 else chr(0x4E00 + draw % 2000).encode()

    def _drawn(self, word: bytes, count: int) -> bytes:
        drawn = b""
        while len(drawn) < count:
            serial = len(drawn).to_bytes(4, "big")
            drawn += blake2b(word + serial, key=self._salt, digest_size=64).digest()
        return drawn[:count]
