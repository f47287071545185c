"""The real program records sixty planted credentials in every place, and the disk has none."""

from __future__ import annotations

import gzip
import json
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest
import zstandard

from tests.cassette.planted import SECRETS
from tests.cli.conftest import Run, Start

KEY = "a-key/of+no=known shape"


class _Echoing(BaseHTTPRequestHandler):
    """Says again what it was told: in a header, in JSON, in frames of a few bytes each, gzipped."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        said = self.headers["x-say"]
        how = self.path.partition("?")[0]
        kind, coding = "application/json", ""
        if how == "/stream":
            kind, pieces = "text/event-stream", [said[at : at + 5] for at in range(0, len(said), 5)]
            frames = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
            body = b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in frames)
            body += b"data: [DONE]\n\n"
        elif how == "/gzip":
            body, coding = gzip.compress(body), "gzip"
        elif how == "/binary":
            kind, body = "application/octet-stream", bytes(range(256)) * 300 + body
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.send_header("x-echo", said)
        self.send_header("set-cookie", f"id={said}")
        if coding:
            self.send_header("content-encoding", coding)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *said: object) -> None: ...


@pytest.fixture
def echoing() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echoing)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def on_disk(folder: Path) -> bytes:
    """Every file of a folder as it is, and as a stranger's zstdcat shows it."""
    found = b""
    for path in (path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        found += path.name.encode() + data
        if path.suffix == ".zst":
            with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as plain:
                found += plain.read()
    return found


def ask(url: str, how: str, name: str) -> None:
    text = SECRETS[name][0]
    boundary = "x" * 24
    form = f'--{boundary}\r\ncontent-disposition: form-data; name="f"\r\n\r\n{text}\r\n--{boundary}--\r\n'
    is_form = how == "/form"
    body = form.encode() if is_form else json.dumps({"name": name, "say": text}).encode()
    request = urllib.request.Request(
        f"{url}{how}?of={quote(name)}&key={quote(text)}&say={quote(text)}",
        body,
        {
            "content-type": f"multipart/form-data; boundary={boundary}"
            if is_form
            else "application/json",
            "authorization": f"Bearer {KEY}",
            "cookie": f"session={quote(text)}",
            "user-agent": text,
            "x-say": text,
        },
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as reply:
        assert reply.status == 200
        reply.read()


def test_none_of_sixty_secrets_is_on_the_disk(
    program: Start, run: Run, echoing: str, tmp_path: Path
) -> None:
    cassette = tmp_path / "planted.fcz"
    one = program("--mode", "record", "--upstream", echoing, "--cassette", str(cassette))
    ways = ("/json", "/stream", "/gzip", "/binary", "/form")
    for place, name in enumerate(sorted(SECRETS)):
        for way in (*ways[place % 3 : place % 3 + 3],):
            ask(one.url, way, name)

    def leaked() -> list[str]:
        found = on_disk(tmp_path / "planted.fcz") + b"".join(
            path.read_bytes() for path in (tmp_path / "home").rglob("*.part")
        )
        assert b"langsmith" in found, "it is recorded"
        return [name for name, (_, core) in SECRETS.items() if core.encode() in found]

    assert leaked() == []
    one.process.kill()  # and what is torn
    one.wait()
    assert leaked() == []
    again = program("--mode", "record", "--upstream", echoing, "--cassette", str(cassette))
    ask(again.url, "/stream", "jwt")
    again.stop()
    assert not list(cassette.glob("live-*")), "it is sealed"
    assert leaked() == []
    assert KEY.encode() not in on_disk(cassette)
    checked = run("cassette", "verify", "--secrets", str(cassette))
    assert (checked.returncode, checked.stdout.endswith("no damage and no secrets\n")) == (
        0,
        True,
    ), checked.stdout
