"""The life of a fine-tuning job in time: its steps, stops, ends and deaths, who hears of it, and who
else may use what it made.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.webhooks import (
    FineTuningJobFailedWebhookEvent,
    FineTuningJobSucceededWebhookEvent,
)

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.store import Key
from tests.conftest import Serve
from tests.doubles.program import Program
from tests.servers import postgresql
from tests.services.fine_tuning_asking import EXAMPLES, MODEL, asking, ended, jsonl, upload
from tests.services.webhook_receiver import Receiver, receiving

SECRET = "whsec_" + "c2VjcmV0IG9mIGEgdGVzdA=="


class Stepped:
    """A server whose time goes on when the test says so."""

    def __init__(self, clock: VirtualClock, app: App, client: AsyncOpenAI) -> None:
        self.clock, self.app, self.client = clock, app, client

    async def status(self, job_id: str) -> str:
        return str((await self.client.fine_tuning.jobs.retrieve(job_id)).status)

    async def until(self, job_id: str, *statuses: str) -> Any:
        """Goes on by half seconds until the job is in one of these."""
        for _ in range(400):
            job = await self.client.fine_tuning.jobs.retrieve(job_id)
            if job.status in statuses:
                return job
            self.clock.advance(0.5)
            for _ in range(3):  # whatever is due is done meanwhile
                await self.client.fine_tuning.jobs.retrieve(job_id)
        raise AssertionError(f"still {job.status}")


@pytest.fixture
async def stepped(serve: Serve) -> AsyncIterator[Stepped]:
    clock = VirtualClock(autojump=False)
    app = await serve(clock, mode="synth", profile="quick")
    async with asking(app, strict=False) as client:  # which does not know that jobs are paused
        yield Stepped(clock, app, client)


async def test_a_job_takes_its_time(stepped: Stepped) -> None:
    jobs = stepped.client.fine_tuning.jobs
    file = await upload(stepped.client, EXAMPLES)
    job = await jobs.create(model=MODEL, training_file=file)
    assert (await stepped.until(job.id, "queued")).estimated_finish is None
    running = await stepped.until(job.id, "running")
    assert running.estimated_finish is not None
    events = (await jobs.list_events(job.id, limit=200)).data
    done = await stepped.until(job.id, "succeeded")
    assert done.finished_at is not None
    assert done.finished_at - done.created_at in range(33, 50)
    assert abs(done.finished_at - running.estimated_finish) < 10
    later = (await jobs.list_events(job.id, limit=200)).data
    assert [one.id for one in later][-len(events) :] == [one.id for one in events]
    instants = [one.created_at for one in later]
    assert instants == sorted(instants, reverse=True)
    assert len(set(instants)) > 10


async def test_a_job_is_paused_and_goes_on_where_it_was(stepped: Stepped) -> None:
    jobs = stepped.client.fine_tuning.jobs
    file = await upload(stepped.client, EXAMPLES)
    job = await jobs.create(model=MODEL, training_file=file, hyperparameters={"n_epochs": 4})
    await stepped.until(job.id, "running")
    while not (await jobs.checkpoints.list(job.id)).data:
        stepped.clock.advance(0.5)
    paused = await jobs.pause(job.id)
    assert str(paused.status) == "paused"
    with pytest.raises(openai.BadRequestError, match="Only a running"):
        await jobs.pause(job.id)
    stepped.clock.advance(3600)
    before = (await jobs.list_events(job.id, limit=200)).data
    assert await stepped.status(job.id) == "paused"
    await jobs.resume(job.id)
    with pytest.raises(openai.BadRequestError, match="Only a paused"):
        await jobs.resume(job.id)
    await stepped.until(job.id, "succeeded")
    events = (await jobs.list_events(job.id, limit=200)).data
    assert len(events) > len(before)
    steps = [one.data["step"] for one in reversed(events) if one.type == "metrics"]  # type: ignore[index]  # a dict
    assert steps == list(range(1, 49))
    assert [one.step_number for one in (await jobs.checkpoints.list(job.id)).data] == [
        48,
        36,
        24,
        12,
    ]
    assert [one.message for one in events].count("Fine-tuning job started") == 1


@pytest.mark.parametrize("status", ["queued", "running", "paused"])
async def test_a_cancelled_job_stays_cancelled(stepped: Stepped, status: str) -> None:
    jobs = stepped.client.fine_tuning.jobs
    job = await jobs.create(model=MODEL, training_file=await upload(stepped.client, EXAMPLES))
    await stepped.until(job.id, "running" if status == "paused" else status)
    if status == "paused":
        await jobs.pause(job.id)
    cancelled = await jobs.cancel(job.id)
    assert cancelled.status == "cancelled"
    assert cancelled.finished_at is not None
    stepped.clock.advance(3600)
    assert await stepped.status(job.id) == "cancelled"
    assert (await jobs.list_events(job.id)).data[0].message == "Fine-tuning job cancelled"
    for refused in (jobs.cancel(job.id), jobs.pause(job.id), jobs.resume(job.id)):
        with pytest.raises(openai.BadRequestError):
            await refused


# --- who hears of it --------------------------------------------------------------------------------


async def heard(client: AsyncOpenAI, receiver: Receiver, count: int) -> list[Any]:
    """The events, once there are so many, as the vendor's SDK takes them."""
    while len(receiver.heard) < count:
        await client.models.retrieve("gpt-4o")
    return [
        client.webhooks.unwrap(text, headers, secret=SECRET) for headers, text in receiver.heard
    ]


async def test_the_end_of_a_job_is_told_signed_to_everybody(serve: Serve) -> None:
    async with receiving() as one, receiving() as other:
        app = await serve(mode="synth", webhook=(one.url, other.url), webhook_secret=SECRET)
        async with asking(app) as client:
            jobs = client.fine_tuning.jobs
            good, bad = await upload(client, EXAMPLES), await upload(client, EXAMPLES[:2])
            done = await ended(client, (await jobs.create(model=MODEL, training_file=good)).id)
            failed = await ended(client, (await jobs.create(model=MODEL, training_file=bad)).id)
            events = await heard(client, one, 2)
            assert {type(event) for event in events} == {
                FineTuningJobSucceededWebhookEvent, FineTuningJobFailedWebhookEvent,
            }  # fmt: skip
            assert {event.data.id for event in events} == {done.id, failed.id}
            headers, text = one.heard[0]
            assert headers["webhook-id"] == events[0].id
            with pytest.raises(openai.InvalidWebhookSignatureError):
                client.webhooks.unwrap(text + " ", headers, secret=SECRET)
            again = await heard(client, other, 2)
            assert {event.id for event in again} == {event.id for event in events}


async def test_a_cancellation_is_told_too(serve: Serve) -> None:
    async with receiving() as receiver:
        app = await serve(
            mode="synth", profile="quick", webhook=(receiver.url,), webhook_secret=SECRET
        )
        async with asking(app) as client:
            file = await upload(client, EXAMPLES)
            job = await client.fine_tuning.jobs.create(model=MODEL, training_file=file)
            await client.fine_tuning.jobs.cancel(job.id)
            (event,) = await heard(client, receiver, 1)
            assert (event.type, event.data.id) == ("fine_tuning.job.cancelled", job.id)


async def test_a_receiver_that_refuses_is_told_again_later(serve: Serve) -> None:
    clock = VirtualClock()
    async with receiving() as receiver:
        receiver.refusals = [500, 302, 429]
        app = await serve(clock, mode="synth", webhook=(receiver.url,))
        async with asking(app) as client:
            job = await client.fine_tuning.jobs.create(
                model=MODEL, training_file=await upload(client, EXAMPLES[:2])
            )
            while not receiver.heard:
                await client.models.retrieve("gpt-4o")
            ((headers, text),) = receiver.heard
            assert json.loads(text)["data"]["id"] == job.id
            assert "webhook-signature" not in headers
            waited_s = int(headers["webhook-timestamp"]) - json.loads(text)["created_at"]
            assert waited_s in range(5 + 10 + 20, 40)


async def pending(app: App) -> int:
    """Webhooks that are still to be delivered."""
    assert app.store is not None
    return await app.store.count("webhook", None)


async def test_nothing_is_kept_where_nobody_wants_to_know(serve: Serve) -> None:
    app = await serve(VirtualClock(), mode="synth")
    async with asking(app) as client:
        file = await upload(client, EXAMPLES[:2])
        await ended(
            client, (await client.fine_tuning.jobs.create(model=MODEL, training_file=file)).id
        )
        assert await pending(app) == 0


# --- who may use it ---------------------------------------------------------------------------------


async def test_a_checkpoint_is_shared_with_other_projects(serve: Serve) -> None:
    app = await serve(VirtualClock(), mode="synth")
    async with asking(app) as client:
        permissions = client.fine_tuning.checkpoints.permissions
        file = await upload(client, EXAMPLES)
        job = await ended(
            client, (await client.fine_tuning.jobs.create(model=MODEL, training_file=file)).id
        )
        name = job.fine_tuned_model or ""
        made = [one async for one in permissions.create(name, project_ids=["proj_a", "proj_b"])]
        assert [one.project_id for one in made] == ["proj_a", "proj_b"]
        assert app.store is not None
        shared = await app.store.get(Key("model", name, "proj_a"))
        assert shared is not None
        with pytest.raises(openai.BadRequestError, match="already has access"):
            await anext(aiter(permissions.create(name, project_ids=["proj_a"])))
        listed = [one.id async for one in permissions.list(name, limit=1, order="ascending")]
        assert listed == [one.id for one in made]
        only = [one.id async for one in permissions.list(name, project_id="proj_b")]
        assert only == [made[1].id]
        gone = await permissions.delete(made[0].id, fine_tuned_model_checkpoint=name)
        assert (gone.id, gone.deleted) == (made[0].id, True)
        assert await app.store.get(shared.key) is None
        with pytest.raises(openai.NotFoundError):
            await permissions.delete(made[0].id, fine_tuned_model_checkpoint=name)
        with pytest.raises(openai.NotFoundError):
            await anext(aiter(permissions.create("ft:none", project_ids=["proj_a"])))
        await client.models.delete(name)
        assert await app.store.get(Key("model", name, "proj_b")) is None


# --- death ------------------------------------------------------------------------------------------


@contextmanager
def started(data: Path) -> Iterator[tuple[Program, OpenAI]]:
    program = Program(data, "--mode", "synth", "--speed", "8")
    try:
        with OpenAI(base_url=program.base_url, api_key="k", max_retries=0, timeout=60) as client:
            yield program, client
    finally:
        program.stop()


def test_a_job_outlives_the_program(tmp_path: Path) -> None:
    with started(tmp_path) as (program, client):
        file = client.files.create(file=("a.jsonl", jsonl(EXAMPLES)), purpose="fine-tune")
        job = client.fine_tuning.jobs.create(model=MODEL, training_file=file.id)
        while client.fine_tuning.jobs.retrieve(job.id).status != "running":
            pass
        program.kill()
    with started(tmp_path) as (_, client):
        while (done := client.fine_tuning.jobs.retrieve(job.id)).status != "succeeded":
            assert done.status in ("queued", "running")
        events = list(client.fine_tuning.jobs.list_events(job.id, limit=200))
        steps = [one.data["step"] for one in reversed(events) if one.type == "metrics"]  # type: ignore[index]  # a dict
        assert steps == list(range(1, 97))
        assert len(done.result_files) == 1
    with started(tmp_path) as (_, client):
        assert done.fine_tuned_model in [one.id for one in client.models.list()]
        said = client.chat.completions.create(
            model=done.fine_tuned_model or "",
            messages=[{"role": "user", "content": "What is 5 plus 5?"}],
        )
        assert said.choices[0].message.content == "It is 10."


@pytest.mark.skipif(not postgresql.is_installed(), reason=postgresql.MISSING)
async def test_replicas_share_jobs_and_what_they_made(serve: Serve) -> None:
    with postgresql.running("tuning") as server:
        apps = [await serve(mode="synth", store=server.address()) for _ in range(2)]
        async with asking(apps[0]) as one, asking(apps[1]) as other:
            file = await upload(one, EXAMPLES)
            job = await one.fine_tuning.jobs.create(model=MODEL, training_file=file)
            done = await ended(other, job.id)
            name = done.fine_tuned_model or ""
            for client in (one, other):
                assert name in [model.id async for model in client.models.list()]
                said = await client.chat.completions.create(
                    model=name, messages=[{"role": "user", "content": "What is 5 plus 5?"}]
                )
                assert said.choices[0].message.content == "It is 10."
            events = [event async for event in other.fine_tuning.jobs.list_events(job.id)]
            steps = [event.data["step"] for event in reversed(events) if event.type == "metrics"]  # type: ignore[index]  # a dict
            assert steps == list(range(1, 97))
            await other.models.delete(name)
            with pytest.raises(openai.NotFoundError):
                await one.models.retrieve(name)
        for app in apps:
            await app.close()
