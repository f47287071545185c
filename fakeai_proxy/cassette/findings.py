"""What looks like a secret in a record that is on the disk."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from fakeai_proxy.cassette import sse
from fakeai_proxy.cassette.codings import Undecodable, codings, decoded_whole
from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.cassette.messages import SIDES, joined
from fakeai_proxy.cassette.redaction import (
    DECODED_BYTES_MAX,
    DROPPED,
    LINE_HEADERS,
    Redactor,
    credentials,
    is_lines,
    is_media,
)
from fakeai_proxy.cassette.shapes import CREDENTIAL_HEADERS, PLACEHOLDER, Form
from fakeai_proxy.exchange import Headers


@dataclass(frozen=True, slots=True)
class Finding:
    """A secret that is in a record. `shown` is its beginning and length."""

    where: str
    kind: str
    shown: str


def verify_secrets(record: Interaction, redactor: Redactor | None = None) -> list[Finding]:
    """Bodies in files of their own aside; by the rules of the redactor."""
    search = _Search(redactor or Redactor(b""))
    request, response = record.request, record.response
    target = request.target.encode("utf-8", "surrogateescape")
    search.in_bytes("request target", unquote_to_bytes(target))
    for name, value in request.headers:
        search.in_header("request header", name, value)
        if name.lower() in CREDENTIAL_HEADERS:
            secret = credentials("", ((name, value),))
            if secret and not PLACEHOLDER.fullmatch(secret[0]):
                search.add("request header", "credential", secret[0])
    search.in_body("request body", request.body, request.headers)
    if response is not None:
        for name, value in response.headers:
            search.in_header("response header", name, value)
            if name.lower() in DROPPED:
                search.add("response header", name.decode("latin-1"), value)
        search.in_body("response body", response.body, response.headers)
        for sender in SIDES:
            said = joined(response.messages, sender)
            search.in_body(f"{sender} messages", said, LINE_HEADERS)
    return search.findings


class _Search:
    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self.findings: list[Finding] = []

    def add(self, where: str, kind: str, secret: bytes) -> None:
        shown = f"{secret[:6].decode('latin-1')}... ({len(secret)} bytes)"
        self.findings.append(Finding(where, kind, shown))

    def in_bytes(self, where: str, data: bytes, form: Form | None = None) -> None:
        for start, end, kind in self._redactor.matches(data, (), form):
            self.add(where, kind, data[start:end])
        if self._redactor.replaced_texts(data, ()) is not data:
            self.findings.append(Finding(where, "encoded", "a secret in base64"))

    def in_header(self, where: str, name: bytes, value: bytes) -> None:
        self.in_bytes(f"{where} {name.decode('latin-1')}", value)
        if name.lower() in self._redactor.rules.headers and not PLACEHOLDER.fullmatch(value):
            self.add(where, name.decode("latin-1"), value)

    def in_body(self, where: str, body: object, headers: Headers) -> None:
        if not isinstance(body, bytes):
            return
        lines, applied = is_lines(headers), codings(headers)
        form: Form | None = "lines" if lines else None
        self.in_bytes(where, body, form)
        if applied:
            try:
                body = decoded_whole(body, applied, DECODED_BYTES_MAX)
            except Undecodable as error:
                if not is_media(headers):
                    self.findings.append(Finding(where, "undecodable", str(error)))
                return
            self.in_bytes(where, body, form)
        if lines:
            for places in sse.scattered(body):
                text = b"".join([body[start:end] for start, end in places])
                self.in_bytes(f"{where}, over several frames", text, "string")
