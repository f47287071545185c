"""Messages with what is behind them and in front of them: a fleet's cache, limits, faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import AsyncAnthropic
from anthropic.types import Message

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from tests.conftest import Serve
from tests.doubles.fleets import toml
from tests.services.asking import count
from tests.services.messages_asking import (
    ASK,
    RAIN,
    USUAL,
    WEATHER,
    input_tokens,
    only_known_fields,
    sdk_at,
    text_of,
)

CACHED = {"type": "ephemeral"}
LONG = "Lighthouse keepers kept the light through every night of the winter. " * 200


def asked(control: dict[str, Any] | None, question: str) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "text", "text": LONG}
    if control is not None:
        block["cache_control"] = control
    return {
        "model": USUAL, "max_tokens": 5, "system": [block],
        "messages": [{"role": "user", "content": question}],
    }  # fmt: skip


async def streamed(client: AsyncAnthropic, **body: Any) -> tuple[Message, Any]:
    """The whole, and the usage with which it began."""
    begun: Any = None
    async with client.messages.stream(**body) as stream:
        async for event in stream:
            only_known_fields(event)
            if event.type == "message_start":
                begun = event.message.usage.model_copy()
        return await stream.get_final_message(), begun


async def test_usage_tells_what_the_engine_found_in_its_cache(serve: Serve, tmp_path: Path) -> None:
    profile = toml(tmp_path, serves='["*"]')
    app = await serve(clock=VirtualClock(), mode="synth", profile=profile)
    async with sdk_at(app) as client:
        first = await client.messages.create(**asked(CACHED, "Why?"))
        second = await client.messages.create(**asked(CACHED, "How?"))
        third, begun = await streamed(client, **asked(CACHED, "When?"))
        without = await client.messages.create(**asked(None, "Where?"))
        counted = await client.messages.count_tokens(
            model=USUAL, system=LONG, messages=[{"role": "user", "content": "When?"}]
        )
    prefix = first.usage.cache_creation_input_tokens
    assert prefix is not None
    assert prefix > count(LONG)
    assert first.usage.cache_read_input_tokens == 0
    for later in (second, third):
        read = later.usage.cache_read_input_tokens
        assert read is not None
        assert prefix - 16 <= read <= prefix
        assert later.usage.cache_creation_input_tokens == prefix - read
        assert later.usage.input_tokens == first.usage.input_tokens
        assert input_tokens(later) == counted.input_tokens
        created = later.usage.cache_creation
        assert created is not None
        assert created.ephemeral_5m_input_tokens == prefix - read
    assert begun.cache_read_input_tokens == third.usage.cache_read_input_tokens
    assert without.usage.cache_read_input_tokens == 0
    assert without.usage.input_tokens == input_tokens(without) == input_tokens(first)


async def test_what_is_kept_for_an_hour_is_told_apart_and_short_prefixes_are_not_kept(
    app: App,
) -> None:
    async with sdk_at(app) as client:
        hour = await client.messages.create(**asked({**CACHED, "ttl": "1h"}, "Why?"))
        short = await client.messages.create(
            model=USUAL, max_tokens=5, messages=ASK, cache_control={"type": "ephemeral"}
        )
        automatic = await client.messages.create(
            **asked(None, "Why?"), cache_control={"type": "ephemeral"}
        )
    assert hour.usage.cache_creation is not None
    assert hour.usage.cache_creation.ephemeral_1h_input_tokens > count(LONG)
    assert hour.usage.cache_creation.ephemeral_5m_input_tokens == 0
    assert short.usage.cache_creation_input_tokens == 0
    assert short.usage.input_tokens == input_tokens(short)
    created = automatic.usage.cache_creation_input_tokens
    assert created == input_tokens(automatic) == input_tokens(hour)


async def test_a_fleet_paces_a_stream_token_by_token(serve: Serve, tmp_path: Path) -> None:
    clock = VirtualClock()
    app = await serve(clock=clock, mode="synth", profile=toml(tmp_path, serves='["*"]'))
    instants = []
    async with sdk_at(app) as client:
        stream = await client.messages.create(
            model=USUAL, max_tokens=20, messages=ASK, stream=True, timeout=60
        )
        async for event in stream:
            if event.type == "content_block_delta":
                instants.append(clock.now())
    assert len(instants) == 20
    assert len(set(instants)) > 10


async def test_the_vendors_limits_count_its_tokens_and_refuse_in_its_words(serve: Serve) -> None:
    app = await serve(clock=VirtualClock(), mode="synth", limits=("anthropic:1",))

    def left(amount: str) -> object:
        return next(row["remaining"] for row in app.limiter.status() if row["amount"] == amount)

    async with sdk_at(app) as client:
        answer = await client.messages.with_raw_response.create(
            model=USUAL, max_tokens=100, messages=ASK
        )
        message = await answer.parse()
        assert answer.headers["anthropic-ratelimit-requests-limit"] == "50"
        assert answer.headers["anthropic-ratelimit-requests-remaining"] == "49"
        assert answer.headers["anthropic-ratelimit-output-tokens-limit"] == "8000"
        assert left("itpm") == 30_000 - message.usage.input_tokens
        assert left("otpm") == 8_000 - message.usage.output_tokens
        huge: list[Any] = [{"role": "user", "content": "word " * 30_000}]
        with pytest.raises(anthropic.RateLimitError) as caught:
            await client.messages.create(model=USUAL, max_tokens=100, messages=huge)
        counted = await client.messages.count_tokens(model=USUAL, messages=huge)
    assert caught.value.type == "rate_limit_error"
    assert "30,000 input tokens per minute" in str(caught.value.api_message)
    assert counted.input_tokens > 30_000, "counting is free"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("error_event:kind=overloaded,after=3", "overloaded_error"),
     ("error_event:kind=server_error,after=3", "api_error")],
)  # fmt: skip
async def test_an_error_in_the_middle_of_a_stream_is_an_event_of_the_vendors(
    serve: Serve, fault: str, kind: str
) -> None:
    app = await serve(mode="synth", fault=(fault,))
    async with sdk_at(app) as client:
        with pytest.raises(anthropic.APIStatusError) as caught:
            await streamed(client, model=USUAL, max_tokens=50, messages=ASK)
    body: Any = caught.value.body
    assert body["error"]["type"] == kind


async def test_faults_of_content_keep_the_shape_of_messages(serve: Serve) -> None:
    app = await serve(mode="synth", fault=("finish:reason=length",))
    async with sdk_at(app) as client:
        body: dict[str, Any] = {"model": USUAL, "max_tokens": 200, "messages": ASK}
        whole = await client.messages.create(**body)
        assert whole.stop_reason == "max_tokens"
        joined, _ = await streamed(client, **body)
        assert joined.stop_reason == "max_tokens"
        assert text_of(joined) == text_of(whole)
    app = await serve(mode="synth", fault=("refusal",))
    async with sdk_at(app) as client:
        called = await client.messages.create(
            model=USUAL, max_tokens=200, messages=RAIN, tools=[WEATHER]
        )
        only_known_fields(called)
        assert "can't help" in text_of(called)
