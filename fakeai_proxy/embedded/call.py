"""One request that the server was asked, and what became of it, as a test wants to read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fakeai_proxy.cassette.codings import Undecodable, codings, decoded_whole
from fakeai_proxy.cassette.redaction import Redactor, credentials, echoes_of
from fakeai_proxy.cassette.shapes import CREDENTIAL_HEADERS
from fakeai_proxy.embedded import words
from fakeai_proxy.exchange import Headers, header

#: Nothing has to be compared: what is hidden is only hidden.
_REDACTOR = Redactor(b"")
_HIDDEN = "REDACTED"
_COOKIES = (b"cookie", b"proxy-authorization")
_DECODED_BYTES_MAX = 64 << 20
#: Of a prompt, where calls are listed.
_SHOWN_CHARS = 60


@dataclass(eq=False, repr=False)
class Call:
    """`status` is 0, `source` "" and `duration_s` None until it has been answered. `body` is None
    where it was too large to be kept. `cassette` is the header that says which recording answered;
    `error` what the server itself had to say instead of an answer."""

    method: str
    host: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes | None = b""
    status: int = 0
    source: str = ""
    duration_s: float | None = None
    cassette: str = ""
    error: str = ""
    _answer: bytes | None = b""
    _answer_headers: Headers = ()

    @cached_property
    def json(self) -> Any:
        """The body, parsed; None where it is no JSON."""
        return words.parsed(self.body or b"")

    @cached_property
    def model(self) -> str:
        return words.model_of(self.path, self.body or b"", self.json)

    @property
    def messages(self) -> list[dict[str, Any]]:
        return words.messages_of(self.json)

    @property
    def prompt(self) -> str:
        """All the text that a model is told, system prompt and history included."""
        return words.asked(self.json)

    @property
    def answer(self) -> str:
        """What the model said, whether in one piece or streamed; "" if that is not at hand."""
        body = self._answer or b""
        try:
            body = decoded_whole(body, codings(self._answer_headers), _DECODED_BYTES_MAX)
        except Undecodable:
            return ""
        content_type = (header(self._answer_headers, b"content-type") or b"").decode("latin-1")
        return words.answered(content_type.lower(), body)

    def answered(self, headers: Headers, body: bytes | None) -> None:
        self._answer_headers, self._answer = headers, body

    @property
    def size_bytes(self) -> int:
        """What it keeps."""
        return len(self.body or b"") + len(self._answer or b"")

    def forget(self) -> None:
        """The bodies go; that it was asked stays."""
        _ = self.json  # what a test asks for by name is small beside the bytes it came in
        self.body = self._answer = None

    def __repr__(self) -> str:
        return f"<Call: {self}>"

    def __str__(self) -> str:
        asked = " ".join(self.prompt.split())
        if len(asked) > _SHOWN_CHARS:
            asked = asked[: _SHOWN_CHARS - 3] + "..."
        outcome = f"{self.status} {self.source}".strip() if self.status else "not answered yet"
        parts = [self.method, self.host + self.path, self.model, f"-> {outcome}"]
        said = _REDACTOR.scrub(asked.encode("utf-8", "replace"), ()).decode("utf-8", "replace")
        return " ".join(filter(None, parts)) + (f' "{said}"' if said else "")


def shown_headers(target: str, headers: Headers) -> dict[str, str]:
    """By name in lower case, the first of each, credentials blotted out."""
    echoes = echoes_of(credentials(target, headers))
    shown: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        if lower in CREDENTIAL_HEADERS or lower in _COOKIES:
            text = _HIDDEN
        else:
            text = _REDACTOR.scrub(value, echoes).decode("latin-1")
        shown.setdefault(lower.decode("latin-1"), text)
    return shown


def shown_target(target: str, headers: Headers) -> str:
    return _REDACTOR.target(target, echoes_of(credentials(target, headers)))
