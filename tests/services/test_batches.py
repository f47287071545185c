"""Batches under the vendor's SDK: their files, their lives and what is wrong with them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI
from openai.types import CreateEmbeddingResponse, ModerationCreateResponse
from openai.types.chat import ChatCompletion
from openai.types.responses import Response
from pydantic import BaseModel

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.services.batches import checking
from fakeai_proxy.services.batches.record import WINDOW_S
from fakeai_proxy.services.bulk.desk import AT_ONCE
from tests.conftest import Ended, Serve
from tests.services.batching import (
    CHAT,
    OVER,
    connected,
    created,
    ended,
    jsonl,
    names,
    question,
    results,
    told,
)


async def test_every_line_is_answered_as_it_would_be_alone(client: AsyncOpenAI) -> None:
    lines = [question(k) for k in range(5)]
    batch = await created(client, lines, metadata={"for": "tests"})
    assert (batch.object, batch.status, batch.endpoint) == ("batch", "validating", CHAT)
    assert batch.expires_at == batch.created_at + WINDOW_S
    done = await ended(client, batch)
    assert (done.status, done.model, done.metadata) == (
        "completed", "gpt-4o-mini", {"for": "tests"},
    )  # fmt: skip
    instants = [done.created_at, done.in_progress_at, done.finalizing_at, done.completed_at]
    assert instants == sorted(instants, key=lambda at: at or 0)
    assert (done.errors, done.error_file_id, done.failed_at, done.cancelled_at) == (None,) * 4
    counts, usage = done.request_counts, done.usage
    assert counts is not None
    assert usage is not None
    assert (counts.total, counts.completed, counts.failed) == (5, 5, 0)
    found = await told(client, done.output_file_id)
    assert names(found) == [line["custom_id"] for line in lines]
    assert len({line["id"] for line in found}) == 5
    read = made = 0
    for line, asked in zip(found, lines, strict=True):
        assert set(line) == {"id", "custom_id", "response", "error"}
        assert line["id"].startswith("batch_req_")
        assert line["error"] is None
        assert (line["response"]["status_code"], set(line["response"])) == (
            200, {"status_code", "request_id", "body"},
        )  # fmt: skip
        answer = ChatCompletion.model_validate(line["response"]["body"], strict=True)
        alone = await client.chat.completions.create(**asked["body"])
        assert answer.choices == alone.choices
        assert answer.usage is not None
        read += answer.usage.prompt_tokens
        made += answer.usage.completion_tokens
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (
        read, made, read + made,
    )  # fmt: skip


async def test_the_output_is_a_file_like_any_other(client: AsyncOpenAI) -> None:
    after: Any = {"anchor": "created_at", "seconds": 7200}
    done = await ended(client, await created(client, [question(0)], output_expires_after=after))
    assert done.output_file_id is not None
    file = await client.files.retrieve(done.output_file_id)
    assert (file.purpose, file.filename) == ("batch_output", f"{done.id}_output.jsonl")
    assert file.expires_at == file.created_at + 7200
    assert file.bytes == len((await client.files.content(file.id)).content)
    assert file.id in [one.id async for one in client.files.list(purpose="batch_output")]


SHAPES: list[tuple[str, dict[str, Any], type[BaseModel]]] = [
    ("/v1/responses", {"model": "gpt-5-mini", "input": "Hello"}, Response),
    ("/v1/embeddings", {"model": "text-embedding-3-small", "input": ["a", "b"]},
     CreateEmbeddingResponse),
    ("/v1/moderations", {"input": "Hello"}, ModerationCreateResponse),
]  # fmt: skip


@pytest.mark.parametrize(("endpoint", "body", "shape"), SHAPES, ids=lambda value: str(value)[:20])
async def test_other_endpoints_are_asked_as_well(
    client: AsyncOpenAI, endpoint: str, body: dict[str, Any], shape: type[BaseModel]
) -> None:
    line = {"custom_id": "a", "method": "POST", "url": endpoint, "body": body}
    done = await ended(client, await created(client, [line], endpoint))
    (found,) = await told(client, done.output_file_id)
    answer = shape.model_validate(found["response"]["body"])
    tokens = getattr(getattr(answer, "usage", None), "total_tokens", 0)
    assert done.usage is not None
    assert done.usage.total_tokens == tokens


async def test_lines_that_are_refused_are_in_the_error_file(client: AsyncOpenAI) -> None:
    lines = [question(0), question(1, temperature=9), question(2), question(3, max_tokens="x")]
    done = await ended(client, await created(client, lines))
    counts = done.request_counts
    assert counts is not None
    assert (done.status, counts.completed, counts.failed) == ("completed", 2, 2)
    assert names(await told(client, done.output_file_id)) == ["line-0", "line-2"]
    wrong = await told(client, done.error_file_id)
    assert names(wrong) == ["line-1", "line-3"]
    for line in wrong:
        assert (line["error"], line["response"]["status_code"]) == (None, 400)
        assert line["response"]["body"]["error"]["param"] in ("temperature", "max_tokens")


async def test_a_line_cannot_be_streamed(client: AsyncOpenAI) -> None:
    done = await ended(client, await created(client, [question(0, stream=True), question(1)]))
    assert done.request_counts is not None
    assert (done.request_counts.completed, done.request_counts.failed) == (1, 1)
    (wrong,) = await told(client, done.error_file_id)
    assert wrong["response"]["status_code"] == 400
    assert wrong["response"]["body"]["error"]["param"] == "stream"


@pytest.mark.parametrize(
    ("path", "version"), [("/openai", "2024-10-21"), ("/openai/v1", "preview")]
)
async def test_azure_asks_its_deployments(app: App, path: str, version: str) -> None:
    line = {**question(0, model="gpt-4o"), "url": "/chat/completions"}
    headers = {"api-key": "k"}
    async with httpx.AsyncClient(
        base_url=app.url + path, headers=headers, params={"api-version": version}
    ) as http:
        files = {"file": ("in.jsonl", jsonl([line]))}
        file = (await http.post("/files", data={"purpose": "batch"}, files=files)).json()
        asked = {
            "input_file_id": file["id"], "endpoint": "/chat/completions", "completion_window": "24h",
        }  # fmt: skip
        batch = (await http.post("/batches", json=asked)).json()
        while batch["status"] not in OVER:
            batch = (await http.get(f"/batches/{batch['id']}")).json()
        assert batch["request_counts"]["completed"] == 1, batch
        (found,) = (await http.get(f"/files/{batch['output_file_id']}/content")).text.splitlines()
    choice = json.loads(found)["response"]["body"]["choices"][0]
    assert choice["content_filter_results"]["violence"]["filtered"] is False


async def test_a_batch_of_refusals_has_no_output(client: AsyncOpenAI) -> None:
    done = await ended(client, await created(client, [question(0, temperature=9)]))
    assert (done.status, done.output_file_id) == ("completed", None)
    assert names(await told(client, done.error_file_id)) == ["line-0"]


# --- files that are none ---------------------------------------------------------------------------

_LINE = question(1)
WRONG: list[tuple[str, list[Any], list[tuple[str, int | None, str | None]]]] = [
    ("bad json", [question(0), b"{oops\n", _LINE], [("invalid_json_line", 2, None)]),
    ("no object", [b"[1]\n", b'"a"\n'], [("invalid_json_line", 1, None),
                                           ("invalid_json_line", 2, None)]),
    ("repeated", [question(0), b"\n", question(0)], [("duplicate_custom_id", 3, "custom_id")]),
    ("method", [{**_LINE, "method": "GET"}], [("invalid_value", 1, "method")]),
    ("url", [{**_LINE, "url": "/v1/embeddings"}], [("invalid_url", 1, "url")]),
    ("no name", [{k: v for k, v in _LINE.items() if k != "custom_id"}],
     [("missing_required_parameter", 1, "custom_id")]),
    ("no body", [{**_LINE, "body": None}], [("missing_required_parameter", 1, "body")]),
    ("body", [{**_LINE, "body": "x"}], [("invalid_type", 1, "body")]),
    ("no model", [question(0, model=None)], [("missing_required_parameter", 1, "body.model")]),
    ("models", [question(0), question(1, model="gpt-4o")], [("mismatched_model", 2, "body.model")]),
    ("unknown model", [question(0, model="no-such"), question(1, model="no-such")],
     [("model_not_found", 1, "body.model")]),
    ("blank", [b"\n \n"], [("empty_file", None, None)]),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "wanted"), [row[1:] for row in WRONG], ids=[r[0] for r in WRONG])
async def test_what_is_wrong_with_a_file_is_told_by_its_lines(
    client: AsyncOpenAI, lines: list[Any], wanted: list[tuple[str, int | None, str | None]]
) -> None:
    done = await ended(client, await created(client, lines))
    assert done.status == "failed"
    assert done.failed_at is not None
    assert (done.in_progress_at, done.output_file_id, done.error_file_id) == (None, None, None)
    assert done.errors is not None
    assert done.errors.object == "list"
    found = [(one.code, one.line, one.param) for one in done.errors.data or []]
    assert found == wanted
    assert done.request_counts is not None
    assert done.request_counts.total == 0


async def test_only_so_many_lines_and_inputs_make_a_batch(
    client: AsyncOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "LINES_MAX", 3)
    monkeypatch.setattr(checking, "INPUTS_MAX", 3)
    assert (
        await ended(client, await created(client, [question(k) for k in range(3)]))
    ).errors is None
    many = await ended(client, await created(client, [question(k) for k in range(4)]))
    body = {"model": "text-embedding-3-small", "input": ["a", "b"]}
    url = "/v1/embeddings"
    lines = [{"custom_id": name, "method": "POST", "url": url, "body": body} for name in ("a", "b")]
    inputs = await ended(client, await created(client, lines, url))
    codes = [
        batch.errors and [one.code for one in batch.errors.data or []] for batch in (many, inputs)
    ]
    assert codes == [["too_many_tasks"], ["too_many_inputs"]]


async def test_what_is_no_batch_is_refused(client: AsyncOpenAI, app: App) -> None:
    other = await client.files.create(file=("a.txt", b"abc"), purpose="user_data")
    file = await client.files.create(file=("a.jsonl", jsonl([_LINE])), purpose="batch")
    good = {"input_file_id": file.id, "endpoint": CHAT, "completion_window": "24h"}
    wrong: list[tuple[dict[str, Any], int, str | None]] = [
        ({"input_file_id": "file-none"}, 404, "input_file_id"),
        ({"input_file_id": "../../etc/passwd"}, 404, "input_file_id"),
        ({"input_file_id": other.id}, 400, "input_file_id"),
        ({"input_file_id": None}, 400, "input_file_id"),
        ({"endpoint": "/v1/files"}, 400, "endpoint"),
        ({"endpoint": "/chat/completions"}, 400, "endpoint"),
        ({"completion_window": "1h"}, 400, "completion_window"),
        ({"metadata": {"k": "v" * 513}}, 400, "metadata.k"),
        ({"metadata": {str(k): "v" for k in range(17)}}, 400, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 60}}, 400,
         "output_expires_after.seconds"),
        ({"unheard": 1}, 400, "unheard"),
    ]  # fmt: skip
    async with httpx.AsyncClient(
        base_url=app.url, headers={"authorization": "Bearer k"}, timeout=30
    ) as http:
        for change, status, param in wrong:
            answer = await http.post("/v1/batches", json={**good, **change})
            assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), change
    assert [one async for one in client.batches.list()] == []


async def test_batches_are_listed_newest_first(client: AsyncOpenAI) -> None:
    made = [(await created(client, [_LINE])).id for _ in range(5)]
    assert [batch.id async for batch in client.batches.list(limit=2)] == made[::-1]
    page = await client.batches.list(after=made[2], limit=1)
    assert ([batch.id for batch in page.data], page.has_more) == ([made[1]], True)
    for ask in (client.batches.retrieve, client.batches.cancel):
        with pytest.raises(openai.NotFoundError, match="No batch found with id 'batch_none'"):
            await ask("batch_none")


# --- lives -----------------------------------------------------------------------------------------


@pytest.fixture
def still() -> VirtualClock:
    return VirtualClock(autojump=False)


async def test_a_cancelled_batch_keeps_what_was_answered(serve: Serve, still: VirtualClock) -> None:
    seen = Ended()
    app = await serve(still, seen, mode="synth", profile="openai")
    total = 3 * AT_ONCE
    async with connected(app) as client:
        batch = await created(client, [question(k) for k in range(total)])
        while sum(exchange.tier == "batch" for exchange in seen.exchanges) < AT_ONCE // 2:
            batch = await client.batches.retrieve(batch.id)
            still.advance(0.1)
        assert batch.status == "in_progress"
        going = await client.batches.cancel(batch.id)
        again = await client.batches.cancel(batch.id)
        assert (going.status, again.status) == ("cancelling", "cancelling")
        done = await ended(client, going, still)
        assert (done.status, done.cancelling_at) == ("cancelled", going.cancelling_at)
        assert done.cancelled_at is not None
        with pytest.raises(openai.ConflictError, match="status 'cancelled'"):
            await client.batches.cancel(batch.id)
        counts = done.request_counts
        assert counts is not None
        assert 0 < counts.completed < counts.total == total == counts.completed + counts.failed
        undone = await told(client, done.error_file_id)
        assert len(undone) == counts.failed
        assert {line["error"]["code"] for line in undone} == {"batch_cancelled"}
        assert {line["response"] for line in undone} == {None}
        both = await results(client, done)
        assert sorted(names(both)) == sorted(f"line-{k}" for k in range(total))


async def test_a_batch_that_nobody_has_looked_at_is_cancelled_at_once(client: AsyncOpenAI) -> None:
    batch = await created(client, [_LINE] * 2000)
    going = await client.batches.cancel(batch.id)
    done = await ended(client, going)
    assert done.status in ("cancelled", "failed")
    assert (done.output_file_id, done.error_file_id) == (None, None)


async def test_what_is_not_done_within_its_window_expires(
    serve: Serve, still: VirtualClock
) -> None:
    app = await serve(still, mode="synth", profile="openai")
    total = 3 * AT_ONCE
    async with connected(app) as client:
        batch = await created(client, [question(k) for k in range(total)])
        while batch.status != "in_progress":
            batch = await client.batches.retrieve(batch.id)
        still.advance(WINDOW_S + 1)
        done = await ended(client, batch, still)
        assert (done.status, done.completed_at, done.finalizing_at) == ("expired", None, None)
        assert done.expired_at is not None
        undone = await told(client, done.error_file_id)
        assert {line["error"]["code"] for line in undone} == {"batch_expired"}
        assert len(undone) >= total - AT_ONCE
        assert sorted(names(await results(client, done))) == sorted(
            f"line-{k}" for k in range(total)
        )


async def test_counts_grow_while_lines_are_answered(serve: Serve, still: VirtualClock) -> None:
    app = await serve(still, mode="synth", profile="openai")
    async with connected(app) as client:
        batch = await created(client, [question(k) for k in range(3 * AT_ONCE)])
        seen = []
        while batch.status != "completed":
            batch = await client.batches.retrieve(batch.id)
            assert batch.request_counts is not None
            seen.append(batch.request_counts.completed)
            still.advance(0.1)
    assert seen == sorted(seen)
    assert len(set(seen)) > 3


async def test_who_is_told_to_wait_is_asked_again(serve: Serve, still: VirtualClock) -> None:
    seen = Ended()
    app = await serve(
        still,
        seen,
        mode="synth",
        fault=("429:path=/v1/chat/*,first=3", "503:path=/v1/chat/*,p=0.5"),
    )
    async with connected(app) as client:
        batch = await created(client, [question(k) for k in range(20)])
        done = await ended(client, batch, still)
        assert done.request_counts is not None
        assert done.request_counts.completed + done.request_counts.failed == 20
        wrong = await told(client, done.error_file_id)
    assert {line["response"]["status_code"] for line in wrong} <= {503}
    statuses = [exchange.status for exchange in seen.exchanges if exchange.tier]
    assert statuses.count(429) >= 3
    assert len(statuses) > 20


async def test_lines_are_not_counted_among_live_requests(serve: Serve) -> None:
    app = await serve(mode="synth", limits=("openai:free",))
    async with connected(app) as client:
        done = await ended(client, await created(client, [question(k) for k in range(60)]))
        assert done.request_counts is not None
        assert done.request_counts.completed == 60


async def test_what_lines_used_is_counted_once_at_half_the_price(
    client: AsyncOpenAI, app: App
) -> None:
    done = await ended(client, await created(client, [question(k) for k in range(10)]))
    assert done.usage is not None
    query = {"start_time": done.created_at - 86_400, "bucket_width": "1d", "group_by": "batch"}
    headers = {"authorization": "Bearer sk-admin"}
    async with httpx.AsyncClient(base_url=app.url, headers=headers) as http:
        usage = (await http.get("/v1/organization/usage/completions", params=query)).json()
        del query["group_by"]
        costs = (await http.get("/v1/organization/costs", params=query)).json()
    found = [one for bucket in usage["data"] for one in bucket["results"]]
    counted = [
        (one["batch"], one["num_model_requests"], one["input_tokens"], one["output_tokens"])
        for one in found
    ]
    assert counted == [(True, 10, done.usage.input_tokens, done.usage.output_tokens)]
    (cost,) = [one["amount"]["value"] for bucket in costs["data"] for one in bucket["results"]]
    # gpt-4o-mini: 0.15 and 0.60 US dollars a million tokens, and half of that.
    full = (done.usage.input_tokens * 0.15 + done.usage.output_tokens * 0.60) / 1e6
    assert float(cost) == pytest.approx(full / 2)


async def test_whoever_wants_to_know_hears_how_a_batch_ended(serve: Serve) -> None:
    heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        event = json.loads(await reader.readexactly(length))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()
        await heard.put((event["type"], event["data"]["id"]))

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    app = await serve(mode="synth", webhook=(f"http://127.0.0.1:{port}/",))
    async with connected(app) as client:
        good = await ended(client, await created(client, [question(0)]))
        assert await heard.get() == ("batch.completed", good.id)
        bad = await ended(client, await created(client, [b"{\n"]))
        assert await heard.get() == ("batch.failed", bad.id)
    server.close()


async def test_only_so_many_tokens_wait_for_a_model(serve: Serve, still: VirtualClock) -> None:
    """OpenAI's first tier: 90,000 of gpt-4o."""
    app = await serve(still, mode="synth", profile="openai", limits=("openai:1",))
    text = "far " * 20_000
    lines = [question(k, model="gpt-4o", messages=[{"role": "user", "content": text}])
             for k in range(3)]  # fmt: skip
    async with connected(app) as client:
        first = await created(client, lines)
        while first.status == "validating":
            first = await client.batches.retrieve(first.id)
        second = await ended(client, await created(client, lines[:2]))
        assert (second.status, first.status) == ("failed", "in_progress")
        assert second.errors is not None
        (error,) = second.errors.data or []
        assert (error.code, error.line) == ("token_limit_exceeded", None)
        assert error.message is not None
        assert "Limit: 90,000 enqueued tokens" in error.message
        other = await created(client, [question(0)])
        assert (await ended(client, other, still)).status == "completed"
        await ended(client, first, still)
        third = await ended(client, await created(client, lines[:2]), still)
        assert third.status == "completed"
