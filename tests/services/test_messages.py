"""Messages under the official SDK: whole answers, streams, thinking, structured output."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest
from anthropic import AsyncAnthropic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from fakeai_proxy.app import App
from tests.services.asking import count
from tests.services.messages_asking import (
    ASK,
    MAIL,
    NEWEST,
    OLDER,
    RAIN,
    USUAL,
    WEATHER,
    conversation,
    input_tokens,
    only_known_fields,
    png,
    sdk_at,
    text_of,
)
from tests.services.threaded import threaded_app


async def test_a_message_has_every_field_and_a_true_count(app: App) -> None:
    async with sdk_at(app) as client:
        answer = await client.messages.create(model=USUAL, max_tokens=1000, messages=ASK)
    only_known_fields(answer)
    assert answer.id.startswith("msg_01")
    assert (answer.type, answer.role, answer.model) == ("message", "assistant", USUAL)
    assert (answer.stop_reason, answer.stop_sequence) == ("end_turn", None)
    assert "lighthouse keepers" in text_of(answer)
    assert answer.usage.output_tokens == count(text_of(answer))
    assert answer.usage.service_tier == "standard"
    assert answer._request_id is not None
    assert answer._request_id.startswith("req_")


async def test_every_event_of_a_stream_is_of_its_shape_and_in_its_order(app: App) -> None:
    async with sdk_at(app) as client:
        stream = await client.messages.create(
            model=USUAL, max_tokens=2000, messages=RAIN, tools=[WEATHER], stream=True,
            thinking={"type": "adaptive"},
        )  # fmt: skip
        events = [event async for event in stream]
    for event in events:
        only_known_fields(event)
    kinds = [event.type for event in events]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    opened: list[int] = []
    for event in events[1:-2]:
        if event.type == "content_block_start":
            assert event.index == len(opened)
            opened.append(event.index)
        else:
            assert event.type in ("content_block_delta", "content_block_stop")
            assert event.index == opened[-1]
    blocks = [event.content_block.type for event in events if event.type == "content_block_start"]
    assert blocks == ["thinking", "text", "tool_use"]
    deltas = {event.delta.type for event in events if event.type == "content_block_delta"}
    assert deltas == {"thinking_delta", "signature_delta", "text_delta", "input_json_delta"}


async def test_a_ping_follows_the_first_start_of_a_block(app: App) -> None:
    async with sdk_at(app) as client:
        raw = await client.messages.with_raw_response.create(
            model=USUAL, max_tokens=5, messages=ASK, stream=True
        )
        assert raw.headers["content-type"].startswith("text/event-stream")
        text = (await raw.http_response.aread()).decode()
    names = [line[7:] for line in text.splitlines() if line.startswith("event: ")]
    assert names[:3] == ["message_start", "content_block_start", "ping"]
    assert names.count("ping") == 1
    assert 'event: ping\ndata: {"type":"ping"}\n\n' in text


def _asked() -> st.SearchStrategy[dict[str, Any]]:
    words = st.sampled_from(["", "ends", "lighthouse", "the", "é", "\n"])
    return st.fixed_dictionaries(
        {
            "model": st.sampled_from([OLDER, USUAL, NEWEST, "claude-haiku-5-5"]),
            "max_tokens": st.integers(1, 600),
            "messages": st.sampled_from([ASK, RAIN]),
        },
        optional={
            "stop_sequences": st.lists(words.filter(str.strip), max_size=2),
            "tools": st.lists(st.sampled_from([WEATHER, MAIL]), max_size=2, unique_by=str),
            "system": st.text(max_size=20).filter(bool),
        },
    )


async def test_the_stream_joins_to_the_whole_and_its_usage_is_what_was_counted(app: App) -> None:
    async with sdk_at(app) as client:

        @settings(
            max_examples=25, deadline=None, derandomize=True,
            suppress_health_check=[HealthCheck.too_slow],
        )  # fmt: skip
        @given(asked=_asked())
        def check(asked: dict[str, Any]) -> None:
            cases.append(asked)

        cases: list[dict[str, Any]] = []
        check()
        for asked in cases:
            await _one_answer(client, asked)


async def _one_answer(client: AsyncAnthropic, asked: dict[str, Any]) -> None:
    whole = await client.messages.create(**asked)
    async with client.messages.stream(**asked) as stream:
        streamed = await stream.get_final_message()
    said = [block.model_dump(exclude={"id", "parsed_output"}) for block in streamed.content]
    assert said == [block.model_dump(exclude={"id"}) for block in whole.content]
    assert streamed.stop_reason == whole.stop_reason
    assert streamed.stop_sequence == whole.stop_sequence
    assert streamed.usage.output_tokens == whole.usage.output_tokens <= asked["max_tokens"]
    tokens = await client.messages.count_tokens(
        **{name: asked[name] for name in asked if name not in ("max_tokens", "stop_sequences")}
    )
    assert tokens.input_tokens == input_tokens(whole) == input_tokens(streamed)
    details = whole.usage.output_tokens_details
    assert details is not None
    if whole.stop_reason == "end_turn":
        assert whole.usage.output_tokens == details.thinking_tokens + count(text_of(whole))
    if whole.stop_reason == "max_tokens":
        assert whole.usage.output_tokens == asked["max_tokens"] or len(whole.content) > 0
    if whole.stop_reason == "stop_sequence":
        assert whole.stop_sequence in asked["stop_sequences"]
    for end in asked.get("stop_sequences", ()):
        assert end not in text_of(whole)


async def test_equal_requests_have_equal_answers_under_ids_of_their_own(app: App) -> None:
    async with sdk_at(app) as client:
        one, two = [
            await client.messages.create(model=USUAL, max_tokens=50, messages=ASK) for _ in "ab"
        ]
    assert text_of(one) == text_of(two)
    assert one.id != two.id


async def test_the_helpers_of_the_sdk_read_text_and_json_as_they_grow(app: App) -> None:
    async with sdk_at(app) as client:
        async with client.messages.stream(model=USUAL, max_tokens=300, messages=ASK) as stream:
            pieces = [piece async for piece in stream.text_stream]
            assert "".join(pieces) == await stream.get_final_text()
        assert len(pieces) > 5
        async with client.messages.stream(
            model=USUAL, max_tokens=300, messages=RAIN, tools=[WEATHER]
        ) as stream:
            grown = [event.snapshot async for event in stream if event.type == "input_json"]
            final = await stream.get_final_message()
    assert grown[-1] == {"city": "Paris", "unit": "celsius"}
    assert final.content[-1].type == "tool_use"
    assert final.content[-1].input == grown[-1]


def test_the_synchronous_client_works_too() -> None:
    with threaded_app() as url:
        client = anthropic.Anthropic(base_url=url, api_key="any", max_retries=0)
        answer = client.messages.create(model=USUAL, max_tokens=40, messages=ASK)
        with client.messages.stream(model=USUAL, max_tokens=40, messages=ASK) as stream:
            assert "".join(stream.text_stream) == text_of(answer)
        assert answer.usage.output_tokens == 40
        assert answer.stop_reason == "max_tokens"


async def test_a_thought_stays_in_its_budget_and_is_counted(app: App) -> None:
    async with sdk_at(app) as client:
        answer = await client.messages.create(
            model=OLDER, max_tokens=4000, messages=ASK,
            thinking={"type": "enabled", "budget_tokens": 1024},
        )  # fmt: skip
    thought, said = answer.content
    assert thought.type == "thinking"
    assert thought.signature
    assert said.type == "text"
    assert 0 < count(thought.thinking) <= 1024
    details = answer.usage.output_tokens_details
    assert details is not None
    assert details.thinking_tokens == count(thought.thinking)
    assert answer.usage.output_tokens == count(thought.thinking) + count(said.text)


async def test_thoughts_are_hidden_where_the_client_or_the_model_hides_them(app: App) -> None:
    async with sdk_at(app) as client:
        asked: dict[str, Any] = {"max_tokens": 2000, "messages": ASK}
        hidden = await client.messages.create(
            model=USUAL, thinking={"type": "adaptive", "display": "omitted"}, **asked
        )
        by_default = await client.messages.create(model=NEWEST, **asked)
        shown = await client.messages.create(
            model=NEWEST, thinking={"type": "adaptive", "display": "summarized"}, **asked
        )
        none = await client.messages.create(
            model="claude-opus-5", thinking={"type": "disabled"}, **asked
        )
    for answer in (hidden, by_default):
        assert answer.content[0].type == "thinking"
        assert answer.content[0].thinking == ""
        assert answer.content[0].signature
        details = answer.usage.output_tokens_details
        assert details is not None
        assert answer.usage.output_tokens == details.thinking_tokens + count(text_of(answer))
        assert details.thinking_tokens > 0
    assert shown.content[0].type == "thinking"
    assert shown.content[0].thinking
    assert [block.type for block in none.content] == ["text"]


async def test_effort_sets_the_length_of_a_thought(app: App) -> None:
    lengths = {}
    async with sdk_at(app) as client:
        for effort in ("low", "max"):
            answer = await client.messages.create(
                model=USUAL, max_tokens=20_000, messages=ASK, thinking={"type": "adaptive"},
                output_config={"effort": effort},  # type: ignore[typeddict-item]  # a loop's word
                timeout=60,
            )  # fmt: skip
            assert answer.usage.output_tokens_details is not None
            lengths[effort] = answer.usage.output_tokens_details.thinking_tokens
    assert lengths["max"] > 4 * lengths["low"]


async def test_the_documented_words_make_a_refusal_and_a_redacted_thought(app: App) -> None:
    refuse = "ANTHROPIC_MAGIC_STRING_TRIGGER_REFUSAL_1FAEFB"
    redact = "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING_46C9A1"
    async with sdk_at(app) as client:
        answer = await client.messages.create(
            model=USUAL, max_tokens=100, messages=[{"role": "user", "content": refuse}]
        )
        assert (answer.stop_reason, answer.content) == ("refusal", [])
        assert answer.stop_details is not None
        asked: dict[str, Any] = {
            "model": USUAL, "max_tokens": 2000, "thinking": {"type": "adaptive"},
            "messages": [{"role": "user", "content": redact}],
        }  # fmt: skip
        answer = await client.messages.create(**asked)
        async with client.messages.stream(**asked) as stream:
            streamed = await stream.get_final_message()
    for each in (answer, streamed):
        assert each.content[0].type == "redacted_thinking"
        assert each.content[0].data
        only_known_fields(each.content[0])


class Person(BaseModel):
    name: str
    age: int
    tags: list[str]


async def test_parse_returns_the_model(app: App) -> None:
    async with sdk_at(app) as client:
        asked: dict[str, Any] = {"model": NEWEST, "max_tokens": 3000, "messages": ASK}
        answer = await client.messages.parse(**asked, output_format=Person)
        assert isinstance(answer.parsed_output, Person)
        async with client.messages.stream(**asked, output_format=Person) as stream:
            final = await stream.get_final_message()
        assert final.parsed_output == answer.parsed_output


async def test_every_kind_of_block_is_read_and_pictures_cost_by_their_size(app: App) -> None:
    async with sdk_at(app) as client:
        answer = await client.messages.create(
            model=USUAL, max_tokens=300, messages=conversation(), tools=[WEATHER],
            system=[{"type": "text", "text": "Be brief."}], metadata={"user_id": "u"},
            service_tier="auto",
        )  # fmt: skip
        assert "no such city" in text_of(answer)

        async def cost(width: int, height: int) -> int:
            picture: Any = {"type": "image", "source": {
                "type": "base64", "media_type": "image/png", "data": png(width, height)}}  # fmt: skip
            counted = await client.messages.count_tokens(
                model=USUAL, messages=[{"role": "user", "content": [picture]}]
            )
            return counted.input_tokens

        least = await cost(1, 1)
        assert await cost(300, 200) == least + 79
        assert await cost(750, 750) == least + 749
        assert await cost(4000, 3000) == least + 1599


async def test_an_answer_that_the_client_has_begun_is_continued(app: App) -> None:
    begun: list[Any] = [*ASK, {"role": "assistant", "content": "They are"}]
    async with sdk_at(app) as client:
        answer = await client.messages.create(model=OLDER, max_tokens=30, messages=begun)
        assert text_of(answer)
        count_open = await client.messages.count_tokens(model=OLDER, messages=begun)
        count_asked = await client.messages.count_tokens(model=OLDER, messages=ASK)
    assert count_open.input_tokens == count_asked.input_tokens + count("They are")


@pytest.mark.parametrize("credential", [{"api_key": "k"}, {"auth_token": "t"}])
async def test_both_kinds_of_credentials_are_taken(app: App, credential: dict[str, str]) -> None:
    async with AsyncAnthropic(base_url=app.url, max_retries=0, **credential) as client:
        assert await client.messages.create(model=USUAL, max_tokens=5, messages=ASK)
