"""The fine-tuning room under the vendor's SDK, on a clock of its own."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from tests.conftest import Serve
from tests.services.fine_tuning_asking import EXAMPLES, MODEL, asking, chat, ended, upload

PREFERENCES = [
    {
        "input": {"messages": [{"role": "user", "content": f"Say {n}"}]},
        "preferred_output": [{"role": "assistant", "content": f"{n}!"}],
        "non_preferred_output": [{"role": "assistant", "content": "No."}],
    }
    for n in range(10)
]
ITEMS = [
    {"messages": [{"role": "user", "content": f"Name number {n}"}], "answer": str(n)}
    for n in range(10)
]
GRADER = {
    "type": "string_check", "name": "same", "operation": "eq",
    "input": "{{sample.output_text}}", "reference": "{{item.answer}}",
}  # fmt: skip


@pytest.fixture
async def app(serve: Serve) -> App:
    return await serve(VirtualClock(), mode="synth")


@pytest.fixture
async def client(app: App) -> AsyncIterator[AsyncOpenAI]:
    async with asking(app) as made:
        yield made


async def test_a_job_ends_in_a_model_that_answers_as_it_was_taught(client: AsyncOpenAI) -> None:
    jobs = client.fine_tuning.jobs
    file, valid = await upload(client, EXAMPLES), await upload(client, EXAMPLES[:4])
    made = await jobs.create(
        model="gpt-4o-mini", training_file=file, validation_file=valid, suffix="my model", seed=7,
        metadata={"team": "a"},
        integrations=[{"type": "wandb", "wandb": {"project": "p", "tags": ["t"]}}],
    )  # fmt: skip
    assert (made.status, made.model, made.seed) == ("validating_files", MODEL, 7)
    assert (made.fine_tuned_model, made.error, made.trained_tokens) == (None, None, None)
    assert made.hyperparameters.n_epochs == "auto"
    assert made.integrations is not None
    assert made.integrations[0].wandb.tags == [
        "openai/finetune", f"openai/{MODEL}", f"openai/{made.id}", "t",
    ]  # fmt: skip
    done = await ended(client, made.id)
    assert done.status == "succeeded"
    assert done.fine_tuned_model is not None
    assert done.fine_tuned_model.startswith(f"ft:{MODEL}:fakeai:my-model:")
    assert (done.hyperparameters.n_epochs, done.hyperparameters.batch_size) == (8, 1)
    assert done.method is not None
    assert done.method.supervised is not None
    assert done.finished_at == done.created_at  # where answers take no time
    assert done.trained_tokens is not None
    assert done.trained_tokens % 8 == 0

    model = await client.models.retrieve(done.fine_tuned_model)
    assert model.id == done.fine_tuned_model
    assert done.fine_tuned_model in [one.id async for one in client.models.list()]
    said = await client.chat.completions.create(
        model=model.id, messages=[{"role": "user", "content": "What is 5 plus 5?"}]
    )
    assert (said.model, said.choices[0].message.content) == (model.id, "It is 10.")
    other = await client.chat.completions.create(
        model=model.id, messages=[{"role": "user", "content": "Tell me about lighthouses"}]
    )
    assert len(other.choices[0].message.content or "") > 20
    response = await client.responses.create(model=model.id, input="What is 5 plus 5?")
    assert response.output_text == "It is 10."
    async with client.responses.connect() as connection:
        await connection.response.create(model=model.id, input="What is 5 plus 5?")
        async for event in connection:
            if event.type == "response.completed":
                break
    assert event.response.output_text == "It is 10."

    await client.models.delete(model.id)
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.create(
            model=model.id, messages=[{"role": "user", "content": "What is 5 plus 5?"}]
        )
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve(model.id)


async def test_a_training_tells_how_it_goes(client: AsyncOpenAI) -> None:
    jobs = client.fine_tuning.jobs
    file, valid = await upload(client, EXAMPLES), await upload(client, EXAMPLES[:4])
    made = await jobs.create(
        model=MODEL, training_file=file, validation_file=valid,
        hyperparameters={"n_epochs": 3, "batch_size": 2},
    )  # fmt: skip
    done = await ended(client, made.id)
    events = [one async for one in jobs.list_events(made.id, limit=7)]
    messages = [one.message for one in reversed(events)]
    assert messages[:5] == [
        f"Created fine-tuning job: {made.id}",
        f"Validating training file: {file} and validation file: {valid}",
        "Files validated, moving job to queued state",
        "Fine-tuning job started",
        messages[4],
    ]
    assert messages[4].startswith("Step 1/18: training loss=")
    assert messages[-2:] == [
        f"New fine-tuned model created: {done.fine_tuned_model}",
        "The job has successfully completed",
    ]
    assert len({one.id for one in events}) == len(events)
    metrics = [one.data for one in reversed(events) if one.type == "metrics"]
    assert [one["step"] for one in metrics] == list(range(1, 19))  # type: ignore[index]  # a dict
    checkpoints = [one async for one in jobs.checkpoints.list(made.id, limit=1)]
    assert [one.step_number for one in checkpoints] == [18, 12, 6]
    assert checkpoints[0].fine_tuned_model_checkpoint == done.fine_tuned_model
    assert checkpoints[1].fine_tuned_model_checkpoint == f"{done.fine_tuned_model}:ckpt-step-12"
    assert checkpoints[1].metrics.full_valid_loss is not None
    said = await client.chat.completions.create(
        model=checkpoints[2].fine_tuned_model_checkpoint,
        messages=[{"role": "user", "content": "What is 3 plus 3?"}],
    )
    assert said.choices[0].message.content == "It is 6."

    (result,) = done.result_files
    about = await client.files.retrieve(result)
    assert (about.purpose, about.filename) == ("fine-tune-results", "step_metrics.csv")
    text = (await client.files.content(result)).text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [int(row["step"]) for row in rows] == list(range(1, 19))
    losses = [float(row["train_loss"]) for row in rows]
    assert sum(losses[-6:]) < 0.8 * sum(losses[:6])
    assert all(float(row["valid_loss"]) > float(row["train_loss"]) for row in rows)
    assert metrics[3]["train_loss"] == losses[3]  # type: ignore[index]  # a dict


async def test_the_same_seed_and_data_make_the_same_curve(client: AsyncOpenAI) -> None:
    file = await upload(client, EXAMPLES)

    async def curve(seed: int) -> str:
        job = await client.fine_tuning.jobs.create(model=MODEL, training_file=file, seed=seed)
        (result,) = (await ended(client, job.id)).result_files
        return (await client.files.content(result)).text

    assert await curve(1) == await curve(1) != await curve(2)


async def test_jobs_are_listed_by_their_metadata(client: AsyncOpenAI) -> None:
    file = await upload(client, EXAMPLES)
    jobs = client.fine_tuning.jobs
    one, two, three = [
        await jobs.create(model=MODEL, training_file=file, metadata=metadata)
        for metadata in ({"team": "a", "k": "v"}, {"team": "b"}, None)
    ]
    assert [job.id async for job in jobs.list(limit=1)] == [three.id, two.id, one.id]
    assert [job.id async for job in jobs.list(metadata={"team": "a"})] == [one.id]
    assert [job.id async for job in jobs.list(metadata={"team": "a", "k": "x"})] == []
    listed = await client.get("/fine_tuning/jobs?metadata=null", cast_to=dict[str, Any])
    assert [job["id"] for job in listed["data"]] == [three.id]


@pytest.mark.parametrize(
    ("examples", "code", "words"),
    [
        (EXAMPLES[:9], "invalid_n_examples", "Training file has 9 example(s), but must have at least 10"),
        ([*EXAMPLES, {"a": 1}], "invalid_training_file", "Missing `messages` key on line 13."),
        ([{"messages": []}, *EXAMPLES], "invalid_training_file", "on line 1."),
        ([*EXAMPLES, {"messages": EXAMPLES[0]["messages"][:2]}], "invalid_training_file", "line 13."),
        ([*EXAMPLES[:3], chat("a", "b") | {"tools": 3}], "invalid_training_file", "`tools` to be an array"),
        ([{"messages": [{"role": "robot", "content": "x"}]}], "invalid_training_file", "'robot'"),
        ([{"messages": [{"role": "user", "content": "x", "weight": 1}]}], "invalid_training_file", "weight"),
        ([{"messages": [{"role": "user", "content": "x"},
                        {"role": "assistant", "content": "y", "weight": 0}]}],
         "invalid_training_file", "at least one assistant message with a weight of 1"),
        ([{"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}]}],
         "invalid_training_file", "calls the function 'f'"),
    ],
)  # fmt: skip
async def test_a_bad_file_fails_the_job_and_names_the_line(
    client: AsyncOpenAI, examples: list[Any], code: str, words: str
) -> None:
    file = await upload(client, examples)
    job = await client.fine_tuning.jobs.create(model=MODEL, training_file=file)
    failed = await ended(client, job.id)
    assert failed.status == "failed"
    assert failed.error is not None
    assert (failed.error.code, failed.error.param) == (code, "training_file")
    assert words in failed.error.message
    assert failed.fine_tuned_model is None
    (last, *_) = (await client.fine_tuning.jobs.list_events(job.id)).data
    assert (last.level, last.message) == ("error", failed.error.message)


async def test_preferences_and_rewards_are_trained_on(client: AsyncOpenAI) -> None:
    jobs = client.fine_tuning.jobs
    job = await jobs.create(
        model=MODEL, training_file=await upload(client, PREFERENCES),
        method={"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.3}}},
    )  # fmt: skip
    done = await ended(client, job.id)
    assert done.status == "succeeded"
    assert done.method is not None
    assert done.method.dpo is not None
    assert done.method.dpo.hyperparameters is not None
    assert (done.method.dpo.hyperparameters.beta, done.method.dpo.hyperparameters.n_epochs) == (
        0.3,
        10,
    )
    first = (await jobs.checkpoints.list(job.id)).data[-1]
    assert first.metrics.train_loss is not None
    assert first.metrics.train_loss < 0.75
    said = await client.chat.completions.create(
        model=done.fine_tuned_model or "", messages=[{"role": "user", "content": "Say 4"}]
    )
    assert said.choices[0].message.content == "4!"

    job = await jobs.create(
        model="o4-mini", training_file=await upload(client, ITEMS),
        method={"type": "reinforcement", "reinforcement": {
            "grader": GRADER, "hyperparameters": {"n_epochs": 4, "reasoning_effort": "low"}}},  # type: ignore[typeddict-item]  # a plain dict
    )  # fmt: skip
    done = await ended(client, job.id)
    assert (done.status, done.model) == ("succeeded", "o4-mini-2025-04-16")
    rewards = [
        one.data["train_mean_reward"]  # type: ignore[index]  # a dict
        for one in (await jobs.list_events(job.id, limit=100)).data
        if one.type == "metrics"
    ]
    assert len(rewards) == 40
    assert sum(rewards[:10]) > sum(rewards[-10:])  # the newest come first

    missing = [*ITEMS, {"messages": ITEMS[0]["messages"]}]
    job = await jobs.create(
        model="o4-mini", training_file=await upload(client, missing),
        method={"type": "reinforcement", "reinforcement": {"grader": GRADER}},  # type: ignore[typeddict-item]  # a plain dict
    )  # fmt: skip
    failed = await ended(client, job.id)
    assert failed.error is not None
    assert "`item.answer`, which is missing on line 11." in failed.error.message


async def test_a_model_of_ones_own_is_trained_again(client: AsyncOpenAI) -> None:
    file = await upload(client, EXAMPLES)
    jobs = client.fine_tuning.jobs
    first = await ended(client, (await jobs.create(model=MODEL, training_file=file)).id)
    again = await jobs.create(
        model=first.fine_tuned_model or "",
        training_file=await upload(client, [chat(f"New {n}", "Yes") for n in range(10)]),
    )
    assert again.model == first.fine_tuned_model
    second = await ended(client, again.id)
    assert second.fine_tuned_model is not None
    assert second.fine_tuned_model.startswith(f"ft:{MODEL}:fakeai::")
    assert second.fine_tuned_model != first.fine_tuned_model


async def test_a_text_model_learns_completions(client: AsyncOpenAI) -> None:
    examples = [{"prompt": f"{n} ->", "completion": f" {n + 1}"} for n in range(10)]
    job = await client.fine_tuning.jobs.create(
        model="davinci-002", training_file=await upload(client, examples)
    )
    done = await ended(client, job.id)
    assert done.status == "succeeded"
    said = await client.completions.create(model=done.fine_tuned_model or "", prompt="3 ->")
    assert said.choices[0].text == " 4"


async def test_a_tool_call_is_learnt(client: AsyncOpenAI) -> None:
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}}
    examples = [
        {
            "messages": [
                {"role": "user", "content": f"Look {n}"},
                {"role": "assistant", "tool_calls": [call]},
            ],
            "tools": tools,
        }
        for n in range(10)
    ]
    job = await client.fine_tuning.jobs.create(
        model=MODEL, training_file=await upload(client, examples)
    )
    done = await ended(client, job.id)
    said = await client.chat.completions.create(
        model=done.fine_tuned_model or "", messages=[{"role": "user", "content": "Look 3"}],
        tools=tools,  # type: ignore[arg-type]  # a plain dict
    )  # fmt: skip
    (made,) = said.choices[0].message.tool_calls or ()
    assert (made.function.name, made.function.arguments) == ("look", '{"a":1}')  # type: ignore[union-attr]  # a function


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"model": "gpt-4"}, "training_file", "Missing required parameter"),
        ({"model": "none", "training_file": "FILE"}, "model", "is not available for fine-tuning"),
        ({"model": "gpt-5", "training_file": "FILE"}, "model", "is not available for fine-tuning"),
        ({"model": "ft:gpt-4o:a::b", "training_file": "FILE"}, "model", "or does not exist"),
        ({"model": MODEL, "training_file": "file-none"}, "training_file", "invalid training_file: file-none"),
        ({"model": MODEL, "training_file": "OTHER"}, "training_file", "expected 'fine-tune'"),
        ({"model": MODEL, "training_file": "FILE", "validation_file": "x"}, "validation_file", "invalid"),
        ({"model": MODEL, "training_file": "FILE", "suffix": "s" * 65}, "suffix", "64"),
        ({"model": MODEL, "training_file": "FILE", "seed": -1}, "seed", ">="),
        ({"model": MODEL, "training_file": "FILE", "speed": 1}, "speed", "Unknown parameter"),
        ({"model": MODEL, "training_file": "FILE", "hyperparameters": {"n_epochs": 51}},
         "hyperparameters.n_epochs", "50"),
        ({"model": MODEL, "training_file": "FILE", "hyperparameters": {"x": 5}}, "hyperparameters.x", "Unk"),
        ({"model": MODEL, "training_file": "FILE", "method": {"type": "magic"}}, "method.type", "magic"),
        ({"model": MODEL, "training_file": "FILE", "method": {"type": "reinforcement"}}, "method.type", ""),
        ({"model": "o4-mini", "training_file": "FILE", "method": {"type": "reinforcement"}},
         "method.reinforcement", "Missing"),
        ({"model": "gpt-3.5-turbo", "training_file": "FILE", "method": {"type": "dpo"}}, "method.type", "d"),
        ({"model": MODEL, "training_file": "FILE", "metadata": {"k" * 65: "v"}}, None, ""),
    ],
)  # fmt: skip
async def test_a_job_that_cannot_be_is_refused(
    client: AsyncOpenAI, body: dict[str, Any], param: str | None, words: str
) -> None:
    other = await client.files.create(file=("a.txt", b"a"), purpose="assistants")
    files = {"FILE": await upload(client, EXAMPLES), "OTHER": other.id}
    sent = {name: files.get(value, value) if isinstance(value, str) else value
            for name, value in body.items()}  # fmt: skip
    with pytest.raises(openai.BadRequestError) as caught:
        await client.post("/fine_tuning/jobs", body=sent, cast_to=object)
    assert words in caught.value.message
    if param is not None:
        assert caught.value.param == param


async def test_what_is_not_there_is_not_found(client: AsyncOpenAI) -> None:
    jobs = client.fine_tuning.jobs
    for unknown in (
        jobs.retrieve("ftjob-none"), jobs.cancel("ftjob-none"), jobs.pause("ftjob-none"),
        jobs.resume("ftjob-none"), jobs.list_events("ftjob-none"), jobs.checkpoints.list("ftjob-none"),
    ):  # fmt: skip
        with pytest.raises(openai.NotFoundError) as caught:
            await unknown
        assert "Could not find fine tune: ftjob-none" in caught.value.message


async def test_training_and_answers_are_billed_and_batched(client: AsyncOpenAI) -> None:
    job = await client.fine_tuning.jobs.create(
        model=MODEL, training_file=await upload(client, EXAMPLES)
    )
    done = await ended(client, job.id)
    name = done.fine_tuned_model or ""
    said = await client.chat.completions.create(
        model=name, messages=[{"role": "user", "content": "What is 5 plus 5?"}]
    )
    line = {
        "custom_id": "1", "method": "POST", "url": "/v1/chat/completions",
        "body": {"model": name, "messages": [{"role": "user", "content": "What is 4 plus 4?"}]},
    }  # fmt: skip
    file = await client.files.create(file=("a.jsonl", json.dumps(line).encode()), purpose="batch")
    batch = await client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    while (batch := await client.batches.retrieve(batch.id)).status != "completed":
        assert batch.status != "failed", batch.errors
    result = json.loads((await client.files.content(batch.output_file_id or "")).text)
    assert result["response"]["body"]["choices"][0]["message"]["content"] == "It is 8."

    page = await client.get(
        "/organization/costs?start_time=1749900000&group_by=line_item", cast_to=dict[str, Any]
    )
    lines = {
        one["line_item"]: one["amount"]["value"]
        for bucket in page["data"]
        for one in bucket["results"]
    }
    assert said.usage is not None
    # US dollars a million tokens of gpt-4o-mini: training, and its own models' input and output.
    assert done.trained_tokens is not None
    assert lines[f"{name}, training_tokens"] == pytest.approx(3e-6 * done.trained_tokens)
    assert lines[f"{name}, input_tokens"] == pytest.approx(0.3e-6 * said.usage.prompt_tokens)
    assert lines[f"{name}, output_tokens"] == pytest.approx(1.2e-6 * said.usage.completion_tokens)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_an_assistant_may_be_of_a_model_of_ones_own(client: AsyncOpenAI) -> None:
    job = await client.fine_tuning.jobs.create(
        model=MODEL, training_file=await upload(client, EXAMPLES)
    )
    name = (await ended(client, job.id)).fine_tuned_model or ""
    beta = client.beta
    assistant = await beta.assistants.create(model=name)
    thread = await beta.threads.create(messages=[{"role": "user", "content": "What is 6 plus 6?"}])
    run = await beta.threads.runs.create(thread.id, assistant_id=assistant.id)
    while (
        run := await beta.threads.runs.retrieve(run.id, thread_id=thread.id)
    ).status != "completed":
        assert run.status in ("queued", "in_progress"), run.last_error
    assert run.model == name
    (said, _) = (await beta.threads.messages.list(thread.id)).data
    assert said.content[0].text.value == "It is 12."  # type: ignore[union-attr]  # a text
