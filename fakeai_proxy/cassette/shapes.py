"""What credentials look like: the table of known shapes, and where requests carry them.

Patterns have no left border, because a secret may be glued to anything; their prefixes are distinct
enough. Every pattern is bounded, so that a scan of a stream needs to hold back a bounded tail.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

#: No secret is longer; what is held back when a body is scanned in pieces.
SECRET_BYTES_MAX = 16 << 10
#: Shorter credentials (`x`, `test`, `EMPTY`) are not secrets, and are words of ordinary text.
SECRET_BYTES_MIN = 8


@dataclass(frozen=True, slots=True)
class Shape:
    """`hint` is a literal that every match contains: a look for it is what most bodies cost.
    Where the pattern has a group, the group is the secret."""

    kind: str
    hint: bytes
    pattern: re.Pattern[bytes]


def _shape(kind: str, hint: bytes, pattern: bytes) -> Shape:
    return Shape(kind, hint, re.compile(pattern))


_WORD = rb"[A-Za-z0-9_-]"
SHAPES = (
    _shape("pem", b"PRIVATE KEY", rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----"
           rb"(?:(?!-----)[A-Za-z0-9+/=\s\\,:-]){0,12000}"
           rb"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----)?"),
    _shape("anthropic", b"sk-ant-", rb"sk-ant-" + _WORD + rb"{10,4000}"),
    _shape("openai", b"sk-", rb"sk-(?:proj|svcacct|admin|service|None|or-v1)-" + _WORD + rb"{10,4000}"),
    _shape("openai", b"sk-", rb"sk-[A-Za-z0-9]{20,4000}"),
    _shape("nvidia", b"nvapi-", rb"nvapi-" + _WORD + rb"{20,4000}"),
    _shape("google", b"AIza", rb"AIza" + _WORD + rb"{30,100}"),
    _shape("google-oauth", b"ya29.", rb"ya29\." + _WORD + rb"{20,4000}"),
    _shape("aws", b"AKIA", rb"AKIA[0-9A-Z]{16}"),
    _shape("aws", b"ASIA", rb"ASIA[0-9A-Z]{16}"),
    _shape("github", b"gh", rb"gh[pousr]_[A-Za-z0-9]{30,1000}"),
    _shape("github", b"github_pat_", rb"github_pat_[A-Za-z0-9_]{20,1000}"),
    _shape("slack", b"xox", rb"xox[abeoprs]-[A-Za-z0-9-]{10,1000}"),
    _shape("slack", b"xapp-", rb"xapp-[A-Za-z0-9-]{10,1000}"),
    _shape("huggingface", b"hf_", rb"hf_[A-Za-z0-9]{30,1000}"),
    _shape("groq", b"gsk_", rb"gsk_[A-Za-z0-9]{30,1000}"),
    _shape("xai", b"xai-", rb"xai-[A-Za-z0-9]{30,1000}"),
    _shape("perplexity", b"pplx-", rb"pplx-[A-Za-z0-9]{30,1000}"),
    _shape("replicate", b"r8_", rb"r8_[A-Za-z0-9]{30,1000}"),
    _shape("jwt", b"eyJ", rb"eyJ" + _WORD + rb"{8,4000}\.eyJ" + _WORD + rb"{4,8000}"
           rb"(?:\." + _WORD + rb"{0,2000})?"),
    _shape("bearer", b"earer", rb"[Bb]earer(?:\s|%20|\+){1,4}"
           rb"((?=[A-Za-z0-9._~+/-]{0,60}[0-9])[A-Za-z0-9._~+/-]{8,8000}={0,2}"
           rb"|[A-Za-z0-9._~+/-]{20,8000}={0,2})"),
    _shape("bearer", b"EARER", rb"BEARER(?:\s|%20|\+){1,4}([A-Za-z0-9._~+/-]{8,8000}={0,2})"),
    _shape("organization", b"org-", rb"org-[A-Za-z0-9]{20,100}"),
    _shape("project", b"proj_", rb"proj_[A-Za-z0-9]{20,100}"),
)  # fmt: skip

#: Shapes whose hint contains another's are looked for only where that one is found.
_BY_HINT = tuple(
    (hint, tuple(shape for shape in SHAPES if hint in shape.hint))
    for hint in dict.fromkeys(shape.hint for shape in SHAPES)
    if not any(shape.hint != hint and shape.hint in hint for shape in SHAPES)
)

#: What a placeholder looks like, so that one is never taken for a secret.
PLACEHOLDER = re.compile(rb"REDACTED\.[a-z-]+\.[0-9a-f]{12}x*|R-[0-9a-f]{6,}")

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


def matches(data: bytes, echoes: tuple[bytes, ...] = ()) -> list[tuple[int, int, str]]:
    """Start, end and kind of every secret in `data`, in order and without overlap: known shapes,
    and `echoes`, exact strings."""
    found = [(at, at + len(echo), "credential") for echo in echoes for at in _places(data, echo)]
    for hint, shapes in _BY_HINT:
        if hint in data:
            for shape in shapes:
                if shape.hint in data:
                    found += _of_shape(shape, data)
    found.sort()
    merged: list[tuple[int, int, str]] = []
    for start, end, kind in found:
        if merged and start < merged[-1][1]:
            first, last, name = merged[-1]
            merged[-1] = (first, max(last, end), name)
        else:
            merged.append((start, end, kind))
    return merged


def _of_shape(shape: Shape, data: bytes) -> Iterator[tuple[int, int, str]]:
    group = shape.pattern.groups
    for match in shape.pattern.finditer(data):
        start, end = match.span(group)
        if not PLACEHOLDER.fullmatch(data, start, end):
            yield start, end, shape.kind


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
