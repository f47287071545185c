"""Webhooks without a network: what is announced, signed, tried again and given up."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import openai
import pytest
from openai import OpenAI

from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.config import Config
from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.services.catalogue import Catalogue
from fakeai_proxy.services.delivery import deliver
from fakeai_proxy.services.job import Answered, Asked, Work
from fakeai_proxy.services.webhooks import NOBODY, Webhooks, WebhookSettings
from fakeai_proxy.store import Key, Row, Store, open_store
from tests.conftest import Serve
from tests.services.fine_tuning_asking import asking
from tests.services.webhook_receiver import receiving

SECRET = "whsec_" + "c2VjcmV0IG9mIGEgdGVzdA=="
URL = "http://app.invalid/hooks"


def webhooks(**settings: Any) -> Webhooks:
    return Webhooks(WebhookSettings(webhook=(URL,), **settings))


class Table:
    """A store, and deliveries whose receiver answers with `status`."""

    def __init__(self) -> None:
        self.clock = VirtualClock(autojump=False)
        self.store: Store = open_store(None, self.clock)
        self.status = 500
        self.heard: list[tuple[Mapping[str, str], bytes]] = []
        self.hooks = webhooks()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        assert url == URL
        self.heard.append((headers, body))
        return self.status

    async def attempt(self) -> Row | None:
        """Does what is due; the row as it is then."""
        (row,) = await self.store.claim("webhook", "me", self.clock.wall() + 10)
        await deliver(
            Work(
                row, "me", self.store, self.clock, Dice(), Catalogue.shipped(Config(), None),
                "hashed", 1.0, _asks_nobody, webhooks=self.hooks, post=self.post,
            )
        )  # fmt: skip
        return await self.store.get(row.key)


async def _asks_nobody(asked: Asked) -> Answered:
    raise AssertionError(asked)


@pytest.fixture
async def table() -> AsyncIterator[Table]:
    made = Table()
    yield made
    await made.store.close()


async def test_what_nobody_takes_is_given_up_after_three_days(table: Table) -> None:
    now = table.clock.wall()
    await table.store.commit(*table.hooks.announce(Dice(), "p", "batch.failed", "batch_1", now))
    waits = []
    while (row := await table.attempt()) is not None:
        assert row.due_at is not None
        waits.append(row.due_at - table.clock.wall())
        table.clock.advance(waits[-1])
    assert waits[:4] == [5, 10, 20, 40]
    assert max(waits) == 4 * 3600
    assert 72 * 3600 < table.clock.now() < 80 * 3600
    assert len({body for _, body in table.heard}) == 1
    assert len({headers["webhook-id"] for headers, _ in table.heard}) == 1
    assert len({headers["webhook-timestamp"] for headers, _ in table.heard}) == len(table.heard)


async def test_what_is_taken_is_gone(table: Table) -> None:
    table.status = 202
    now = table.clock.wall()
    await table.store.commit(*table.hooks.announce(Dice(), "p", "batch.failed", "batch_1", now))
    assert await table.attempt() is None
    assert await table.store.count("webhook", None) == 0


def test_an_end_has_one_event_however_often_it_is_announced() -> None:
    one, again = [
        webhooks().announce(Dice(), "p", "response.completed", "resp_1", now) for now in (1.0, 2.0)
    ]
    (other,) = webhooks().announce(Dice(), "p", "response.completed", "resp_2", 1.0)
    assert [one[0].row.key] == [again[0].row.key] != [other.row.key]
    assert NOBODY.announce(Dice(), "p", "response.completed", "resp_1", 1.0) == ()


def test_several_receivers_are_told_of_one_event() -> None:
    hooks = Webhooks(WebhookSettings(webhook=("http://a.invalid", "http://b.invalid")))
    one, other = hooks.announce(Dice(), "p", "eval.run.failed", "evalrun_1", 1.0)
    assert one.row.document["event"] == other.row.document["event"]
    assert one.row.key != other.row.key
    assert one.row.key == Key("webhook", one.row.document["event"]["id"] + ".0", "p")


def test_a_signature_is_of_this_body_at_this_time() -> None:
    hooks = webhooks(webhook_secret=SECRET)
    client = OpenAI(api_key="k")

    def verified(headers: Mapping[str, str], body: bytes) -> bool:
        try:
            client.webhooks.verify_signature(body, headers, secret=SECRET, tolerance=10**10)
        except openai.InvalidWebhookSignatureError:
            return False
        return True

    headers = hooks.headers("evt_1", b"{}", 1_750_000_000.0)
    assert verified(headers, b"{}")
    assert not verified(headers, b"{ }")
    assert not verified({**headers, "webhook-timestamp": "1750000001"}, b"{}")
    assert not verified({**headers, "webhook-id": "evt_2"}, b"{}")


@pytest.mark.parametrize("secret", ["c2VjcmV0", "whsec_", "whsec_%%%", "whsec_abc"])
def test_a_secret_that_signs_nothing_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(ConfigError, match="webhook-secret: ") as caught:
        Config.load(flags={"webhook_secret": secret})
    assert secret.removeprefix("whsec_")[:3] not in str(caught.value) or secret == "whsec_"


def test_a_secret_is_never_shown() -> None:
    config = Config.load(flags={"webhook": (URL,), "webhook_secret": SECRET})
    assert SECRET not in repr(config)
    assert SECRET not in config.model_dump_json()


@pytest.mark.parametrize("url", ["app.example/hooks", "ftp://a", "http://"])
def test_a_receiver_is_a_url(url: str) -> None:
    with pytest.raises(ConfigError, match="--webhook: must be a URL"):
        Config.load(flags={"webhook": (url,)})


def test_rows_are_due_at_once() -> None:
    (insert,) = webhooks().announce(Dice(), "p", "batch.completed", "batch_1", 12.5)
    assert (insert.row.due_at, insert.row.created_at) == (12.5, 12.5)
    assert insert.row.document["event"]["data"] == {"id": "batch_1"}


@pytest.mark.parametrize(("body", "kind"), [({"input": "a"}, "completed"), ({}, "failed")])
async def test_the_end_of_a_batch_is_told(serve: Serve, body: dict[str, Any], kind: str) -> None:
    async with receiving() as receiver:
        app = await serve(mode="synth", webhook=(receiver.url,), webhook_secret=SECRET)
        async with asking(app) as client:
            line = {
                "custom_id": "1", "method": "POST", "url": "/v1/embeddings",
                "body": {"model": "text-embedding-3-small", **body} if body else body,
            }  # fmt: skip
            content = json.dumps(line).encode()
            file = await client.files.create(file=("a.jsonl", content), purpose="batch")
            batch = await client.batches.create(
                input_file_id=file.id, endpoint="/v1/embeddings", completion_window="24h"
            )
            while not receiver.heard:
                await client.models.retrieve("gpt-4o")
            ((headers, text),) = receiver.heard
            event: Any = client.webhooks.unwrap(text, headers, secret=SECRET)
            assert (event.type, event.data.id) == (f"batch.{kind}", batch.id)
            assert (await client.batches.retrieve(batch.id)).status == kind


async def test_the_ends_of_background_responses_are_told_once(serve: Serve) -> None:
    async with receiving() as receiver:
        app = await serve(VirtualClock(), mode="synth", webhook=(receiver.url,))
        async with asking(app) as client:
            done = await client.responses.create(model="gpt-4o", input="Hi", background=True)
            short = await client.responses.create(
                model="gpt-4o", input="Tell me about lighthouses", background=True,
                max_output_tokens=16,
            )  # fmt: skip
            stream = await client.responses.create(
                model="gpt-4o", input="Hello", background=True, stream=True
            )
            streamed = [event async for event in stream][-1]
            await client.responses.create(model="gpt-4o", input="Hi")  # which nobody waits for
            while len(receiver.heard) < 3:
                await client.models.retrieve("gpt-4o")
            events = [json.loads(text) for _, text in receiver.heard]
            assert {event["data"]["id"]: event["type"] for event in events} == {
                done.id: "response.completed", short.id: "response.incomplete",
                streamed.response.id: "response.completed",  # type: ignore[union-attr]  # the last one
            }  # fmt: skip
    async with receiving() as receiver:
        app = await serve(VirtualClock(autojump=False), mode="synth", webhook=(receiver.url,))
        async with asking(app) as client:
            made = await client.responses.create(model="gpt-4o", input="Hi", background=True)
            for _ in range(2):
                assert (await client.responses.cancel(made.id)).status == "cancelled"
            while not receiver.heard:
                await client.models.retrieve("gpt-4o")
            ((_, text),) = receiver.heard
            event = json.loads(text)
            assert (event["type"], event["data"]["id"]) == ("response.cancelled", made.id)
