"""Two hundred recorders are killed, in mid-recording and in mid-sealing: what was acknowledged is there."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from http.client import HTTPException
from pathlib import Path

from fakeai_proxy.cassette import sealing
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.matching import raw_key
from fakeai_proxy.cassette.settings import CassetteSettings
from fakeai_proxy.clock import SystemClock
from tests.cassette.nursery import answer, checked
from tests.cassette.test_library import JSON, TARGET
from tests.cli.conftest import ROOT, Start, environ, program
from tests.cli.upstreams import counting

__all__ = ["environ", "program"]

KILLS, KILLS_OF_THE_PROGRAM = 168, 6  # and 28 while sealing


def test_killed_recorders_and_sealers_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    folder = tmp_path / "killed.fcz"
    done = subprocess.run(
        [sys.executable, "-m", "tests.cassette.nursery", str(folder), str(KILLS)],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    safe = set(json.loads(done.stdout))
    assert len(safe) > KILLS * 3
    before = checked(folder, safe, safe)
    sealing.seal(folder, again=True)
    assert checked(folder, safe, safe) == before
    assert len(list(folder.glob("seg-*"))) == 1
    assert not list(folder.glob(".sealing-*"))
    library = Library.open(CassetteSettings(cassette=(folder,)), SystemClock())
    for number in sorted(safe)[::7]:
        entry = library.find(raw_key("POST", TARGET, JSON, b'{"n": %d}' % number), 0)
        assert entry is not None
        assert b"".join(chunk.data for chunk in library.script(entry).chunks) == answer(number)  # type: ignore[misc]  # bytes, not late ones
    library.close()


def test_a_program_that_is_killed_has_what_its_clients_saw_whole(
    program: Start, tmp_path: Path
) -> None:
    folder, rng = tmp_path / "program.fcz", random.Random(10)
    seen: dict[str, object] = {}

    def asking(one: object, client: int, enough: threading.Semaphore) -> None:
        for place in range(100):
            path = f"/any/{len(seen)}/{client}/{place}"
            try:
                _, said = one.ask(path)  # type: ignore[attr-defined]  # a Program
            except (OSError, ValueError, HTTPException):
                return
            seen[path] = said
            enough.release()

    with counting() as upstream:
        for _ in range(KILLS_OF_THE_PROGRAM):
            one = program("--mode", "record", "--upstream", upstream, "--cassette", str(folder))
            enough = threading.Semaphore(0)
            clients = [
                threading.Thread(target=asking, args=(one, client, enough)) for client in range(3)
            ]
            for client in clients:
                client.start()
            for _ in range(rng.randrange(1, 30)):
                enough.acquire(timeout=60)
            one.process.kill()
            for client in clients:
                client.join()
            one.wait()
        again = program("--mode", "replay", "--cassette", str(folder))
        for path, said in seen.items():
            assert again.ask(path) == (200, said)
    assert len(seen) > KILLS_OF_THE_PROGRAM
