"""Secrets never reach the disk.

Headers pass by an allow-list; credentials become typed placeholders of the same length, tagged with
a salted hash, so that cuts stay valid and equal secrets stay equal. What cannot be looked into is
not stored. Knows the bytes of one message; nothing of files or of matching.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any
from urllib.parse import unquote_to_bytes

from fakeai_proxy.cassette import sse
from fakeai_proxy.cassette.codings import Undecodable, codings, decoded_whole
from fakeai_proxy.cassette.messages import SIDES, Message, joined, parted
from fakeai_proxy.cassette.rules import CUSTOM, PERSONAL, Rules
from fakeai_proxy.cassette.shapes import (
    CREDENTIAL_HEADERS,
    CREDENTIAL_PARAMETERS,
    PLACEHOLDER,
    SECRET_BYTES_MAX,
    SUBPROTOCOL_CREDENTIAL,
    Form,
    echoes_of,
    matches,
    runs,
)
from fakeai_proxy.exchange import Headers, header

#: Request headers that are stored; `x-stainless-*` (the SDKs' own description) is too.
REQUEST_HEADERS = frozenset(
    (
        b"accept", b"accept-encoding", b"accept-language", b"anthropic-beta", b"anthropic-version",
        b"content-encoding", b"content-length", b"content-type", b"host", b"idempotency-key",
        b"openai-beta", b"range", b"sec-websocket-protocol", b"user-agent", b"x-fakeai-session",
    )
)  # fmt: skip
_REQUEST_PREFIXES = (b"x-stainless-",)
DROPPED = frozenset((b"set-cookie", b"set-cookie2", b"authorization", b"proxy-authenticate"))
_MASKED = frozenset((b"openai-organization", b"openai-project", b"anthropic-organization-id"))
#: Bodies that may be stored although their coding cannot be undone.
_MEDIA = re.compile(rb"(?i)(image|audio|video|font)/")
_LINES = re.compile(rb"(?i)text/event-stream|application/(x-)?(ndjson|jsonl|json-seq)")
_PARAMETER = re.compile(rb"([?&;])([^=&;?#]{1,64})=([^&;#]*)")
#: Shorter cookies are words: a language, a theme.
_COOKIE_BYTES_MIN = 16
#: So much base64 may hide a key.
_ENCODED_BYTES_MIN = 32
#: Texts of headers that are known to hold no secret, and how long they are.
_USUAL_MAX, _USUAL_BYTES = 1024, 256
#: Kinds that the user chose to hide; a digit in their placeholders might match a pattern again.
_OWN_KINDS = frozenset((CUSTOM, *(shape.kind for shape in PERSONAL)))
_TO_LETTERS = str.maketrans("0123456789", "ghijklmnop")
_STANDARD, _URL_SAFE = bytes.maketrans(b"-_", b"+/"), bytes.maketrans(b"+/", b"-_")
#: What an encoded body may decode to; above it, it is not stored.
DECODED_BYTES_MAX = 64 << 20
#: Messages of a WebSocket are looked at as such a stream.
LINE_HEADERS: Headers = ((b"content-type", b"text/event-stream"),)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A body fit for the disk. `recoded`: it is stored decoded, its coding is gone. `withheld`
    says why it is not stored at all."""

    data: bytes
    recoded: bool = False
    withheld: str = ""


def credentials(target: str, headers: Headers) -> list[bytes]:
    """Every credential the request itself carried, bare."""
    found = []
    for name, value in headers:
        scheme = CREDENTIAL_HEADERS.get(name.lower())
        if scheme is not None:
            match = scheme.match(value)
            found.append((value[match.end() :] if match else value).strip())
        elif name.lower() == b"sec-websocket-protocol":
            found += [match[1] for match in SUBPROTOCOL_CREDENTIAL.finditer(value)]
    for match in _PARAMETER.finditer(_bytes(target)):
        if _name(match[2]) in CREDENTIAL_PARAMETERS:
            found += [match[3], unquote_to_bytes(match[3])]
    return [secret for secret in found if secret]


def carried(target: str, headers: Headers) -> list[bytes]:
    """Those, the password within one, and cookies: whatever a reply must not be kept with."""
    found = credentials(target, headers)
    for name, value in headers:
        lower = name.lower()
        if lower == b"cookie":
            pairs = [pair.partition(b"=") for pair in value.split(b";")]
            found += [
                cookie.strip(b' "') for _, _, cookie in pairs if len(cookie) >= _COOKIE_BYTES_MIN
            ]
        elif lower == b"authorization" and value[:6].lower() == b"basic ":
            try:
                found.append(base64.b64decode(value[6:]).partition(b":")[2])
            except binascii.Error:
                continue
    return found


def is_lines(headers: Headers) -> bool:
    """Whether a body is a stream of lines over which one text may be scattered."""
    return _LINES.match(header(headers, b"content-type") or b"") is not None


def is_media(headers: Headers) -> bool:
    return _MEDIA.match(header(headers, b"content-type") or b"") is not None


class Redactor:
    """`salt` is the cassette's own: tags of two cassettes cannot be compared."""

    def __init__(self, salt: bytes, rules: Rules | None = None) -> None:
        self._salt = salt
        self.rules = rules or Rules()
        self._is_clean = lru_cache(_USUAL_MAX)(self._holds_nothing)

    @property
    def policy(self) -> dict[str, Any]:
        """What is scrubbed besides credentials, as the cassette says it."""
        return self.rules.policy(self.tag)

    def tag(self, secret: bytes) -> str:
        return blake2b(secret, digest_size=16, key=self._salt).hexdigest()

    def placeholder(self, kind: str, secret: bytes, size: int | None = None) -> bytes:
        """`size` bytes long; without it as long as it reads best."""
        tag = self.tag(secret)
        full = f"REDACTED.{kind}.{tag[:12]}".encode()
        own = kind in _OWN_KINDS
        if own and size is not None and secret.isdigit():
            return b"1".ljust(size, b"0")  # it may stand where JSON wants a number
        if size is None or size >= len(full):
            return full.ljust(size or 0, b"x")
        return (b"R-" + (tag.translate(_TO_LETTERS) if own else tag).encode())[:size]

    def matches(
        self, data: bytes, echoes: tuple[bytes, ...] = (), form: Form | None = None
    ) -> list[tuple[int, int, str]]:
        """Start, end and kind of every secret; without a form, it is told by the beginning."""
        own = self.rules.shapes
        if own and form is None:
            form = "json" if is_json(data) else "plain"
        return matches(data, echoes, own, form or "plain")

    def must_see_whole(self, headers: Headers) -> bool:
        """Whether what a user's rules match can only be replaced in a body that is whole."""
        kind = header(headers, b"content-type") or b""
        return is_lines(headers) or bool(self.rules.shapes and b"json" in kind)

    def scrub(self, data: bytes, echoes: tuple[bytes, ...], lines: bool = False) -> bytes:
        """`data` with every secret replaced, length unchanged; the same object when clean."""
        # First over frames: what one of them hides would be missed in the next.
        whole = self._unscattered(data, echoes) if lines else data
        clean = self.replaced(whole, self.matches(whole, echoes, "lines" if lines else None))
        return self.replaced_texts(clean, echoes)

    def _of_header(self, text: bytes, echoes: tuple[bytes, ...]) -> bytes:
        """As `scrub`; most names and values are those of the exchange before."""
        if len(text) > _USUAL_BYTES or any(echo in text for echo in echoes):
            return self.scrub(text, echoes)
        return text if self._is_clean(text) else self.scrub(text, echoes)

    def _holds_nothing(self, text: bytes) -> bool:
        return self.scrub(text, ()) is text

    def replaced_texts(self, data: bytes, echoes: tuple[bytes, ...]) -> bytes:
        """With every secret replaced that base64 hides; the same object when there is none."""
        looked_at: dict[bytes, bytes] = {}
        changed: bytearray | None = None
        for start, end in runs(data, _ENCODED_BYTES_MIN):
            text = data[start:end]
            if text not in looked_at:
                looked_at[text] = self._decoded_clean(text, echoes)
            if (clean := looked_at[text]) != text:
                changed = changed or bytearray(data)
                changed[start:end] = clean
        return data if changed is None else bytes(changed)

    def _decoded_clean(self, text: bytes, echoes: tuple[bytes, ...]) -> bytes:
        whole = len(text) & ~3
        plain = binascii.a2b_base64(text[:whole].translate(_STANDARD))
        found = matches(plain, echoes)
        if not found:
            return text
        encoded = binascii.b2a_base64(self.replaced(plain, found), newline=False)
        if b"-" in text or b"_" in text:
            encoded = encoded.translate(_URL_SAFE)
        # The last characters are a byte or two of what is gone.
        rest = b"A" * (len(text) - whole) if found[-1][1] == len(plain) else text[whole:]
        return encoded + rest

    def scrub_pieces(self, pieces: Iterable[bytes], echoes: tuple[bytes, ...]) -> Iterator[bytes]:
        """The same over a body too large to hold."""
        scrubber = self.scrubber(echoes)
        for piece in pieces:
            yield scrubber.feed(piece)
        yield scrubber.rest()

    def scrubber(self, echoes: tuple[bytes, ...]) -> Scrubber:
        return Scrubber(self, echoes)

    def finds(self, pieces: Iterable[bytes], echoes: tuple[bytes, ...]) -> bool:
        """Whether there is a secret in a body too large to hold; reads all of it."""
        scrubber = self.scrubber(echoes)
        for piece in pieces:
            scrubber.feed(piece)
        scrubber.rest()
        return scrubber.found > 0

    def messages(self, messages: Sequence[Message], echoes: tuple[bytes, ...]) -> Sequence[Message]:
        """Those of a WebSocket without secrets, also where one is spelled over several."""
        for sender in SIDES:
            dirty = joined(messages, sender)
            clean = self.scrub(dirty, echoes, lines=True)
            if clean is not dirty:
                messages = parted(messages, sender, clean)
        return messages

    def body(self, data: bytes, headers: Headers, echoes: tuple[bytes, ...]) -> Cleaned:
        lines, applied = is_lines(headers), codings(headers)
        if not applied:
            return Cleaned(self.scrub(data, echoes, lines))
        try:
            plain = decoded_whole(data, applied, DECODED_BYTES_MAX)
        except Undecodable as error:
            if is_media(headers):
                return Cleaned(self.scrub(data, echoes))
            return Cleaned(b"", withheld=f"content-encoding cannot be undone: {error}")
        clean = self.scrub(plain, echoes, lines)
        if clean is plain and self.scrub(data, echoes) is data:
            return Cleaned(data)
        return Cleaned(clean, recoded=True)

    def request_headers(self, headers: Headers, echoes: tuple[bytes, ...]) -> Headers:
        kept = []
        for name, value in headers:
            lower = name.lower()
            if lower in CREDENTIAL_HEADERS:
                match = CREDENTIAL_HEADERS[lower].match(value)
                scheme, secret = (match[0], value[match.end() :]) if match else (b"", value)
                kept.append((name, scheme + self._typed(secret.strip())))
            elif lower in self.rules.headers:
                kept.append((name, self._masked("header", value)))
            elif lower in REQUEST_HEADERS or lower.startswith(_REQUEST_PREFIXES):
                kept.append((name, self._of_header(value, echoes)))
        return tuple(kept)

    def response_headers(self, headers: Headers, echoes: tuple[bytes, ...]) -> Headers:
        kept = []
        for name, value in headers:
            lower = name.lower()
            if lower in DROPPED:
                continue
            if lower in _MASKED or lower in self.rules.headers:
                kind = "organization" if lower in _MASKED else "header"
                kept.append((name, self._masked(kind, value)))
            else:
                kept.append((self._of_header(name, echoes), self._of_header(value, echoes)))
        return tuple(kept)

    def target(self, target: str, echoes: tuple[bytes, ...]) -> str:
        def hide(match: re.Match[bytes]) -> bytes:
            if _name(match[2]) in CREDENTIAL_PARAMETERS and match[3]:
                return match[1] + match[2] + b"=" + self._typed(match[3])
            return match[0]

        raw = self.scrub(_PARAMETER.sub(hide, _bytes(target)), echoes)
        if self.matches(unquote_to_bytes(raw), echoes):  # hidden behind percent signs
            path, mark, query = raw.partition(b"?")
            pieces = re.split(rb"([/&=;])", query if mark else path)
            cleaned = b"".join(
                self.placeholder("url", piece)
                if self.matches(unquote_to_bytes(piece), echoes)
                else piece
                for piece in pieces
            )
            raw = path + mark + cleaned if mark else cleaned
            if self.matches(unquote_to_bytes(raw), echoes):
                raw = self.placeholder("url", raw)
        return raw.decode("utf-8", "surrogateescape")

    def auth(self, target: str, headers: Headers) -> dict[str, str]:
        """How the request authenticated, and whose tag it bears."""
        found = credentials(target, headers)
        if not found:
            return {}
        for name, _ in headers:
            if name.lower() in CREDENTIAL_HEADERS:
                return {"scheme": name.lower().decode("latin-1"), "tag": self.tag(found[0])[:12]}
        return {"scheme": "query", "tag": self.tag(found[0])[:12]}

    def _typed(self, secret: bytes) -> bytes:
        if PLACEHOLDER.fullmatch(secret):
            return secret
        known = matches(secret)
        return self.placeholder(known[0][2] if known else "credential", secret)

    def _masked(self, kind: str, value: bytes) -> bytes:
        return value if PLACEHOLDER.fullmatch(value) else self.placeholder(kind, value)

    def replaced(self, data: bytes, found: list[tuple[int, int, str]]) -> bytes:
        if not found:
            return data
        out, position = [], 0
        for start, end, kind in found:
            out += [data[position:start], self.placeholder(kind, data[start:end], end - start)]
            position = end
        return b"".join((*out, data[position:]))

    def _unscattered(self, data: bytes, echoes: tuple[bytes, ...]) -> bytes:
        """Secrets that are spelled over several frames."""
        changed: bytearray | None = None
        for places in sse.scattered(data):
            text = b"".join([data[start:end] for start, end in places])
            found = self.matches(text, echoes, "string")
            if found:
                clean = self.replaced(text, found)
                changed = changed or bytearray(data)
                position = 0
                for start, end in places:
                    changed[start:end] = clean[position : position + end - start]
                    position += end - start
        return data if changed is None else bytes(changed)


class Scrubber:
    """Scrubs a body that comes in pieces; a tail is kept back until what follows it has been seen,
    so that no secret is cut in two."""

    def __init__(self, redactor: Redactor, echoes: tuple[bytes, ...]) -> None:
        self._redactor = redactor
        self._echoes = echoes
        self._held = b""
        #: Secrets so far.
        self.found = 0

    def feed(self, piece: bytes) -> bytes:
        """What is clean for certain by now."""
        held = self._held = self._held + piece
        if len(held) <= 4 * SECRET_BYTES_MAX:
            return b""
        safe = len(held) - SECRET_BYTES_MAX
        found = self._matches()
        for start, end, _ in found:
            if start < safe < end:
                safe = start
        self._held = held[safe:]
        return self._clean(held[:safe], [match for match in found if match[1] <= safe])

    def rest(self) -> bytes:
        found = self._matches()
        held, self._held = self._held, b""
        return self._clean(held, found)

    def _matches(self) -> list[tuple[int, int, str]]:
        return self._redactor.matches(self._held, self._echoes, "plain")

    def _clean(self, data: bytes, found: list[tuple[int, int, str]]) -> bytes:
        self.found += len(found)
        return self._redactor.replaced(data, found)


def _bytes(target: str) -> bytes:
    return target.encode("utf-8", "surrogateescape")


def _name(parameter: bytes) -> str:
    return unquote_to_bytes(parameter).decode("latin-1").lower()


def is_json(data: bytes) -> bool:
    return data[:64].lstrip()[:1] in (b"{", b"[", b'"')


__all__ = ["Cleaned", "Redactor", "carried", "credentials", "echoes_of"]
