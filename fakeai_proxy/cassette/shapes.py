"""What credentials look like: the table of known shapes, and where requests carry them.

Patterns have no left border, because a secret may be glued to anything; their prefixes are distinct
enough. Every pattern is bounded, so that a scan of a stream needs to hold back a bounded tail.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, quote_plus

#: No secret is longer; what is held back when a body is scanned in pieces.
SECRET_BYTES_MAX = 16 << 10
#: Shorter credentials (`x`, `test`, `EMPTY`) are not secrets, and are words of ordinary text.
SECRET_BYTES_MIN = 8


@dataclass(frozen=True, slots=True)
class Shape:
    """`hint` is a literal that every match contains: a look for it is what most bodies cost.
    Where the pattern has a group, the first one is the secret; `check` says whether it is one."""

    kind: str
    hint: bytes
    pattern: re.Pattern[bytes]
    check: Callable[[bytes], bool] | None = None


def shape(
    kind: str, hint: bytes, pattern: bytes, check: Callable[[bytes], bool] | None = None
) -> Shape:
    return Shape(kind, hint, re.compile(pattern), check)


def _is_user_and_password(secret: bytes) -> bool:
    """Whether it is what Basic authentication sends."""
    try:
        plain = base64.b64decode(
            secret + b"=" * (-len(secret) % 4), b"-_" if b"_" in secret else None
        )
    except (binascii.Error, ValueError):
        return False
    return b":" in plain and plain.isascii() and all(32 <= char < 127 for char in plain)


_WORD = rb"[A-Za-z0-9_-]"
#: What stands between the name of a field and its value, in JSON, in JSON within JSON, in Python.
_IS = rb"\\{0,4}[\"']\s{0,4}[:=]\s{0,4}\\{0,4}[\"']([^\"'\\\s]{8,4000})"
_ENV = rb"=\\{0,4}[\"']?([A-Za-z0-9+/_.=~-]{16,4000})"
_QUERY = rb"([^&\s\"'\\<>#]{8,4000})"


def _named(end: bytes, *names: bytes) -> Shape:
    """The value of a field of one of these names, which all end so."""
    before = b"|".join(rb"(?<=" + name + b")" for name in names)
    return shape("credential", end, end + b"(?:" + before + b")" + _IS)


def _queried(end: bytes, *names: bytes) -> Shape:
    """The same in the query of a URL."""
    before = b"|".join(rb"(?<=" + name + b"=)" for name in names)
    return shape("credential", end + b"=", end + b"=(?:" + before + b")" + _QUERY)


#: Secrets that begin with what tells whose they are, and go on for long without a border.
TOKENS = (
    shape("age", b"AGE-SECRET-KEY-", rb"AGE-SECRET-KEY-1[0-9A-Z]{50,70}"),
    # Providers of models
    shape("anthropic", b"sk-ant-", rb"sk-ant-" + _WORD + rb"{10,4000}"),
    shape("openai", b"sk-", rb"sk-(?:proj|svcacct|admin|service|None|or-v1)-" + _WORD + rb"{10,4000}"),
    shape("openai", b"sk-", rb"sk-[A-Za-z0-9]{20,4000}"),
    shape("openai", b"ek_", rb"ek_[A-Za-z0-9]{20,400}"),
    shape("nvidia", b"nvapi-", rb"nvapi-" + _WORD + rb"{20,4000}"),
    shape("google", b"AIza", rb"AIza" + _WORD + rb"{30,100}"),
    shape("google-oauth", b"ya29.", rb"ya29\." + _WORD + rb"{20,4000}"),
    shape("google-oauth", b"GOCSPX-", rb"GOCSPX-" + _WORD + rb"{20,60}"),
    shape("google-oauth", b"1//0", rb"1//0" + _WORD + rb"{30,300}"),
    shape("huggingface", b"hf_", rb"hf_[A-Za-z0-9]{30,1000}"),
    shape("groq", b"gsk_", rb"gsk_[A-Za-z0-9]{30,1000}"),
    shape("xai", b"xai-", rb"xai-[A-Za-z0-9]{30,1000}"),
    shape("perplexity", b"pplx-", rb"pplx-[A-Za-z0-9]{30,1000}"),
    shape("replicate", b"r8_", rb"r8_[A-Za-z0-9]{30,1000}"),
    shape("cerebras", b"csk-", rb"csk-[A-Za-z0-9]{30,200}"),
    shape("fireworks", b"fw_", rb"fw_[A-Za-z0-9]{20,100}"),
    shape("together", b"tgp_v1_", rb"tgp_v1_" + _WORD + rb"{30,100}"),
    shape("elevenlabs", b"sk_", rb"sk_[0-9a-f]{40,64}"),
    shape("voyage", b"pa-", rb"pa-[A-Za-z0-9_]{40,60}"),
    shape("jina", b"jina_", rb"jina_" + _WORD + rb"{40,100}"),
    shape("tavily", b"tvly-", rb"tvly-[A-Za-z0-9-]{20,100}"),
    # Tools around them
    shape("langfuse", b"sk-lf-", rb"sk-lf-[0-9a-f-]{30,40}"),
    shape("langsmith", b"lsv2_", rb"lsv2_(?:pt|sk)_[A-Za-z0-9_]{30,200}"),
    shape("pinecone", b"pcsk_", rb"pcsk_[A-Za-z0-9_]{20,200}"),
    shape("wandb", b"wandb_v1_", rb"wandb_v1_" + _WORD + rb"{30,200}"),
    shape("databricks", b"dapi", rb"dapi[0-9a-f]{32}(?:-\d{1,2})?"),
    shape("notion", b"ntn_", rb"ntn_[A-Za-z0-9]{40,60}"),
    shape("notion", b"secret_", rb"secret_[A-Za-z0-9]{43}"),
    shape("linear", b"lin_api_", rb"lin_api_[A-Za-z0-9]{30,60}"),
    shape("slack", b"xox", rb"xox[abeoprs](?:\.xox[bp])?-[A-Za-z0-9-]{11,1000}"),
    shape("slack", b"xapp-", rb"xapp-[A-Za-z0-9-]{11,1000}"),
    shape("telegram", b":AA", rb"\d{8,10}:AA" + _WORD + rb"{33}"),
    # Clouds and code
    shape("aws", b"AKIA", rb"AKIA[0-9A-Z]{16}"),
    shape("aws", b"ASIA", rb"ASIA[0-9A-Z]{16}"),
    shape("aws", b"ABSK", rb"ABSK[A-Za-z0-9+/]{60,300}={0,2}"),
    shape("azure", b"AccountKey=", rb"AccountKey=([A-Za-z0-9+/]{40,100}={0,2})"),
    shape("digitalocean", b"_v1_", rb"do[opr]_v1_[0-9a-f]{64}"),
    shape("github", b"gh", rb"gh[pousr]_[A-Za-z0-9]{30,1000}"),
    shape("github", b"github_pat_", rb"github_pat_[A-Za-z0-9_]{20,1000}"),
    shape("gitlab", b"glpat-", rb"glpat-[A-Za-z0-9_-]{20,300}(?:\.[A-Za-z0-9_.-]{1,60})?"),
    shape("gitlab", b"gldt-", rb"gldt-[A-Za-z0-9_-]{20,100}"),
    shape("npm", b"npm_", rb"npm_[A-Za-z0-9]{36}"),
    shape("pypi", b"pypi-", rb"pypi-" + _WORD + rb"{50,1000}"),
    shape("docker", b"dckr_pat_", rb"dckr_pat_" + _WORD + rb"{20,60}"),
    shape("supabase", b"sbp_", rb"sbp_[0-9a-f]{40}"),
    shape("vault", b"hvs.", rb"hvs\." + _WORD + rb"{24,300}"),
    shape("atlassian", b"ATATT3", rb"ATATT3[A-Za-z0-9_-]{40,300}(?:=[A-Za-z0-9]{1,20})?"),
    # Money and messages
    shape("stripe", b"k_live_", rb"[rs]k_live_[A-Za-z0-9]{10,300}"),
    shape("stripe", b"k_test_", rb"[rs]k_test_[A-Za-z0-9]{10,300}"),
    shape("webhook", b"whsec_", rb"whsec_[A-Za-z0-9+/]{16,300}={0,2}"),
    shape("shopify", b"shp", rb"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    shape("sendgrid", b"SG.", rb"SG\." + _WORD + rb"{16,32}\." + _WORD + rb"{32,64}"),
    shape("twilio", b"SK", rb"SK[0-9a-f]{32}"),
)  # fmt: skip
#: The others.
PHRASES = (
    shape("pem", b"PRIVATE KEY", rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----"
          rb"(?:(?!-----)[A-Za-z0-9+/=\s\\,:-]){0,12000}"
          rb"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----)?"),
    shape("jwt", b"eyJ", rb"eyJ" + _WORD + rb"{8,4000}\.eyJ" + _WORD + rb"{4,8000}"
          rb"(?:\." + _WORD + rb"{0,2000})?"),
    shape("bearer", b"earer", rb"earer(?<=[Bb]earer)(?:\s|%20|\+){1,4}"
          rb"((?=[A-Za-z0-9._~+/-]{0,60}[0-9])[A-Za-z0-9._~+/-]{8,8000}={0,2}"
          rb"|[A-Za-z0-9._~+/-]{20,8000}={0,2})"),
    shape("bearer", b"EARER", rb"BEARER(?:\s|%20|\+){1,4}([A-Za-z0-9._~+/-]{8,8000}={0,2})"),
    shape("basic", b"asic", rb"asic(?<=[Bb]asic)(?:\s|%20|\+){1,4}([A-Za-z0-9+/_-]{8,4000}={0,2})",
          _is_user_and_password),
    shape("url", b"://", rb"://[^\s/:@\"'<>\\]{0,256}:([^\s/@\"'<>\\]{3,512})@"),
    shape("organization", b"org-", rb"org-[A-Za-z0-9]{20,100}"),
    shape("project", b"proj_", rb"proj_[A-Za-z0-9]{20,100}"),
    _named(b"key", b"api_key", b"api-key", b"apikey", b"access_key", b"private_key"),
    _named(b"Key", b"apiKey", b"ApiKey", b"AccessKey", b"accessKey", b"privateKey"),
    _named(b"token", b"access_token", b"refresh_token", b"id_token", b"auth_token", b"session_token"),
    _named(b"Token", b"accessToken", b"refreshToken", b"idToken", b"authToken", b"SessionToken"),
    _named(b"secret", b"client_secret", b"signing_secret", b"webhook_secret"),
    _named(b"Secret", b"clientSecret", b"signingSecret"),
    _named(b"password", b"password"),
    shape("credential", b"KEY", b"KEY(?<=_KEY)" + _ENV),
    shape("credential", b"TOKEN", b"TOKEN(?<=_TOKEN)" + _ENV),
    shape("credential", b"SECRET", b"SECRET(?<=_SECRET)" + _ENV),
    shape("credential", b"PASSWORD", b"PASSWORD" + _ENV),
    _queried(b"key", b"[?&]key", b"api_key", b"api-key", b"apikey"),
    _queried(b"token", b"[?&]token", b"access_token", b"refresh_token"),
    _queried(b"ig", b"[?&]sig"),
    _queried(b"Signature", b"X-Amz-Signature", b"X-Goog-Signature", b"[?&]Signature"),
    _queried(b"Token", b"X-Amz-Security-Token"),
    _queried(b"secret", b"client_secret"),
    _queried(b"password", b"[?&]password"),
)  # fmt: skip

SHAPES = TOKENS + PHRASES


def _by_hint(shapes: tuple[Shape, ...]) -> tuple[tuple[bytes, tuple[Shape, ...]], ...]:
    """Shapes whose hint contains another's are looked for only where that one is found."""
    return tuple(
        (hint, tuple(shape for shape in shapes if hint in shape.hint))
        for hint in dict.fromkeys(shape.hint for shape in shapes)
        if not any(shape.hint != hint and shape.hint in hint for shape in shapes)
    )


_TOKENS, _PHRASES = _by_hint(TOKENS), _by_hint(PHRASES)
_Rows = tuple[tuple[bytes, tuple[Shape, ...]], ...]


def _by_small_letters(rows: _Rows) -> tuple[tuple[bytes, _Rows], ...]:
    """Hints that differ in their capitals are looked for together: few texts have any."""
    small = {hint.lower() for hint, _ in rows}
    least = [one for one in small if not any(other != one and other in one for other in small)]
    return tuple(
        (one, tuple(row for row in rows if one in row[0].lower())) for one in sorted(least)
    )


_SMALL_PHRASES = _by_small_letters(_PHRASES)
#: Every token has so many characters of this alphabet in a row, after at most so many others.
_RUN_BYTES, _BEFORE_BYTES = 16, 12
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-"
_IN_ALPHABET = bytes(49 if char in _ALPHABET else 48 for char in range(256))

#: What a placeholder looks like, so that one is never taken for a secret.
PLACEHOLDER = re.compile(rb"REDACTED\.[a-z-]+\.[0-9a-f]{12}x*|R-[0-9a-p]{6,}")
_LONG_PLACEHOLDER = re.compile(rb"REDACTED\.[a-z-]+\.[0-9a-f]{12}x*")
#: The same in the place of digits alone, which may be a number in JSON.
_OF_DIGITS = re.compile(rb"10*")

Form = Literal["plain", "json", "lines", "string"]
_STRING = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"')
_JSON_LINE = re.compile(rb"(?:data:)?\s*[\[{\"]")

#: Request headers that carry a credential, and the words that may precede it.
CREDENTIAL_HEADERS = {
    b"authorization": re.compile(rb"(?i)(bearer|basic|token|apikey|aws4-hmac-sha256)\s+"),
    b"api-key": re.compile(rb"(?!)"),
    b"x-api-key": re.compile(rb"(?!)"),
    b"x-goog-api-key": re.compile(rb"(?!)"),
    b"x-auth-token": re.compile(rb"(?!)"),
    b"ocp-apim-subscription-key": re.compile(rb"(?!)"),
}
#: Browsers cannot set headers of a WebSocket, so that its subprotocols carry one.
SUBPROTOCOL_CREDENTIAL = re.compile(
    rb"(?i)(?:openai-insecure-api-key|openai-ephemeral-key|[\w-]*(?:token|bearer|key|secret))\."
    rb"([^,\s]+)"
)
#: Query parameters that carry one.
CREDENTIAL_PARAMETERS = frozenset(
    (
        "key", "api_key", "api-key", "apikey", "access_token", "token", "auth", "subscription-key",
        "sig", "signature", "secret", "client_secret", "password", "code", "x-amz-signature",
        "x-amz-credential", "x-amz-security-token", "x-goog-signature", "x-goog-credential",
    )
)  # fmt: skip


def matches(
    data: bytes,
    echoes: tuple[bytes, ...] = (),
    own: tuple[Shape, ...] = (),
    form: Form = "plain",
) -> list[tuple[int, int, str]]:
    """Start, end and kind of every secret in `data`, in order and without overlap: known shapes,
    shapes of the user's `own`, and `echoes`, exact strings. `form` says what `data` is: JSON, lines of
    which some are, the inside of a string, or none of these."""
    found = [(at, at + len(echo), "credential") for echo in echoes for at in _places(data, echo)]
    small = data.lower()
    phrases = [row for hint, rows in _SMALL_PHRASES if hint in small for row in rows]
    for where, table in ((_long_words(data), _TOKENS), (data, phrases)):
        for hint, shapes in table:
            if hint in where:
                for shape in shapes:
                    if shape.hint in where:
                        found += _of_shape(shape, data)
    for shape in own:
        if shape.hint in data:
            found += _of_own(shape, data, form)
    if len(found) < 2:
        return found
    found.sort()
    merged: list[tuple[int, int, str]] = []
    for start, end, kind in found:
        if merged and start < merged[-1][1]:
            first, last, name = merged[-1]
            merged[-1] = (first, max(last, end), name)
        else:
            merged.append((start, end, kind))
    return merged


def runs(data: bytes, size: int) -> Iterator[tuple[int, int]]:
    """Start and end of each run of so many letters, digits and what base64 has besides."""
    alike, run = data.translate(_IN_ALPHABET), b"1" * size
    start = alike.find(run)
    while start >= 0:
        end = alike.find(b"0", start + size)
        if end < 0:
            end = len(data)
        yield start, end
        start = alike.find(run, end)


def _long_words(data: bytes) -> bytes:
    """Each of them once, with what stands before it: little of most texts, where hints are rare."""
    found = {data[max(0, start - _BEFORE_BYTES) : end] for start, end in runs(data, _RUN_BYTES)}
    return b" ".join(found)


def _of_shape(shape: Shape, data: bytes) -> Iterator[tuple[int, int, str]]:
    group = 1 if shape.pattern.groups else 0
    for match in shape.pattern.finditer(data):
        start, end = match.span(group)
        if start == end or PLACEHOLDER.fullmatch(data, start, end):
            continue
        if shape.check is None or shape.check(match[group]):
            yield start, end, shape.kind


def _of_own(shape: Shape, data: bytes, form: Form) -> Iterator[tuple[int, int, str]]:
    """Patterns that know nothing of JSON must not break it: what they match is hidden as far as it
    stands in strings, whose escapes stay whole. One that names quotes knows what it does."""
    hidden = [match.span() for match in _LONG_PLACEHOLDER.finditer(data)]
    knows = b'"' in shape.pattern.pattern
    for start, end, kind in _of_shape(shape, data):
        pieces = [(start, end)] if knows else _pieces(data, start, end, form)
        for first, last in pieces:
            known = _OF_DIGITS.fullmatch(data, first, last) is not None
            if first < last and not known and not any(a < last and first < b for a, b in hidden):
                yield first, last, kind


def _pieces(data: bytes, start: int, end: int, form: Form) -> list[tuple[int, int]]:
    """What of this place may be replaced."""
    if form == "string":
        return [_unescaped(data, start, end, 0)]
    line_start = data.rfind(b"\n", 0, start) + 1
    line_end = data.find(b"\n", end)
    line = data[line_start : len(data) if line_end < 0 else line_end]
    if form == "plain" or (form == "lines" and _JSON_LINE.match(line) is None):
        return [(start, end)]
    if data[start:end].isdigit() and b'"' not in line[: start - line_start]:
        return [(start, end)]
    found = []
    is_number = data[start:end].isdigit()
    for string in _STRING.finditer(line):
        first, last = (line_start + at for at in string.span(1))
        if first < end and start < last:
            is_number = False
            found.append(_unescaped(data, max(first, start), min(last, end), first))
    return [(start, end)] if is_number else found


def _unescaped(data: bytes, start: int, end: int, string_start: int) -> tuple[int, int]:
    """The same place without the halves of escapes at its ends."""
    if _is_escape(data, start - 1, string_start):
        start += 5 if data[start : start + 1] == b"u" else 1
    else:
        for back in range(2, 6):
            if data[start - back + 1] == 0x75 and _is_escape(data, start - back, string_start):
                start += 6 - back
                break
    place = start
    while place < end:
        size = 1
        if data[place] == 0x5C:
            size = 6 if data[place + 1 : place + 2] == b"u" else 2
        if place + size > end:
            break
        place += size
    return start, max(start, min(place, end))


def _is_escape(data: bytes, place: int, string_start: int) -> bool:
    """Whether a backslash stands here that is not itself escaped."""
    count = 0
    while place - count >= string_start and data[place - count] == 0x5C:
        count += 1
    return count % 2 == 1


def blotted(text: str) -> str:
    """Printable for anybody: without surrogates (bytes that are no UTF-8) and what looks like a key."""
    data = text.encode("utf-8", "backslashreplace")
    for start, end, kind in reversed(matches(data)):
        data = b"%b[%b]%b" % (data[:start], kind.encode(), data[end:])
    return data.decode("utf-8", "replace")


def _places(data: bytes, needle: bytes) -> Iterator[int]:
    at = data.find(needle)
    while at >= 0:
        yield at
        at = data.find(needle, at + 1)


def echoes_of(secrets: Iterator[bytes] | list[bytes]) -> tuple[bytes, ...]:
    """Every form in which these credentials may come back: as they are, JSON-escaped, URL-encoded,
    and base64 (standard and URL-safe) at each of its three alignments."""
    forms: set[bytes] = set()
    for secret in secrets:
        if not SECRET_BYTES_MIN <= len(secret) <= SECRET_BYTES_MAX or PLACEHOLDER.fullmatch(secret):
            continue
        text = secret.decode("latin-1")
        escaped = json.dumps(text)[1:-1]
        forms |= {secret, escaped.encode(), escaped.replace("/", "\\/").encode()}
        forms.add(escaped.replace("+", "\\u002B").encode())
        forms |= {quote(secret, safe="").encode(), quote_plus(secret, safe="").encode(),
                  quote(secret).encode()}  # fmt: skip
        for skipped in range(3):
            encoded = base64.b64encode(bytes(skipped) + secret)
            # The first and last characters also hold bits of what stands before and after.
            tail = (-(len(secret) + skipped)) % 3
            inner = encoded[(0, 2, 3)[skipped] : len(encoded) - (0, 2, 3)[tail]]
            if len(inner) >= SECRET_BYTES_MIN:
                forms |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    return tuple(sorted(forms, key=len, reverse=True))
