"""The started program with several processes, and clients that reach all of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.doubles.program import Program

#: Connections, each of which is another process's turn.
CLIENTS = 4


class Service:
    """A program of two processes, and as many connections as it takes to reach both. Connections are
    given out in turn, so every second one is the same process's."""

    def __init__(self, program: Program, stack: ExitStack) -> None:
        self.program = program
        headers = {"authorization": "Bearer k"}
        self.clients = [
            stack.enter_context(httpx.Client(base_url=program.url, headers=headers, timeout=60))
            for _ in range(CLIENTS)
        ]
        for client in self.clients:
            assert client.get("/_fakeai/health").status_code == 200

    def chat(self, client: httpx.Client, text: str = "Hello", **more: Any) -> httpx.Response:
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **more}
        return client.post("/v1/chat/completions", json=body)

    def control(self, method: str, path: str, body: object = None) -> Any:
        """Through the first connection."""
        answer = self.clients[0].request(method, f"/_fakeai/v1/{path}", json=body)
        assert answer.status_code < 300, answer.text
        return answer.json()


def children_of(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[Service]:
    """`folder` is the current one, and where `--data .` lies."""
    program = Program(folder, "--workers", "2", *arguments)
    try:
        with ExitStack() as stack:
            yield Service(program, stack)
    finally:
        program.stop()


Serving = Callable[..., Any]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """With a state on disk, and answers at once."""
    with serving(tmp_path_factory.mktemp("data"), "--profile", "none") as one:
        yield one
