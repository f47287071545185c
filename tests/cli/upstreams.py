"""Upstreams in threads of the test, for the program in its own process to reach."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue

#: Headers and body of every POST.
POSTED: Queue[tuple[dict[str, str], bytes]] = Queue()


class _Answers(BaseHTTPRequestHandler):
    """Counts itself, so that no two answers are the same, and repeats the path it was asked for:
    the whole URL when it is used as a proxy. The answer to a path that ends in /cut lacks a byte."""

    protocol_version = "HTTP/1.1"
    server: CountingServer

    def do_GET(self) -> None:
        self.server.asked += 1
        body = json.dumps({"count": self.server.asked, "path": self.path}).encode()
        cut = self.path.endswith("/cut")
        self.close_connection = cut
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body) + cut))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """Keeps what it is sent."""
        length = int(self.headers["content-length"])
        POSTED.put((dict(self.headers), self.rfile.read(length)))
        self.send_response(204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *said: object) -> None: ...


class CountingServer(ThreadingHTTPServer):
    daemon_threads = True
    asked = 0


@contextmanager
def counting(tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """The URL of a server that counts its answers."""
    server = CountingServer(("127.0.0.1", 0), _Answers)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def silent() -> Iterator[str]:
    """The URL of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
