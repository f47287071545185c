"""The store of the started program: what a kill leaves, what large files cost, what nobody asks for."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from openai import OpenAI

from tests.doubles.program import Program, bare_environment

PIECE = bytes(range(256)) * 4096
#: Enough that a program which held it would be seen to.
LARGE_PIECES = 96


@contextmanager
def started(data: Path) -> Iterator[Program]:
    program = Program(data, "--mode", "synth", "--profile", "none")
    try:
        yield program
    finally:
        program.stop()


def client_of(program: Program) -> OpenAI:
    return OpenAI(base_url=program.base_url, api_key="k", max_retries=0, timeout=60)


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_what_was_acknowledged_outlives_the_program(tmp_path: Path, end: str) -> None:
    with started(tmp_path) as program, client_of(program) as client:
        kept = client.files.create(file=("a.bin", PIECE), purpose="user_data")
        upload = client.uploads.create(
            bytes=6, filename="b.txt", mime_type="text/plain", purpose="user_data"
        )
        parts = [client.uploads.parts.create(upload.id, data=one).id for one in (b"one", b"two")]
        container = client.containers.create(name="mine", file_ids=[kept.id])
        getattr(program, end)()
    with started(tmp_path) as program, client_of(program) as client:
        assert client.files.retrieve(kept.id) == kept
        assert client.files.content(kept.id).read() == PIECE
        done = client.uploads.complete(upload.id, part_ids=parts)
        assert done.file is not None
        assert client.files.content(done.file.id).read() == b"onetwo"
        assert client.containers.retrieve(container.id).name == "mine"
        (copy,) = client.containers.files.list(container.id).data
        content = client.containers.files.content.retrieve(copy.id, container_id=container.id)
        assert content.read() == PIECE


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_a_large_file_is_never_in_memory(tmp_path: Path) -> None:
    boundary = "b0undary"
    head = (
        f'--{boundary}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
        f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
    )

    def body() -> Iterator[bytes]:
        yield head.encode()
        for _ in range(LARGE_PIECES):
            yield PIECE
        yield f"\r\n--{boundary}--\r\n".encode()

    wanted = hashlib.sha256()
    for _ in range(LARGE_PIECES):
        wanted.update(PIECE)
    headers = {"authorization": "Bearer k"}
    form = {"content-type": f"multipart/form-data; boundary={boundary}"}
    with (
        started(tmp_path) as program,
        httpx.Client(base_url=program.base_url, headers=headers, timeout=60) as http,
    ):
        small = http.post("/files", data={"purpose": "user_data"}, files={"file": ("a", b"a")})
        assert small.status_code == 200
        before = program.peak_memory_bytes()
        made = http.post("/files", content=body(), headers=form)
        assert made.status_code == 200, made.text
        assert made.json()["bytes"] == LARGE_PIECES * len(PIECE)
        got = hashlib.sha256()
        with http.stream("GET", f"/files/{made.json()['id']}/content") as answer:
            for piece in answer.iter_raw():
                got.update(piece)
        assert got.digest() == wanted.digest()
        assert program.peak_memory_bytes() - before < 32 << 20


def test_whoever_keeps_nothing_pays_nothing(tmp_path: Path) -> None:
    with started(tmp_path) as program, client_of(program) as one:
        one.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}])
        assert not (tmp_path / "state.db").exists()
        assert not (tmp_path / "blobs").exists()
    code = (
        "import sys; from fakeai_proxy.app import App; from fakeai_proxy.config import Config;"
        "App(Config.load(flags={'mode': 'synth'})); sys.exit('sqlite3' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], env=bare_environment(), check=False).returncode
        == 0
    )
