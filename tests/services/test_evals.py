"""The evals room under the vendor's SDK."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from tests.conftest import Serve
from tests.services.fine_tuning_asking import asking
from tests.services.webhook_receiver import receiving

SCHEMA = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q", "a"]}
CONFIG: Any = {"type": "custom", "item_schema": SCHEMA, "include_sample_schema": True}
SAME: Any = {
    "type": "string_check", "name": "same", "operation": "ilike",
    "input": "{{sample.output_text}}", "reference": "{{item.a}}",
}  # fmt: skip
CLOSE: Any = {
    "type": "text_similarity", "name": "close", "evaluation_metric": "rouge_l", "pass_threshold": 0.5,
    "input": "{{sample.output_text}}", "reference": "{{item.a}}",
}  # fmt: skip
JUDGED: Any = {
    "type": "score_model", "name": "judged", "model": "gpt-4o", "pass_threshold": 0.9,
    "input": [{"role": "user", "content": "Compare {{item.a}} with {{sample.output_text}}"}],
}  # fmt: skip
TEMPLATE: Any = {
    "type": "template",
    "template": [
        {"role": "developer", "content": "Answer with the text alone."},
        {"role": "user", "content": {"type": "input_text", "text": "Say {{item.q}}"}},
    ],
}
CONTENT: Any = [
    {"item": {"q": "this is a test", "a": "This is a test"}},
    {"item": {"q": "good morning", "a": "zebra"}},
    {"item": {"q": "this is fine", "a": "fine"}},
]


@pytest.fixture
async def app(serve: Serve) -> App:
    return await serve(VirtualClock(), mode="synth")


@pytest.fixture
async def client(app: App) -> AsyncIterator[AsyncOpenAI]:
    # A run without an error has none, which the SDK's types do not know.
    async with asking(app, strict=False) as made:
        yield made


async def made_eval(client: AsyncOpenAI, *criteria: Any, config: Any = CONFIG) -> str:
    made = await client.evals.create(
        name="mine", data_source_config=config, testing_criteria=[*(criteria or (SAME,))]
    )
    return made.id


async def ended(client: AsyncOpenAI, eval_id: str, run_id: str) -> Any:
    for _ in range(2000):
        run = await client.evals.runs.retrieve(run_id, eval_id=eval_id)
        if run.status not in ("queued", "in_progress"):
            return run
    raise AssertionError(run.status)


async def run(client: AsyncOpenAI, eval_id: str, data_source: Any) -> Any:
    made = await client.evals.runs.create(eval_id, name="one", data_source=data_source)
    assert (made.object, made.status, made.eval_id) == ("eval.run", "queued", eval_id)
    return await ended(client, eval_id, made.id)


async def test_an_eval_is_made_changed_listed_and_deleted(app: App) -> None:
    async with asking(app) as client:  # whose types are held against every answer
        one = await client.evals.create(
            name="mine", data_source_config=CONFIG, testing_criteria=[SAME, CLOSE, JUDGED],
            metadata={"k": "v"},
        )  # fmt: skip
        assert (one.object, one.name, one.metadata) == ("eval", "mine", {"k": "v"})
        assert [grader.name for grader in one.testing_criteria] == ["same", "close", "judged"]
        assert one.data_source_config.type == "custom"
        found = await client.evals.retrieve(one.id)
        assert found.model_dump() == one.model_dump()
        other = await client.evals.create(
            data_source_config={"type": "logs", "metadata": {"a": "b"}}, testing_criteria=[SAME]
        )
        assert [each.id async for each in client.evals.list(limit=1)] == [one.id, other.id]
        changed = await client.evals.update(one.id, name="yours", metadata={})
        assert (changed.name, changed.metadata) == ("yours", {})
        newest = client.evals.list(order="desc", order_by="updated_at", limit=1)
        assert {each.id async for each in newest} == {one.id, other.id}
        gone = await client.evals.delete(one.id)
        assert (gone.deleted, gone.eval_id, gone.object) == (True, one.id, "eval.deleted")
        with pytest.raises(openai.NotFoundError, match="No eval found"):
            await client.evals.retrieve(one.id)


@pytest.mark.parametrize("kind", ["completions", "responses"])
async def test_a_run_asks_a_model_and_grades_what_it_says(client: AsyncOpenAI, kind: str) -> None:
    eval_id = await made_eval(client, SAME, CLOSE, JUDGED)
    done = await run(client, eval_id, {
        "type": kind, "model": "gpt-4o-mini", "input_messages": TEMPLATE,
        "source": {"type": "file_content", "content": CONTENT},
        "sampling_params": {"temperature": 0.5, "max_completion_tokens": 50},
    })  # fmt: skip
    assert done.status == "completed"
    assert done.result_counts.model_dump() == {"total": 3, "errored": 0, "failed": 2, "passed": 1}
    by_name = {
        one.testing_criteria.rpartition("-")[0]: one for one in done.per_testing_criteria_results
    }
    assert (by_name["same"].passed, by_name["same"].failed) == (2, 1)
    usage = {one.run_model_name: one for one in done.per_model_usage}
    assert usage["gpt-4o-mini"].invocation_count == usage["gpt-4o"].invocation_count == 3
    items = [
        one async for one in client.evals.runs.output_items.list(done.id, eval_id=eval_id, limit=1)
    ]
    assert [one.datasource_item_id for one in items] == [0, 1, 2]
    assert [one.status for one in items] == ["pass", "fail", "fail"]
    assert sum(one.sample.usage.total_tokens for one in items) == usage["gpt-4o-mini"].total_tokens
    first = items[0]
    assert first.sample.output[0].content is not None
    assert first.sample.output[0].content.rstrip(".").lower() == "this is a test"
    assert [one.content for one in first.sample.input][-1] == "Say this is a test"
    assert (first.sample.temperature, first.sample.max_completion_tokens) == (0.5, 50)
    assert [one.passed for one in first.results] == [True, True, True]
    same = await client.evals.runs.output_items.retrieve(first.id, eval_id=eval_id, run_id=done.id)
    assert same.model_dump() == first.model_dump()
    failed = client.evals.runs.output_items.list(done.id, eval_id=eval_id, status="fail")
    assert [one.datasource_item_id async for one in failed] == [1, 2]


async def test_what_a_run_asked_is_accounted_for_once(client: AsyncOpenAI) -> None:
    """In the commit with its results: what is asked again after a kill is not paid for twice."""
    eval_id = await made_eval(client)
    done = await run(client, eval_id, {
        "type": "completions", "model": "gpt-4o-mini", "input_messages": TEMPLATE,
        "source": {"type": "file_content", "content": CONTENT},
    })  # fmt: skip
    [told] = done.per_model_usage
    page = await client.get(
        f"/organization/usage/completions?start_time={done.created_at - 86400}&bucket_width=1d",
        cast_to=object,
    )
    results = [one for bucket in page["data"] for one in bucket["results"]]  # type: ignore[index]
    assert sum(one["num_model_requests"] for one in results) == told.invocation_count == 3
    assert sum(one["input_tokens"] for one in results) == told.prompt_tokens
    assert sum(one["output_tokens"] for one in results) == told.completion_tokens


async def test_a_run_grades_answers_that_came_along(client: AsyncOpenAI) -> None:
    eval_id = await made_eval(client, CLOSE)
    rows = [
        {"item": {"q": "x", "a": "red and blue"}, "sample": {"output_text": text}}
        for text in ("red and blue", "green", "red and green")
    ]
    content = b"".join(json.dumps(one).encode() + b"\n" for one in rows)
    file = await client.files.create(file=("a.jsonl", content), purpose="evals")
    for source in ({"type": "file_id", "id": file.id}, {"type": "file_content", "content": rows}):
        done = await run(client, eval_id, {"type": "jsonl", "source": source})
        assert done.result_counts.model_dump() == {
            "total": 3, "errored": 0, "failed": 1, "passed": 2,
        }  # fmt: skip
        assert done.per_model_usage == []


async def test_a_run_grades_what_was_stored(client: AsyncOpenAI) -> None:
    for text, team in (("this is a test", "a"), ("good morning", "a"), ("good night", "b")):
        await client.chat.completions.create(
            model="gpt-4o-mini", store=True, metadata={"team": team},
            messages=[{"role": "user", "content": f"Say {text}"}],
        )  # fmt: skip
    config = {"type": "stored_completions", "metadata": {"team": "a"}}
    grader = {**SAME, "input": "{{sample.output_text}}", "reference": "test"}
    eval_id = await made_eval(client, grader, config=config)
    source = {"type": "stored_completions", "metadata": {"team": "a"}}
    done = await run(client, eval_id, {"type": "completions", "source": source})
    assert done.result_counts.model_dump() == {"total": 2, "errored": 0, "failed": 1, "passed": 1}
    again = await run(client, eval_id, {
        "type": "completions", "source": source, "model": "gpt-4o",
        "input_messages": {"type": "item_reference", "item_reference": "item.input"},
    })  # fmt: skip
    assert again.result_counts.passed == 1
    assert [one.run_model_name for one in again.per_model_usage] == ["gpt-4o"]
    none = await run(
        client, eval_id,
        {"type": "completions", "source": {"type": "stored_completions", "metadata": {"team": "z"}}},
    )  # fmt: skip
    assert (none.status, none.error.code) == ("failed", "no_data")


async def test_an_item_that_cannot_be_asked_is_an_error(client: AsyncOpenAI) -> None:
    eval_id = await made_eval(client)
    done = await run(client, eval_id, {
        "type": "completions", "model": "gpt-4o-mini",
        "input_messages": {"type": "template", "template": [{"role": "user", "content": "{{item.x}}"}]},
        "source": {"type": "file_content", "content": CONTENT},
    })  # fmt: skip
    assert done.result_counts.model_dump() == {"total": 3, "errored": 3, "failed": 0, "passed": 0}
    (item, *_) = (await client.evals.runs.output_items.list(done.id, eval_id=eval_id)).data
    assert "'item.x' is not in the item" in item.sample.error.message
    done = await run(client, eval_id, {
        "type": "completions", "model": "gpt-4o-mini", "input_messages": TEMPLATE,
        "sampling_params": {"temperature": 9},
        "source": {"type": "file_content", "content": CONTENT[:1]},
    })  # fmt: skip
    (item,) = (await client.evals.runs.output_items.list(done.id, eval_id=eval_id)).data
    assert "temperature" in item.sample.error.message


@pytest.mark.parametrize("kind", ["completions", "responses"])
async def test_items_whose_messages_are_none_are_errors(client: AsyncOpenAI, kind: str) -> None:
    config = {"type": "custom", "item_schema": {"type": "object"}, "include_sample_schema": True}
    eval_id = await made_eval(client, {**SAME, "reference": "x"}, config=config)
    odd = [
        5, [5], {"role": "user", "content": 5}, [{"content": "who"}], [{"role": "user", "content": [7]}],
        [{"role": "user", "content": [{"type": "input_image"}]}], [{"role": "user"}], [], None,
    ]  # fmt: skip
    done = await run(client, eval_id, {
        "type": kind, "model": "gpt-4o-mini",
        "input_messages": {"type": "item_reference", "item_reference": "item.said"},
        "source": {"type": "file_content", "content": [{"item": {"said": said}} for said in odd]},
    })  # fmt: skip
    assert done.result_counts.model_dump() == {
        "total": len(odd), "errored": len(odd), "failed": 0, "passed": 0,
    }  # fmt: skip
    items = (await client.evals.runs.output_items.list(done.id, eval_id=eval_id)).data
    assert all(item.sample.error.message for item in items)


async def test_runs_are_listed_cancelled_and_deleted(serve: Serve) -> None:
    app = await serve(VirtualClock(autojump=False), mode="synth", profile="quick")
    async with asking(app, strict=False) as client:
        eval_id = await made_eval(client)
        source = {
            "type": "completions", "model": "gpt-4o-mini", "input_messages": TEMPLATE,
            "source": {"type": "file_content", "content": CONTENT},
        }  # fmt: skip
        runs = [await client.evals.runs.create(eval_id, data_source=source) for _ in range(3)]  # type: ignore[arg-type]  # plain
        ids = [one.id for one in runs]
        assert [one.id async for one in client.evals.runs.list(eval_id, limit=2)] == ids
        canceled = await client.evals.runs.cancel(ids[1], eval_id=eval_id)
        assert canceled.status == "canceled"
        with pytest.raises(openai.BadRequestError, match="its status is 'canceled'"):
            await client.evals.runs.cancel(ids[1], eval_id=eval_id)
        found = client.evals.runs.list(eval_id, status="canceled")
        assert [one.id async for one in found] == [ids[1]]
        gone = await client.evals.runs.delete(ids[0], eval_id=eval_id)
        assert (gone.deleted, gone.run_id) == (True, ids[0])
        with pytest.raises(openai.NotFoundError, match="No eval run found"):
            await client.evals.runs.retrieve(ids[0], eval_id=eval_id)
        with pytest.raises(openai.NotFoundError, match="No eval found"):
            await client.evals.runs.list("eval_none")
        with pytest.raises(openai.NotFoundError, match="No output item found"):
            await client.evals.runs.output_items.retrieve("x", eval_id=eval_id, run_id=ids[2])


async def test_the_end_of_a_run_is_told(serve: Serve) -> None:
    async with receiving() as receiver:
        app = await serve(VirtualClock(), mode="synth", webhook=(receiver.url,))
        async with asking(app, strict=False) as client:
            eval_id = await made_eval(client)
            done = await run(client, eval_id, {
                "type": "jsonl", "source": {"type": "file_content", "content": CONTENT},
            })  # fmt: skip
            while not receiver.heard:
                await client.models.retrieve("gpt-4o")
            event = json.loads(receiver.heard[0][1])
            assert (event["type"], event["data"]["id"]) == ("eval.run.succeeded", done.id)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "Missing required parameter"),
        ({"type": "completions", "source": {"type": "file_content", "content": []}}, "content"),
        ({"type": "completions", "source": {"type": "file_content", "content": [{"item": {"q": "x"}}]}},
         "'a' is required"),
        ({"type": "completions", "source": {"type": "file_id", "id": "file-none"}}, "No such File"),
        ({"type": "completions", "model": "none", "source": {"type": "file_content", "content": CONTENT}},
         "The model 'none' does not exist"),
        ({"type": "completions", "input_messages": TEMPLATE,
          "source": {"type": "file_content", "content": CONTENT}}, "data_source.model"),
        ({"type": "jsonl", "source": {"type": "stored_completions"}}, "Supported values"),
        ({"type": "completions", "model": "gpt-4o",
          "input_messages": {"type": "template", "template": [{"content": "Say {{item.q}}"}]},
          "source": {"type": "file_content", "content": CONTENT}}, "template[0].role"),
    ],
)  # fmt: skip
async def test_a_run_that_cannot_be_is_refused(
    client: AsyncOpenAI, body: dict[str, Any], words: str
) -> None:
    eval_id = await made_eval(client)
    with pytest.raises((openai.BadRequestError, openai.NotFoundError)) as caught:
        await client.post(f"/evals/{eval_id}/runs", body={"data_source": body}, cast_to=object)
    assert words in caught.value.message


async def test_an_eval_whose_grader_cannot_be_is_refused(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.evals.create(
            data_source_config=CONFIG, testing_criteria=[SAME, {**JUDGED, "model": "none"}]
        )
    assert caught.value.param == "testing_criteria[1]"


async def test_many_items_are_told_once_each(client: AsyncOpenAI) -> None:
    eval_id = await made_eval(client)
    rows = [{"item": {"q": f"number {n}", "a": f"number {n}"}} for n in range(60)]
    made = await asyncio.gather(*[
        run(client, eval_id, {
            "type": "completions", "model": "gpt-4o-mini", "input_messages": TEMPLATE,
            "source": {"type": "file_content", "content": rows},
        })
        for _ in range(2)
    ])  # fmt: skip
    for done in made:
        assert done.result_counts.total == 60
        items = client.evals.runs.output_items.list(done.id, eval_id=eval_id, limit=50)
        assert [one.datasource_item_id async for one in items] == list(range(60))
