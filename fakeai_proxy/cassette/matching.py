"""When two requests are the same request.

Two keys. The raw key hashes the bytes as they came and costs microseconds; the canonical key hashes
what they mean: JSON with sorted keys but exact numbers, strings and array order, multipart by its
parts, the query sorted, a few headers. Credentials are in neither.

The authority is a column beside the keys rather than inside them, so that one recording serves a
client of the upstream's own host (through HTTPS_PROXY), a client whose base URL we are (the upstream
is then the configured one) and, where no upstream is configured, any host's recording at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from json.encoder import encode_basestring
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fakeai_proxy.cassette.codings import Undecodable, codings, decoded_whole
from fakeai_proxy.cassette.shapes import CREDENTIAL_PARAMETERS
from fakeai_proxy.exchange import Headers, Origin, header

#: Bodies above this are compared by their bytes alone.
CANONICAL_BYTES_MAX = 64 << 20
#: Headers that change what is asked for. `content-type` and `content-encoding` count in the raw key
#: as sent; in the canonical key as family and not at all.
MEANINGFUL_HEADERS = (b"anthropic-version", b"anthropic-beta", b"openai-beta", b"range")
_RAW_HEADERS = frozenset((*MEANINGFUL_HEADERS, b"content-type", b"content-encoding"))
_JSON = re.compile(r"(application|text)/([\w.+-]+\+)?json")
_SHINGLED_WORDS_MAX = 20_000
_WORD = re.compile(rb"\w+")
#: Longer words are no words, and not worth remembering.
_USUAL_WORD_BYTES = 64
_64_BITS = (1 << 64) - 1
#: By which a word's hash is multiplied in each place of its shingle.
_ODD = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)


@dataclass(frozen=True, slots=True)
class Destination:
    """`url` is `scheme://authority`, both are "" where the host is not known."""

    url: str
    authority: str
    target: str


@lru_cache(maxsize=1024)
def destination(origin: Origin | None, target: str, upstream: str | None) -> Destination:
    """Whom a request is meant for: the host it names, else the configured upstream, under whose
    path its target is then put unless it starts with that path already."""
    if origin is not None:
        return Destination(origin.url, origin.authority.lower(), target)
    if upstream is None:
        return Destination("", "", target)
    parts = urlsplit(upstream)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    base = Origin(parts.scheme, parts.hostname or "", port)
    prefix = parts.path.rstrip("/")
    if prefix and not (target.startswith(prefix) and target[len(prefix) :][:1] in ("", "/", "?")):
        target = prefix + target
    return Destination(base.url, base.authority.lower(), target)


@lru_cache(maxsize=1024)
def authority_hash(authority: str) -> int:
    """64 bits; 0 for no authority."""
    return hash64(authority.lower().encode("utf-8", "surrogateescape")) if authority else 0


def route_hash(method: str, target: str) -> int:
    path = target.partition("?")[0]
    return hash64(f"{method.upper()} {path}".encode("utf-8", "surrogateescape"))


def hash64(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


# --- the raw key -------------------------------------------------------------------------------


def raw_key(method: str, target: str, headers: Headers, body: bytes) -> bytes:
    hashed = raw_hash(method, target, headers)
    hashed.update(body)
    return hashed.digest()


def raw_hash(method: str, target: str, headers: Headers) -> blake2b:
    """The hash before the body, to be fed with it piece by piece."""
    chosen = [
        b"%b:%b\n" % (lower, value)
        for name, value in headers
        if (lower := name.lower()) in _RAW_HEADERS
    ]
    return _begun(method, target, b"".join(chosen)).copy()


@lru_cache(maxsize=1024)
def _begun(method: str, target: str, chosen: bytes) -> blake2b:
    """Few of them come again and again."""
    start = f"{method} {target}\n".encode("utf-8", "surrogateescape")
    return blake2b(start + chosen + b"\n", digest_size=16)


# --- the canonical key ---------------------------------------------------------------------------


def canonical_key(method: str, target: str, headers: Headers, body: bytes) -> bytes:
    return key_of(method, target, headers, canonical_body(headers, body))


def large_key(method: str, target: str, headers: Headers, raw: bytes) -> bytes:
    """The key of a body that is too large to be looked into: its raw key stands for it."""
    return key_of(method, target, headers, b"raw\n" + raw)


#: The canonical form of an empty body.
_NO_BODY = b"bytes\n"


def key_of(method: str, target: str, headers: Headers, body: bytes) -> bytes:
    path, _, query = target.partition("?")
    lines = [method.upper(), path, *(f"?{name}={value}" for name, value in sorted_query(query))]
    # What type a body would have means nothing where there is none: some clients name one anyway.
    lines += [
        f"{name}:{value}"
        for name, value in meaningful(headers)
        if body != _NO_BODY or name != "content-type"
    ]
    start = "\n".join(lines).encode("utf-8", "surrogateescape")
    hashed = blake2b(b"%d\n" % len(start) + start, digest_size=16)
    hashed.update(body)
    return hashed.digest()


def sorted_query(query: str) -> list[tuple[str, str]]:
    """By name; repeats stay, in their order. Without credentials."""
    pairs = parse_qsl(query, keep_blank_values=True, errors="surrogateescape")
    return sorted(
        (pair for pair in pairs if pair[0].lower() not in CREDENTIAL_PARAMETERS),
        key=lambda pair: pair[0],
    )


def meaningful(headers: Headers) -> list[tuple[str, str]]:
    """The headers that count, sorted, the content type as its family."""
    found = [
        (
            name.lower().decode("latin-1"),
            ",".join(value.decode("latin-1").replace(" ", "").split(",")),
        )
        for name, value in headers
        if name.lower() in MEANINGFUL_HEADERS
    ]
    return [*sorted(found), ("content-type", content_type(headers))]


def content_type(headers: Headers) -> str:
    """Type and parameters in lower case, without boundary and charset."""
    value = (header(headers, b"content-type") or b"").decode("latin-1").lower()
    family, *parameters = [part.strip() for part in value.split(";")]
    kept = [part for part in parameters if part and not part.startswith(("boundary=", "charset="))]
    return ";".join((family, *sorted(kept)))


def json_value(headers: Headers, body: bytes) -> Any:
    """The JSON that the body is by its headers, as `parse_json` has it; None where it is none."""
    applied = codings(headers)
    try:
        if applied:
            body = decoded_whole(body, applied, CANONICAL_BYTES_MAX)
        family = content_type(headers).partition(";")[0]
        return parse_json(body) if _is_json(family, body) else None
    except (Undecodable, ValueError, RecursionError):
        return None


def _is_json(family: str, body: bytes) -> bool:
    return bool(_JSON.fullmatch(family)) or (
        family in ("", "text/plain") and body[:1] in (b"{", b"[")
    )


def canonical_body(headers: Headers, body: bytes) -> bytes:
    """What the body means, as bytes; the body itself where nothing is known about it."""
    applied = codings(headers)
    if applied:
        try:
            body = decoded_whole(body, applied, CANONICAL_BYTES_MAX)
        except Undecodable:
            return b"bytes\n" + body
    family = content_type(headers).partition(";")[0]
    if family == "application/x-www-form-urlencoded":
        return b"form\n" + repr(sorted_query(body.decode("latin-1"))).encode()
    if family.startswith("multipart/"):
        parts = multipart(headers, body)
        if parts is not None:
            return b"parts\n" + repr(parts).encode("utf-8", "backslashreplace")
    elif _is_json(family, body):
        text = canonical_json(body)
        if text is not None:
            return b"json\n" + text
    return b"bytes\n" + body


class _Number(str):
    """A number as it was written: 1, 1.0 and 1e0 are three."""

    __slots__ = ()


def parse_json(body: bytes) -> Any:
    """The value with its numbers as written and repeated keys kept. Raises ValueError."""
    try:
        return json.loads(
            body.decode("utf-8"),
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_Number,
            object_pairs_hook=_object,
        )
    except RecursionError:
        raise ValueError("too deep") from None


class _Repeats(list[tuple[str, Any]]):
    """An object that has a key twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Repeats:
    value = dict(pairs)
    return value if len(value) == len(pairs) else _Repeats(pairs)


def canonical_json(body: bytes) -> bytes | None:
    """Sorted keys, no white space; None when it is not JSON."""
    try:
        return canonical_value(parse_json(body)).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return None


def canonical_value(value: Any) -> str:
    """The JSON of what `parse_json` gave."""
    out: list[str] = []
    _write(value, out)
    return "".join(out)


def _write(value: Any, out: list[str]) -> None:
    kind = type(value)
    if kind is str:
        out.append(encode_basestring(value))
    elif kind is _Number:
        out.append(value)
    elif kind is dict or kind is _Repeats:
        pairs = value.items() if kind is dict else value
        mark = "{"
        for name, child in sorted(pairs, key=lambda pair: pair[0]):
            out.append(f"{mark}{encode_basestring(name)}:")
            _write(child, out)
            mark = ","
        out.append("{}" if mark == "{" else "}")
    elif kind is list:
        mark = "["
        for child in value:
            out.append(mark)
            _write(child, out)
            mark = ","
        out.append("[]" if mark == "[" else "]")
    else:
        out.append({True: "true", False: "false", None: "null"}[value])


def multipart(headers: Headers, body: bytes) -> list[tuple[str, str]] | None:
    """Each part's headers (sorted, lower-case names) and the hash of its content; None when the
    body is not well formed."""
    value = header(headers, b"content-type") or b""
    match = re.search(rb'(?i)boundary="?([^";]{1,200})"?', value)
    if match is None:
        return None
    border = b"\r\n--" + match[1].strip()
    _preamble, *pieces = (b"\r\n" + body).split(border)
    if not pieces or not pieces[-1].startswith(b"--"):
        return None
    parts = []
    for piece in pieces[:-1]:
        head, blank, content = piece.partition(b"\r\n\r\n")
        if not blank:
            return None
        lines = sorted(_part_header(line) for line in head.split(b"\r\n") if line.strip())
        parts.append(("\n".join(lines), blake2b(content, digest_size=16).hexdigest()))
    return parts


def _part_header(line: bytes) -> str:
    name, _, value = line.decode("latin-1").partition(":")
    return f"{name.strip().lower()}:{value.strip()}"


# --- likeness ------------------------------------------------------------------------------------


def simhash(text: bytes) -> int:
    """64 bits that differ little where texts differ little: three-word shingles, majority of each
    bit. Looks at the first 20,000 words."""
    words = _WORD.findall(text[: _SHINGLED_WORDS_MAX * 16])[:_SHINGLED_WORDS_MAX]
    if not words:
        return 0
    parts = {
        word: _parts(word) if len(word) <= _USUAL_WORD_BYTES else _parts.__wrapped__(word)
        for word in set(words)
    }
    mixed = 0
    for place in range(3):
        joined = b"".join([parts[word][place] for word in words])
        # Word k stands in the k-th 64 bits of one large number: all are mixed at once.
        mixed ^= int.from_bytes(joined, "little") >> 64 * place
    octets = mixed.to_bytes(8 * len(words), "little")
    lowest = int.from_bytes(b"\1" * len(words))
    likeness = 0
    for column in range(8):
        values = int.from_bytes(octets[column::8])
        for bit in reversed(range(8)):
            set_bits = (values >> bit & lowest).bit_count()
            likeness = likeness << 1 | (set_bits * 2 > len(words))
    return likeness


@lru_cache(8192)
def _parts(word: bytes) -> tuple[bytes, ...]:
    """What a word adds to the shingle that it begins, to the one before and to the one before that."""
    value = hash64(word)
    return tuple([(value * odd & _64_BITS).to_bytes(8, "little") for odd in _ODD])


def nearest(candidates: Iterable[tuple[int, Any]], wanted: int, count: int) -> list[Any]:
    """The `count` candidates (SimHash, thing) whose hash is closest; earlier ones first at a tie."""
    ranked = sorted(candidates, key=lambda candidate: (candidate[0] ^ wanted).bit_count())
    return [thing for _, thing in ranked[:count]]
