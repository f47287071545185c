"""Batches of messages under the official SDK, on a virtual clock."""

from __future__ import annotations

from collections import Counter
from typing import Any

import anthropic
import httpx
import pytest
from anthropic import AsyncAnthropic

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.services.bulk.desk import AT_ONCE
from fakeai_proxy.services.messages.batches import STARTS_S
from tests.conftest import Ended, Serve
from tests.services.messages_asking import ASK, USUAL, input_tokens, only_known_fields, sdk_at

Clocked = tuple[App, VirtualClock]
GOOD: Any = {"model": USUAL, "max_tokens": 60, "messages": ASK}


def lines(*params: Any) -> list[Any]:
    return [{"custom_id": f"line-{k}", "params": one} for k, one in enumerate(params)]


@pytest.fixture
async def clocked(serve: Serve) -> Clocked:
    clock = VirtualClock(autojump=False)
    return await serve(clock, mode="synth"), clock


async def ended(client: AsyncAnthropic, clock: VirtualClock, *params: Any) -> Any:
    made = await client.messages.batches.create(requests=lines(*params))
    return await end_of(client, clock, made.id)


async def end_of(client: AsyncAnthropic, clock: VirtualClock, batch_id: str) -> Any:
    clock.advance(STARTS_S + 1)
    while (found := await client.messages.batches.retrieve(batch_id)).processing_status != "ended":
        clock.advance(0.1)
    return found


async def test_a_batch_is_answered_line_by_line(clocked: Clocked) -> None:
    app, clock = clocked
    async with sdk_at(app) as client:
        made = await client.messages.batches.create(requests=lines(GOOD, GOOD))
        only_known_fields(made)
        assert (made.processing_status, made.request_counts.processing) == ("in_progress", 2)
        assert (made.results_url, made.ended_at) == (None, None)
        done = await end_of(client, clock, made.id)
        only_known_fields(done)
        assert (done.processing_status, done.request_counts.succeeded) == ("ended", 2)
        found = [line async for line in await client.messages.batches.results(made.id)]
        alone = await client.messages.create(**GOOD)
        counted = await client.messages.count_tokens(model=USUAL, messages=ASK)
    assert [line.custom_id for line in found] == ["line-0", "line-1"]
    ids = set()
    for line in found:
        assert line.result.type == "succeeded"
        message = line.result.message
        only_known_fields(message)
        assert message.content == alone.content
        assert message.usage.service_tier == "batch"
        assert message.usage.output_tokens == alone.usage.output_tokens
        assert input_tokens(message) == counted.input_tokens
        ids.add(message.id)
    assert len(ids) == 2


async def test_what_is_wrong_with_a_line_is_its_result(clocked: Clocked) -> None:
    app, clock = clocked
    wrong = [
        ({**GOOD, "model": "claude-none"}, "not_found_error", "model: claude-none"),
        ({**GOOD, "messages": []}, "invalid_request_error",
         "messages: at least one message is required"),
        ({**GOOD, "max_tokens": 0}, "invalid_request_error", "max_tokens: "),
        ({**GOOD, "stream": True}, "invalid_request_error", "stream: "),
        ({"model": USUAL}, "invalid_request_error", "messages: Field required"),
    ]  # fmt: skip
    async with sdk_at(app) as client:
        done = await ended(client, clock, GOOD, *[params for params, _, _ in wrong])
        assert (done.request_counts.succeeded, done.request_counts.errored) == (1, len(wrong))
        found: list[Any] = [line async for line in await client.messages.batches.results(done.id)]
    assert found[0].result.type == "succeeded"
    for line, (_, kind, message) in zip(found[1:], wrong, strict=True):
        assert line.result.type == "errored"
        assert line.result.error.error.type == kind
        assert line.result.error.error.message.startswith(message)


async def test_a_cancelled_batch_keeps_what_was_answered(serve: Serve) -> None:
    clock, seen = VirtualClock(autojump=False), Ended()
    app = await serve(clock, seen, mode="synth", profile="anthropic")
    count = 3 * AT_ONCE
    async with sdk_at(app) as client:
        made = await client.messages.batches.create(requests=lines(*[GOOD] * count))
        while not any(exchange.tier for exchange in seen.exchanges):
            clock.advance(0.1)
            await client.messages.batches.retrieve(made.id)
        going = await client.messages.batches.cancel(made.id)
        again = await client.messages.batches.cancel(made.id)
        assert (going.processing_status, again.cancel_initiated_at) == (
            "canceling", going.cancel_initiated_at,
        )  # fmt: skip
        done = await end_of(client, clock, made.id)
        kinds = [line.result.type async for line in await client.messages.batches.results(made.id)]
        with pytest.raises(anthropic.BadRequestError, match="already ended"):
            await client.messages.batches.cancel(made.id)
    answered = done.request_counts.succeeded
    assert 0 < answered < count
    assert done.request_counts.canceled == count - answered
    assert Counter(kinds) == {"succeeded": answered, "canceled": count - answered}


async def test_batches_are_listed_newest_first_and_deleted_when_done(
    clocked: Clocked,
) -> None:
    app, clock = clocked
    async with sdk_at(app) as client:
        made = [(await client.messages.batches.create(requests=lines(GOOD))).id for _ in range(5)]
        listed = [batch.id async for batch in client.messages.batches.list(limit=2)]
        assert listed == made[::-1]
        before = await client.messages.batches.list(before_id=made[0], limit=2)
        assert [batch.id for batch in before.data] == [made[2], made[1]]
        with pytest.raises(anthropic.BadRequestError, match="still processing"):
            await client.messages.batches.delete(made[1])
        await end_of(client, clock, made[1])
        gone = await client.messages.batches.delete(made[1])
        assert (gone.id, gone.type) == (made[1], "message_batch_deleted")
        left = [batch.id async for batch in client.messages.batches.list()]
        assert left == [name for name in made[::-1] if name != made[1]]
        for ask in (client.messages.batches.retrieve, client.messages.batches.delete,
                    client.messages.batches.cancel):  # fmt: skip
            with pytest.raises(anthropic.NotFoundError, match=made[1]):
                await ask(made[1])


async def test_results_are_had_when_the_batch_has_ended(app: App) -> None:
    async with sdk_at(app) as client:
        made = await client.messages.batches.create(requests=lines(GOOD))
    headers = {"x-api-key": "any", "anthropic-version": "2023-06-01"}
    async with httpx.AsyncClient(base_url=app.url, headers=headers) as http:
        early = await http.get(f"/v1/messages/batches/{made.id}/results")
        assert early.status_code == 404
        assert "no available results" in early.json()["error"]["message"]


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ([], "requests: List should have at least 1 item"),
        ([*lines(GOOD), *lines(GOOD)], "requests.1.custom_id: 'line-0' is not unique"),
        ([{"custom_id": "a b", "params": GOOD}], "requests.0.custom_id: "),
        ([{"custom_id": "a"}], "requests.0.params: Field required"),
        ("all", "requests: Input should be a valid list"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_what_is_no_batch_is_refused(app: App, requests: Any, message: str) -> None:
    async with sdk_at(app) as client:
        with pytest.raises(anthropic.BadRequestError) as caught:
            await client.messages.batches.create(requests=requests)
    body: Any = caught.value.body
    assert body["error"]["message"].startswith(message)
