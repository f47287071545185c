"""What an organization used and what it costs, under the vendor's SDK: to the token."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from tests.conftest import Serve

DAY_S = 86_400
LONG = "Tell me all about the history of lighthouses. " * 150


@pytest.fixture
async def app(serve: Serve) -> App:
    return await serve(mode="synth", any_model=True, profile="none")


@pytest.fixture
async def client(app: App) -> AsyncIterator[AsyncOpenAI]:
    async with connected(app) as made:
        yield made


def connected(app: App, key: str = "sk-test") -> AsyncOpenAI:
    return AsyncOpenAI(
        base_url=app.url + "/v1", api_key=key, admin_api_key="sk-admin", max_retries=0,
        _strict_response_validation=True,
    )  # fmt: skip


def since(app: App) -> int:
    return int(app.clock.wall()) - 3600


async def results(app: App, kind: str, **query: Any) -> list[dict[str, Any]]:
    """Of all buckets together."""
    asked = {"start_time": since(app), **query}
    async with httpx.AsyncClient(headers={"authorization": "Bearer sk-admin"}) as http:
        path = kind if kind == "costs" else f"usage/{kind}"
        answer = await http.get(f"{app.url}/v1/organization/{path}", params=asked)
    assert answer.status_code == 200, answer.text
    return [result for bucket in answer.json()["data"] for result in bucket["results"]]


async def total(app: App, kind: str, **query: Any) -> Counter[str]:
    found: Counter[str] = Counter()
    for result in await results(app, kind, **query):
        found.update({name: value for name, value in result.items() if type(value) is int})
    return found


async def chat(client: AsyncOpenAI, text: str, model: str = "gpt-4o", **more: Any) -> Any:
    return await client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": text}], **more
    )


async def test_the_sum_over_usage_is_the_sum_over_the_answers(
    app: App, client: AsyncOpenAI
) -> None:
    read = written = requests = 0
    for text in ("Hello", "Hello", "What is a lighthouse?", LONG):
        usage = (await chat(client, text)).usage
        read, written = read + usage.prompt_tokens, written + usage.completion_tokens
        stream = await chat(client, text, stream=True, stream_options={"include_usage": True})
        last = [chunk async for chunk in stream][-1]
        read, written = read + last.usage.prompt_tokens, written + last.usage.completion_tokens
        told = (await client.responses.create(model="gpt-5-mini", input=text)).usage
        assert told is not None
        read, written = read + told.input_tokens, written + told.output_tokens
        requests += 3
    found = await total(app, "completions")
    assert (found["input_tokens"], found["output_tokens"]) == (read, written)
    assert found["num_model_requests"] == requests
    parts = found["input_uncached_tokens"] + found["input_cached_tokens"]
    assert parts == read
    assert found["output_text_tokens"] == written


async def test_what_failed_was_not_used(app: App, client: AsyncOpenAI) -> None:
    await chat(client, "Hello")
    for wrong in ({"temperature": 9}, {"model": ""}):
        with pytest.raises(openai.APIStatusError):
            await chat(client, "Hello", **wrong)
    with pytest.raises(openai.APIStatusError):
        await client.with_options(
            default_headers={"x-fakeai-fault": "500"}
        ).chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hello"}])
    assert (await total(app, "completions"))["num_model_requests"] == 1


async def test_cached_tokens_are_those_that_were_told(serve: Serve) -> None:
    app = await serve(VirtualClock(), mode="synth", profile="1xh100-8b")
    async with connected(app) as client:
        model = (await client.models.list()).data[0].id
        told = Counter[str]()
        for _ in range(3):
            usage = (await chat(client, LONG, model)).usage
            told.update(
                input=usage.prompt_tokens, cached=usage.prompt_tokens_details.cached_tokens or 0
            )
        assert told["cached"] > 0
        found = await total(app, "completions")
        assert found["input_tokens"] == told["input"]
        assert found["input_cached_tokens"] == told["cached"]
        assert found["input_uncached_tokens"] == told["input"] - told["cached"]


async def test_every_kind_of_work_is_counted(app: App, client: AsyncOpenAI) -> None:
    embedded = await client.embeddings.create(
        model="text-embedding-3-small", input=["a b", "c"], encoding_format="float"
    )
    await client.moderations.create(input="I am peaceful.")
    await client.images.generate(model="dall-e-2", prompt="A boat", n=2, size="256x256")
    speech = await client.audio.speech.create(model="tts-1", voice="alloy", input="Hello there.",
                                              response_format="wav")  # fmt: skip
    heard = await client.audio.transcriptions.create(
        model="whisper-1", file=("a.wav", speech.content), response_format="verbose_json"
    )
    await client.containers.create(name="box")
    await client.completions.create(model="gpt-3.5-turbo-instruct", prompt="Say")
    assert (await total(app, "embeddings"))["input_tokens"] == embedded.usage.prompt_tokens
    assert (await total(app, "moderations"))["num_model_requests"] == 1
    assert (await total(app, "images"))["images"] == 2
    assert (await total(app, "audio_speeches"))["characters"] == len("Hello there.")
    assert heard.usage is not None
    assert (await total(app, "audio_transcriptions"))["seconds"] == heard.usage.seconds
    assert (await total(app, "code_interpreter_sessions"))["num_sessions"] == 1
    assert (await total(app, "completions"))["num_model_requests"] == 1
    (image,) = await results(app, "images", group_by=["size", "source", "model"])
    assert (image["size"], image["source"], image["model"]) == (
        "256x256", "image.generation", "dall-e-2",
    )  # fmt: skip


async def test_the_sdk_reads_every_page(app: App, client: AsyncOpenAI) -> None:
    await chat(client, "Hello", user="somebody")
    usage = client.admin.organization.usage
    for kind in (
        usage.completions, usage.embeddings, usage.moderations, usage.images, usage.audio_speeches,
        usage.audio_transcriptions, usage.vector_stores, usage.code_interpreter_sessions,
        usage.file_search_calls, usage.web_search_calls, usage.costs,
    ):  # fmt: skip
        page = await kind(start_time=since(app))
        assert (page.object, page.has_more, page.next_page) == ("page", False, None)
        assert all(bucket.end_time - bucket.start_time == DAY_S for bucket in page.data)
    found = await usage.completions(
        start_time=since(app), group_by=["model", "api_key_id", "project_id", "batch"],
        models=["gpt-4o"], batch=False,
    )  # fmt: skip
    (result,) = [result for bucket in found.data for result in bucket.results]
    assert result.object == "organization.usage.completions.result"
    assert (result.model, result.project_id, result.batch) == ("gpt-4o", "proj_default", False)
    assert (result.api_key_id or "").startswith("key_")
    assert result.user_id is None


async def test_groups_and_filters_tell_keys_and_models_apart(app: App) -> None:
    async with connected(app, "sk-one") as one, connected(app, "sk-two") as two:
        await chat(one, "Hello")
        await chat(one, "Hello", "gpt-5-mini")
        await chat(two, "Hello")
    by_key = await results(app, "completions", group_by="api_key_id")
    assert sorted(result["num_model_requests"] for result in by_key) == [1, 2]
    assert all(result["model"] is None for result in by_key)
    by_both = await results(app, "completions", group_by=["api_key_id", "model"])
    assert len(by_both) == 3
    name = next(one["api_key_id"] for one in by_key if one["num_model_requests"] == 2)
    only = await total(app, "completions", api_key_ids=name, models="gpt-5-mini")
    assert only["num_model_requests"] == 1
    assert not await results(app, "completions", project_ids="proj_other")


async def test_tiers_are_told_apart(app: App, client: AsyncOpenAI) -> None:
    for tier in (None, "flex", "priority"):
        await chat(client, "Hello", **({} if tier is None else {"service_tier": tier}))
    found = await results(app, "completions", group_by="service_tier")
    assert [one["service_tier"] for one in found] == ["default", "flex", "priority"]
    usd = {
        one["line_item"]: one["amount"]["value"]
        for one in await results(app, "costs", group_by="line_item")
    }
    assert usd["gpt-4o, output_tokens"] > 0
    assert {"gpt-4o, output_tokens, flex", "gpt-4o, output_tokens, priority"} <= usd.keys()


async def test_costs_follow_from_usage_and_the_price_list(app: App, client: AsyncOpenAI) -> None:
    usage = (await chat(client, "What does it cost?")).usage
    (result,) = await results(app, "costs")
    # gpt-4o: 2.5 and 10 dollars per million tokens (profiles/catalogue/openai.toml).
    usd = (usage.prompt_tokens * 2.5 + usage.completion_tokens * 10) / 1e6
    assert result["amount"]["value"] == pytest.approx(usd, rel=1e-9)
    assert result["amount"]["currency"] == "usd"
    lines = await results(app, "costs", group_by="line_item")
    assert {(one["line_item"], one["quantity"], one["quantity_unit"]) for one in lines} == {
        ("gpt-4o, input_tokens", usage.prompt_tokens, "tokens"),
        ("gpt-4o, output_tokens", usage.completion_tokens, "tokens"),
    }
    (only,) = await results(app, "costs", line_items="gpt-4o, output_tokens")
    assert only["amount"]["value"] == pytest.approx(usage.completion_tokens * 10 / 1e6)


async def test_buckets_have_the_width_that_was_asked_for(serve: Serve) -> None:
    clock = VirtualClock(epoch=1_750_032_000.0)  # a midnight
    app = await serve(clock, mode="synth", profile="none")
    async with connected(app) as client:
        for _ in range(3):
            await chat(client, "Hello")
            clock.advance(3600)
        start = 1_750_032_000
        usage = client.admin.organization.usage
        hours = await usage.completions(start_time=start, bucket_width="1h")
        assert [len(bucket.results) for bucket in hours.data] == [1, 1, 1, 0]
        minutes = await usage.completions(start_time=start, bucket_width="1m", limit=61)
        assert [k for k, one in enumerate(minutes.data) if one.results] == [0, 60]
        assert minutes.has_more
        days = await usage.completions(start_time=start)
        assert len(days.data) == 1
        seen, page = [], None
        while True:
            extra = {} if page is None else {"page": page}
            hours = await usage.completions(start_time=start, bucket_width="1h", limit=2, **extra)
            seen += [bucket.start_time for bucket in hours.data]
            page = hours.next_page
            if not hours.has_more:
                break
        assert seen == [start + k * 3600 for k in range(4)]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({}, "start_time"),
        ({"start_time": "soon"}, "start_time"),
        ({"start_time": 10, "end_time": 10}, "end_time"),
        ({"start_time": 10, "bucket_width": "2d"}, "bucket_width"),
        ({"start_time": 10, "limit": 32}, "limit"),
        ({"start_time": 10, "bucket_width": "1m", "limit": 1441}, "limit"),
        ({"start_time": 10, "group_by": "colour"}, "group_by[0]"),
        ({"start_time": 10, "page": "page_!"}, "page"),
        ({"start_time": 10, "page": "page_" + base64.b64encode(b"7").decode()}, "page"),
        ({"start_time": 10, "batch": "maybe"}, "batch"),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(
    app: App, query: dict[str, Any], param: str
) -> None:
    async with httpx.AsyncClient(headers={"authorization": "Bearer sk-admin"}) as http:
        answer = await http.get(f"{app.url}/v1/organization/usage/completions", params=query)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


async def test_many_at_once_are_all_counted(app: App, client: AsyncOpenAI) -> None:
    answers = await asyncio.gather(*(chat(client, f"Hello {k % 7}") for k in range(40)))
    found = await total(app, "completions")
    assert found["num_model_requests"] == 40
    assert found["output_tokens"] == sum(one.usage.completion_tokens for one in answers)


async def test_a_batch_costs_half(app: App, client: AsyncOpenAI) -> None:
    answer = await chat(client, "Tell me of the sea.", max_tokens=200)
    usd = (await results(app, "costs"))[0]["amount"]["value"]
    line = {
        "custom_id": "a", "method": "POST", "url": "/v1/chat/completions",
        "body": {
            "model": "gpt-4o", "messages": [{"role": "user", "content": "Tell me of the sea."}],
            "max_tokens": 200,
        },
    }  # fmt: skip
    file = await client.files.create(file=("in.jsonl", json.dumps(line).encode()), purpose="batch")
    batch = await client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    while batch.status != "completed":
        batch = await client.batches.retrieve(batch.id)
    apart = await results(app, "completions", group_by="batch")
    assert [one["batch"] for one in apart] == [False, True]
    assert {one["output_tokens"] for one in apart} == {answer.usage.completion_tokens}
    (only,) = await results(app, "completions", batch="true", group_by="service_tier")
    assert (only["service_tier"], only["num_model_requests"]) == ("batch", 1)
    (both,) = await results(app, "costs")
    assert both["amount"]["value"] == pytest.approx(1.5 * usd)


async def test_vector_stores_count_what_they_hold(app: App, client: AsyncOpenAI) -> None:
    store = await client.vector_stores.create(name="s")
    file = await client.files.create(
        file=("a.txt", b"Lighthouses warn ships of rocks. " * 40), purpose="assistants"
    )
    await client.vector_stores.files.create_and_poll(
        file.id, vector_store_id=store.id, poll_interval_ms=1
    )
    held = (await client.vector_stores.retrieve(store.id)).usage_bytes
    found = await results(app, "vector_stores", group_by="project_id")
    assert held > 0
    assert [(one["usage_bytes"], one["project_id"]) for one in found] == [(held, "proj_default")]
    await client.vector_stores.delete(store.id)
    assert await results(app, "vector_stores") == []


async def test_runs_of_assistants_are_counted_as_they_are_told(
    app: App, client: AsyncOpenAI
) -> None:
    assistant = await client.beta.assistants.create(model="gpt-4o")
    run = await client.beta.threads.create_and_run_poll(
        assistant_id=assistant.id, poll_interval_ms=1,
        thread={"messages": [{"role": "user", "content": "Hello"}]},
    )  # fmt: skip
    assert run.usage is not None
    found = await total(app, "completions")
    assert (found["input_tokens"], found["output_tokens"]) == (
        run.usage.prompt_tokens, run.usage.completion_tokens,
    )  # fmt: skip


async def test_claude_s_cache_is_counted_within_the_input(serve: Serve) -> None:
    app = await serve(VirtualClock(), mode="synth", profile="1xh100-8b", any_model=True)
    asked: dict[str, Any] = {
        "model": "claude-sonnet-4-5", "max_tokens": 8,
        "system": [{"type": "text", "text": LONG * 4, "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": "Hello"}],
    }  # fmt: skip
    told = Counter[str]()
    async with AsyncAnthropic(base_url=app.url, api_key="k") as claude:
        for _ in range(2):
            usage = (await claude.messages.create(**asked)).usage
            told.update(
                fresh=usage.input_tokens, read=usage.cache_read_input_tokens or 0,
                kept=usage.cache_creation_input_tokens or 0, said=usage.output_tokens,
            )  # fmt: skip
    assert told["read"] > 0
    assert told["kept"] > 0
    found = await total(app, "completions")
    assert found["input_tokens"] == told["fresh"] + told["read"] + told["kept"]
    assert found["input_cached_tokens"] == told["read"]
    assert found["input_cache_write_tokens"] == told["kept"]
    assert found["input_uncached_tokens"] == told["fresh"]
    assert found["output_tokens"] == told["said"]


async def test_realtime_is_counted_as_it_is_told(app: App, client: AsyncOpenAI) -> None:
    told = Counter[str]()
    async with client.realtime.connect(model="gpt-realtime") as link:
        await link.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        await link.conversation.item.create(
            item={"type": "message", "role": "user",
                  "content": [{"type": "input_text", "text": "Hello"}]}
        )  # fmt: skip
        await link.response.create()
        async for event in link:
            if event.type == "response.done":
                assert event.response.usage is not None
                told.update(
                    read=event.response.usage.input_tokens, said=event.response.usage.output_tokens
                )
                break
    found = await total(app, "completions")
    assert (found["input_tokens"], found["output_tokens"]) == (told["read"], told["said"])
    assert told["said"] > 0
