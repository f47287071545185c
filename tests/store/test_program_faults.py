"""What happens to a started program whose disk, file or database is not to be had, as its clients see it."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx
import openai
import pytest
from openai import OpenAI

from fakeai_proxy.store import sqlite as sqlite_store
from tests.conftest import Serve
from tests.doubles.program import Program
from tests.servers import postgresql
from tests.store.conftest import tables

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and mounts of Linux")


@contextmanager
def started(data: Path, *arguments: str) -> Iterator[tuple[Program, OpenAI]]:
    program = Program(data, "--mode", "synth", "--profile", "none", *arguments)
    try:
        with client_of(program.base_url) as client:
            yield program, client
    finally:
        program.stop()


def client_of(base_url: str) -> OpenAI:
    return OpenAI(base_url=base_url, api_key="k", max_retries=0, timeout=60)


def upload(client: OpenAI, size: int) -> str:
    return client.files.create(file=("a.bin", b"x" * size), purpose="user_data").id


def refused(ask: Callable[[], object], said: str = "") -> None:
    """In the vendor's envelope, with the time after which it is worth asking again."""
    with pytest.raises(openai.InternalServerError) as caught:
        ask()
    error = caught.value
    assert (error.status_code, error.code) == (503, "store_unavailable")
    assert error.response.headers["retry-after"] == "1"
    assert said in error.message


def fill(client: OpenAI) -> list[str]:
    """Containers until there is no room for another."""
    made: list[str] = []
    error: openai.InternalServerError | None = None
    while error is None and len(made) < 2000:
        try:
            made.append(client.containers.create(name="x" * 20_000).id)
        except openai.InternalServerError as refusal:
            error = refusal
    assert error is not None
    assert (error.status_code, error.response.headers["retry-after"]) == (503, "1")
    return made


def test_a_full_disk_is_a_503_until_there_is_room(tmp_path: Path) -> None:
    with started(tmp_path) as (program, client):
        kept = upload(client, 1000)
        before = resource.prlimit(program.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(program.pid, resource.RLIMIT_FSIZE, (400_000, before[1]))
        refused(lambda: upload(client, 500_000), "there is no space left")
        refused(lambda: upload(client, 3_000_000), "there is no space left")
        made = fill(client)
        assert client.files.content(kept).read() == b"x" * 1000
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}])
        resource.prlimit(program.pid, resource.RLIMIT_FSIZE, before)
        assert client.files.retrieve(upload(client, 3_000_000)).bytes == 3_000_000
        made.append(client.containers.create(name="last").id)
        for container_id in made:
            assert client.containers.retrieve(container_id).id == container_id


@contextmanager
def disk(place: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A small one of its own; what it gives takes other options of `mount`."""
    place.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")

    def run(*command: str | None) -> bool:
        done = subprocess.run([str(one) for one in command], check=False, capture_output=True)
        return done.returncode == 0

    if os.geteuid() or not run(mount, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)):
        pytest.skip("NOT TESTED on a real full disk: this user may not mount one")
    try:
        yield lambda options: None if run(mount, "-o", f"remount,{options}", str(place)) else fail()
    finally:
        run(umount, "--lazy", str(place))


def fail() -> None:
    pytest.fail("the disk could not be changed")


def test_a_small_disk_that_grows(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", "3m") as remount, started(tmp_path / "disk") as (_, client):
        kept = upload(client, 1_500_000)
        refused(lambda: upload(client, 2_000_000), "there is no space left")
        made = fill(client)
        assert made
        remount("size=64m")
        again = upload(client, 2_000_000)
        made.append(client.containers.create(name="last").id)
        assert {one.id for one in client.containers.list(limit=100)} == set(made)
        assert len(client.files.content(kept).read() + client.files.content(again).read()) == (
            3_500_000
        )


def test_a_folder_that_becomes_read_only(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", "16m") as remount, started(tmp_path / "disk") as (_, client):
        remount("ro")
        refused(lambda: upload(client, 1001), "its folder cannot be written")
        refused(lambda: client.containers.create(name="mine"))
        remount("rw")
        assert client.files.retrieve(upload(client, 1001)).bytes == 1001
        assert client.containers.create(name="mine").name == "mine"


def test_a_store_that_may_only_be_read_is_refused_at_the_start(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", "16m") as remount:
        with started(tmp_path / "disk") as (_, client):
            upload(client, 1000)
        remount("ro")
        with pytest.raises(AssertionError, match=r"state\.db cannot be used .*--data"):
            Program(tmp_path / "disk", "--mode", "synth", "--profile", "none")


async def test_a_file_that_another_process_has_locked(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_store, "BUSY_S", 0.01)
    app = await serve(mode="synth", data=str(tmp_path), store="sqlite")
    async with httpx.AsyncClient(
        base_url=f"{app.url}/v1", headers={"authorization": "Bearer k"}
    ) as http:
        assert (await http.post("/containers", json={"name": "a"})).status_code == 200
        with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            answer = await http.post("/containers", json={"name": "b"})
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert "another process has it locked" in answer.json()["error"]["message"]
            assert len((await http.get("/containers")).json()["data"]) == 1
            other.execute("ROLLBACK")
        assert (await http.post("/containers", json={"name": "b"})).status_code == 200


def test_a_database_that_goes_and_comes_back(tmp_path: Path) -> None:
    if not postgresql.is_installed():
        pytest.skip(postgresql.MISSING)
    with (
        postgresql.running("program") as server,
        started(tmp_path, "--store", server.address()) as (_, client),
    ):
        kept = upload(client, 600_000)
        server.stop()
        refused(lambda: client.files.retrieve(kept), "PostgreSQL")
        refused(lambda: upload(client, 1000), "PostgreSQL")
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}])
        server.start()
        assert client.files.content(kept).read() == b"x" * 600_000
        assert client.files.retrieve(upload(client, 1000)).bytes == 1000


# --- several programs ------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgresql"])
async def two(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[OpenAI, OpenAI]]:
    """Clients of two programs on the same rows."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            places = [(tmp_path, ())] * 2
        else:
            address = await anext(made := tables_of())
            folders = [tmp_path / name for name in "ab"]
            for folder in folders:
                folder.mkdir()
            places = [(folder, ("--store", address)) for folder in folders]
        clients = [
            stack.enter_context(started(folder, *arguments))[1] for folder, arguments in places
        ]
        yield clients[0], clients[1]
    if request.param == "postgresql":
        await made.aclose()


async def tables_of() -> AsyncIterator[str]:
    async with tables() as address:
        yield address


def test_two_programs_share_all_and_one_of_two_edits_wins(two: tuple[OpenAI, OpenAI]) -> None:
    one, other = two
    data = os.urandom(700_000)
    kept = one.files.create(file=("../../etc/passwd", data), purpose="user_data")
    assert other.files.retrieve(kept.id) == kept
    assert other.files.content(kept.id).read() == data
    for _ in range(5):
        begun = one.uploads.create(
            bytes=6, filename="b.txt", mime_type="text/plain", purpose="user_data"
        )
        parts = [
            client.uploads.parts.create(begun.id, data=piece).id
            for client, piece in ((one, b"one"), (other, b"two"))
        ]
        together = threading.Barrier(4)

        def complete(client: OpenAI) -> str | None:
            together.wait()  # noqa: B023 - within the turn
            try:
                done = client.uploads.complete(begun.id, part_ids=parts)  # noqa: B023 - the same
            except openai.BadRequestError:
                return None
            assert done.file is not None
            return done.file.id

        with ThreadPoolExecutor(4) as threads:
            made = [
                file_id for file_id in threads.map(complete, (one, other, one, other)) if file_id
            ]
        assert len(made) == 1
        assert other.files.content(made[0]).read() == b"onetwo"
    assert len(list(one.files.list())) == 6
    other.files.delete(kept.id)
    with pytest.raises(openai.NotFoundError):
        one.files.retrieve(kept.id)


@pytest.mark.parametrize(
    "file_id",
    [
        "..%2f..%2fetc%2fpasswd",
        "%00",
        "file-%00",
        "'%20OR%201=1--",
        "file-" + "a" * 4000,
        "%ff",
        "%5c0",
    ],
)
async def test_tricks_with_ids_are_not_found(serve: Serve, address: str, file_id: str) -> None:
    for store in ("memory", address):
        app = await serve(mode="synth", store=store)
        async with httpx.AsyncClient(headers={"authorization": "Bearer k"}) as http:
            for verb, tail in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
                answer = await http.request(verb, f"{app.url}/v1/files/{file_id}{tail}")
                assert answer.status_code == 404, answer.text
                assert answer.json()["error"]["type"] == "invalid_request_error"
            answer = await http.get(f"{app.url}/v1/files?after={file_id}")
            assert answer.status_code in (400, 404), answer.text


def test_the_password_is_told_to_nobody(tmp_path: Path, address: str) -> None:
    secret = address.replace("postgres@", "postgres:se-cret@")
    with (
        started(tmp_path, "--store", secret) as (program, client),
        httpx.Client(base_url=program.url) as http,
    ):
        upload(client, 10)
        shown = http.get("/_fakeai/v1/status").json()["store"]
        assert shown == address.replace("%2F", "/")
        assert "se-cret" not in http.get("/_fakeai/health").text
        program.stop()
        assert f'"store":"{shown}"' in "".join(program.said)
        assert "se-cret" not in "".join(program.said)
