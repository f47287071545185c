"""Batches of the started program: what a stop, a kill and a death among several processes leave."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
from anthropic import Anthropic
from openai import OpenAI
from openai.types import Batch

from tests.doubles.program import Program
from tests.servers import postgresql
from tests.services.batching import CHAT, OVER, jsonl, question

LINES = 3000
LOOK_S = 0.1
_NUMBERS = itertools.count()


@pytest.fixture(params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest) -> Iterator[tuple[str, ...]]:
    """Options of processes that have their state in common."""
    if request.param == "sqlite":
        yield ()
        return
    if not postgresql.is_installed():
        pytest.skip(postgresql.MISSING)
    schema = f"batches{os.getpid()}_{next(_NUMBERS)}"
    address = postgresql.shared()
    yield ("--store", f"{address}&search_path={schema}")
    asyncio.run(_dropped(address, schema))


async def _dropped(address: str, schema: str) -> None:
    connection = await asyncpg.connect(address)
    await connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    await connection.close()


@contextmanager
def started(data: Path, *options: str) -> Iterator[Program]:
    program = Program(data, "--mode", "synth", "--profile", "none", *options)
    try:
        yield program
    finally:
        program.stop()


def client_of(program: Program) -> OpenAI:
    return OpenAI(base_url=program.base_url, api_key="k", max_retries=0, timeout=60)


def begun(client: OpenAI) -> Batch:
    lines = jsonl([question(k, max_tokens=5) for k in range(LINES)])
    file = client.files.create(file=("in.jsonl", lines), purpose="batch")
    return client.batches.create(
        input_file_id=file.id, endpoint=CHAT, completion_window="24h", metadata={"a": "b"}
    )


def after(client: OpenAI, batch: Batch, least: int) -> Batch:
    """Once so many lines are answered, or it is over."""
    while True:
        time.sleep(LOOK_S)  # real time: another process works meanwhile
        batch = client.batches.retrieve(batch.id)
        assert batch.request_counts is not None
        if batch.status in OVER or batch.request_counts.completed >= least:
            return batch


def check(client: OpenAI, batch: Batch) -> None:
    done = after(client, batch, LINES + 1)
    assert (done.status, done.error_file_id, done.metadata) == ("completed", None, {"a": "b"})
    assert done.request_counts is not None
    assert (done.request_counts.completed, done.request_counts.failed) == (LINES, 0)
    assert done.output_file_id is not None
    found = [
        json.loads(line) for line in client.files.content(done.output_file_id).text.splitlines()
    ]
    assert Counter(line["custom_id"] for line in found) == Counter(
        f"line-{k}" for k in range(LINES)
    )
    used = [line["response"]["body"]["usage"]["total_tokens"] for line in found]
    assert done.usage is not None
    assert done.usage.total_tokens == sum(used)


def test_a_batch_outlives_those_who_work_on_it(tmp_path: Path, shared: tuple[str, ...]) -> None:
    """Stopped, then killed beside another process, which takes it over and is killed as well."""
    with started(tmp_path, *shared) as program, client_of(program) as client:
        batch = begun(client)
        after(client, batch, 1)
        program.stop()
    with started(tmp_path, *shared) as first, started(tmp_path, *shared) as second:
        with client_of(first) as client:
            seen = after(client, batch, LINES // 4)
            first.kill()
        with client_of(second) as client:
            assert seen.request_counts is not None
            after(client, batch, max(LINES // 2, seen.request_counts.completed + 1))
            second.kill()
    with started(tmp_path, *shared) as third, client_of(third) as client:
        check(client, batch)
        assert client.batches.list().data == [client.batches.retrieve(batch.id)]


def test_a_batch_of_messages_outlives_a_kill(tmp_path: Path) -> None:
    params = {"model": "claude-sonnet-4-6", "max_tokens": 5, "messages": [
        {"role": "user", "content": "Hi"}]}  # fmt: skip
    requests = [{"custom_id": f"line-{k}", "params": params} for k in range(50)]
    with started(tmp_path) as program:
        with Anthropic(base_url=program.url, api_key="k", max_retries=0) as client:
            made = client.messages.batches.create(requests=requests)  # type: ignore[arg-type]  # as JSON
        program.kill()
    with (
        started(tmp_path) as program,
        Anthropic(base_url=program.url, api_key="k", max_retries=0) as client,
    ):
        while client.messages.batches.retrieve(made.id).processing_status != "ended":
            time.sleep(LOOK_S)  # real time: another process works meanwhile
        found = list(client.messages.batches.results(made.id))
    assert [line.custom_id for line in found] == [f"line-{k}" for k in range(50)]
    assert {line.result.type for line in found} == {"succeeded"}
