"""CONNECT as bytes: the request head, and the replies to it. No sockets, no policy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus

from fakeai_proxy.errors import ApiError, bad_request
from fakeai_proxy.exchange import Headers, header
from fakeai_proxy.providers import OPENAI, error_body
from fakeai_proxy.proxy.policy import canonical_host

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_REQUEST_LINE = re.compile(rb"CONNECT (?P<authority>[!-~]+) HTTP/1\.(?P<minor>[01])")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]@/]+):(?P<port>\d{1,5})")
_FIELD = re.compile(rb"(?P<name>[!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(?P<value>[^\0\r\n]*?)[ \t]*")


@dataclass(frozen=True, slots=True)
class Connect:
    """A request for a tunnel; `host` is canonical."""

    host: str
    port: int
    headers: Headers
    #: Whether the client may ask again on the same connection.
    keep_alive: bool

    @property
    def authority(self) -> str:
        return format_authority(self.host, self.port)


def format_authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def head_length(data: bytes | bytearray, searched: int = 0) -> int:
    """How many bytes the head takes up with its blank line, 0 while that has not come; `searched`
    bytes are known not to contain it."""
    match = _END_OF_HEAD.search(data, max(0, searched - 3))
    return match.end() if match else 0


def parse_connect(head: bytes) -> Connect:
    """Raises 400."""
    first, *lines = head.rstrip(b"\r\n").split(b"\n")
    request = _REQUEST_LINE.fullmatch(first.rstrip(b"\r"))
    if request is None:
        raise bad_request("Bad request: expected 'CONNECT HOST:PORT HTTP/1.1'.")
    authority = request["authority"].decode("ascii")
    match = _AUTHORITY.fullmatch(authority)
    host = canonical_host(match["host"]) if match else None
    if match is None or host is None or not 0 < int(match["port"]) < 65536:
        raise bad_request(f"Bad request: '{authority}' is no HOST:PORT.")
    headers = _parse_fields(lines)
    if (header(headers, b"content-length") or b"0") != b"0" or header(
        headers, b"transfer-encoding"
    ) is not None:
        raise bad_request("Bad request: CONNECT has no body.")
    wishes = (header(headers, b"connection"), header(headers, b"proxy-connection"))
    keep_alive = request["minor"] == b"1" and not any(
        b"close" in (wish or b"").lower() for wish in wishes
    )
    return Connect(host, int(match["port"]), headers, keep_alive)


def parse_status(head: bytes) -> int:
    """The status in the head of a proxy's reply, 0 when it is not HTTP."""
    match = re.match(rb"HTTP/1\.[01] (\d{3})[ \r\n]", head)
    return int(match[1]) if match else 0


def refusal(error: ApiError, keep_alive: bool) -> bytes:
    """An error as a whole response."""
    body = error_body(OPENAI, error, "")
    lines = [
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        *(f"{name}: {value}" for name, value in error.headers.items()),
        *(() if keep_alive else ("connection: close",)),
    ]
    return "\r\n".join((*lines, "", "")).encode("latin-1", "replace") + body


def _parse_fields(lines: list[bytes]) -> Headers:
    fields = []
    for line in lines:
        match = _FIELD.fullmatch(line.rstrip(b"\r"))
        if match is None:
            raise bad_request("Bad request: a header line of CONNECT is malformed.")
        fields.append((match["name"], match["value"]))
    return tuple(fields)
