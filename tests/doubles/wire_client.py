"""A client that shows what was on the wire, through CONNECT and TLS."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

_PATIENCE_S = 30.0


def post(environ: Mapping[str, str], host: str, path: str, call: Mapping[str, object]) -> bytes:
    """Every byte that `host` sends back, head included, to a client that lives in `environ`."""
    body = json.dumps(call).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer sk-test-wire\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    proxy = urlsplit(environ["HTTPS_PROXY"])
    with socket.create_connection((proxy.hostname, proxy.port), _PATIENCE_S) as plain:
        plain.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
        agreed = b""
        while not agreed.endswith(b"\r\n\r\n"):
            agreed += plain.recv(1)
        assert agreed.startswith(b"HTTP/1.1 200"), agreed
        context = ssl.create_default_context(cafile=environ["SSL_CERT_FILE"])
        with context.wrap_socket(plain, server_hostname=host) as secure:
            secure.sendall(head.encode() + body)
            pieces = []
            while piece := secure.recv(1 << 16):
                pieces.append(piece)
    return b"".join(pieces)
