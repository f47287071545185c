"""The chat room's answers under the official SDK, over a real socket."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from typing import Any, Literal

import httpx
import orjson
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from fakeai_proxy.app import App
from tests.conftest import Serve
from tests.services.asking import ASK, count, question, refused
from tests.services.media import document, picture
from tests.services.threaded import threaded_app


async def test_an_answer_has_every_field_and_a_true_count(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="gpt-4o", messages=ASK)
    choice = answer.choices[0]
    assert answer.id.startswith("chatcmpl-")
    assert answer.model == "gpt-4o"
    assert answer.system_fingerprint is not None
    assert answer.system_fingerprint.startswith("fp_")
    assert choice.finish_reason == "stop"
    assert choice.logprobs is None
    assert choice.message.refusal is None
    assert "lighthouse keepers" in str(choice.message.content)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 3 + 1 + count(ASK[0]["content"]) + 3
    assert answer.usage.completion_tokens == count(choice.message.content or "")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


async def test_a_stream_says_what_its_usage_counts(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="gpt-4o", messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    first, *middle, finish, usage = chunks
    assert (
        len({(chunk.id, chunk.created, chunk.model, chunk.system_fingerprint) for chunk in chunks})
        == 1
    )
    assert first.choices[0].delta.role == "assistant"
    assert first.choices[0].delta.content == ""
    assert all(chunk.usage is None and "usage" in chunk.model_fields_set for chunk in chunks[:-1])
    pieces = [chunk.choices[0].delta.content or "" for chunk in middle]
    assert finish.choices[0].finish_reason == "stop"
    assert usage.choices == []
    assert usage.usage is not None
    assert usage.usage.completion_tokens == len(pieces) == count("".join(pieces))


async def test_continuous_usage_counts_the_tokens_of_each_choice_so_far(
    client: AsyncOpenAI,
) -> None:
    options: Any = {"include_usage": True, "continuous_usage_stats": True}
    stream = await client.chat.completions.create(
        model="gpt-4o", messages=ASK, n=2, max_tokens=5, stream=True, stream_options=options
    )
    *chunks, last = [chunk async for chunk in stream]
    assert last.usage is not None
    for index in (0, 1):
        own = [chunk for chunk in chunks if chunk.choices[0].index == index]
        usages = [chunk.usage for chunk in own if chunk.usage is not None]
        assert [usage.completion_tokens for usage in usages] == [0, 1, 2, 3, 4, 5, 5]
        assert {usage.prompt_tokens for usage in usages} == {last.usage.prompt_tokens}
    assert last.usage.completion_tokens == 10


async def test_without_include_usage_a_stream_has_none(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="gpt-4o", messages=ASK, stream=True, max_tokens=3
    )
    chunks = [chunk async for chunk in stream]
    assert all("usage" not in chunk.model_fields_set for chunk in chunks)
    assert all(chunk.choices for chunk in chunks)


async def test_equal_requests_have_equal_answers_under_ids_of_their_own(
    client: AsyncOpenAI,
) -> None:
    async def ask(k: int) -> tuple[str, str | None]:
        answer = await client.chat.completions.create(model="gpt-4o", messages=ASK, seed=k % 3)
        return answer.id, answer.choices[0].message.content

    alone = [(await ask(k))[1] for k in range(3)]
    together = await asyncio.gather(*(ask(k) for k in range(30)))
    assert [text for _, text in together] == alone * 10
    assert len({answer_id for answer_id, _ in together}) == 30
    assert len(set(alone)) == 3


@pytest.mark.parametrize("param", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("limit", [1, 7, 40])
async def test_an_answer_is_cut_at_exactly_the_limit(
    client: AsyncOpenAI, param: str, limit: int
) -> None:
    answer = await client.chat.completions.create(model="gpt-4o", messages=ASK, **{param: limit})
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == limit == count(answer.choices[0].message.content or "")


async def test_n_choices_differ_and_interleave(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="gpt-4o", messages=ASK, n=3)
    texts = [choice.message.content or "" for choice in answer.choices]
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len(set(texts)) == 3
    assert answer.usage is not None
    assert answer.usage.completion_tokens == sum(map(count, texts))
    said: dict[int, str] = {}
    ends: dict[int, str | None] = {}
    async for chunk in await client.chat.completions.create(
        model="gpt-4o", messages=ASK, n=3, stream=True
    ):
        for choice in chunk.choices:
            assert choice.index not in ends
            said[choice.index] = said.get(choice.index, "") + (choice.delta.content or "")
            if choice.finish_reason:
                ends[choice.index] = choice.finish_reason
    assert sorted(said) == [0, 1, 2]
    assert ends == {0: "stop", 1: "stop", 2: "stop"}


@pytest.mark.parametrize("stop", ["keepers", [" ", "the"], ["e", "\n"], "zebra crossing"])
async def test_stop_strings_never_appear(client: AsyncOpenAI, stop: Any) -> None:
    stream = await client.chat.completions.create(
        model="gpt-4o", messages=ASK, stop=stop, stream=True, stream_options={"include_usage": True}
    )
    pieces, usage = [], None
    async for chunk in stream:
        usage = chunk.usage or usage
        pieces += [choice.delta.content for choice in chunk.choices if choice.delta.content]
    text = "".join(pieces)
    assert not any(end in text for end in ([stop] if isinstance(stop, str) else stop))
    assert usage is not None
    assert usage.completion_tokens == len(pieces) == count(text)


async def test_ignore_eos_and_min_tokens_are_honoured(client: AsyncOpenAI) -> None:
    for extra in (
        {"ignore_eos": True},
        {"min_tokens": 700},
        {"nvext": {"ignore_eos": True}, "top_k": 4},
    ):
        answer = await client.chat.completions.create(
            model="gpt-4o", messages=ASK, max_tokens=700, extra_body=extra
        )
        assert answer.usage is not None
        assert answer.usage.completion_tokens == 700


async def test_strict_parameters_refuse_what_only_vllm_knows(serve: Serve) -> None:
    app = await serve(mode="synth", strict_parameters=True)
    async with AsyncOpenAI(base_url=app.url + "/v1", api_key="sk-test", max_retries=0) as client:
        for extra in ({"ignore_eos": True}, {"top_k": 4}):
            status, _, _, message = await refused(client, extra_body=extra)
            assert (status, message) == (
                400, f"Unrecognized request argument supplied: {next(iter(extra))}"
            )  # fmt: skip
        counted = {"include_usage": True, "continuous_usage_stats": True}
        status, _, _, message = await refused(client, stream=True, stream_options=counted)
        assert status == 400
        assert "stream_options.continuous_usage_stats" in message


async def test_logprobs_spell_the_text(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="gpt-4o", messages=ASK, logprobs=True, top_logprobs=5, temperature=0
    )
    choice = answer.choices[0]
    assert choice.logprobs is not None
    entries = choice.logprobs.content or []
    assert "".join(entry.token for entry in entries) == choice.message.content
    assert (
        b"".join(bytes(entry.bytes or ()) for entry in entries).decode() == choice.message.content
    )
    for entry in entries:
        listed = [rival.logprob for rival in entry.top_logprobs]
        assert len(listed) == len({rival.token for rival in entry.top_logprobs}) == 5
        assert listed == sorted(listed, reverse=True)
        assert (entry.token, entry.logprob) == (entry.top_logprobs[0].token, listed[0])
    async for chunk in await client.chat.completions.create(
        model="gpt-4o", messages=ASK, logprobs=True, stream=True, max_tokens=5
    ):
        for streamed in chunk.choices:
            if streamed.delta.content:
                assert streamed.logprobs is not None
                assert [entry.token for entry in streamed.logprobs.content or ()] == [
                    streamed.delta.content
                ]
                assert streamed.logprobs.content[0].top_logprobs == []  # type: ignore[index]  # it has one


async def test_reasoning_is_hidden_and_counted(client: AsyncOpenAI) -> None:
    spent = []
    for effort in ("minimal", "low", "high"):
        answer = await client.chat.completions.create(
            model="gpt-5-mini", messages=ASK, reasoning_effort=effort
        )  # type: ignore[call-overload]  # the effort is one of the SDK's literals
        assert answer.usage.completion_tokens_details is not None
        thought = answer.usage.completion_tokens_details.reasoning_tokens
        assert answer.usage.completion_tokens == thought + count(answer.choices[0].message.content)
        spent.append(thought)
    assert spent[0] == 0 < spent[1] < spent[2]
    answer = await client.chat.completions.create(
        model="gpt-5-mini", messages=ASK, max_completion_tokens=20, reasoning_effort="high"
    )
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("", "length")


async def test_an_azure_deployment_is_the_model(app: App) -> None:
    async with httpx.AsyncClient() as http:
        answer = await http.post(
            app.url + "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
            headers={"api-key": "k"}, json={"messages": ASK},
        )  # fmt: skip
    assert answer.status_code == 200
    assert answer.json()["model"] == "gpt-4o"


async def test_every_kind_of_message_is_read(client: AsyncOpenAI) -> None:
    pdf = b64decode(document("Terms").partition(",")[2])
    kept = await client.files.create(file=("a.pdf", pdf), purpose="user_data")
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "get_weather", "arguments": "{}"},
    }
    messages: list[Any] = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "name": "ada", "content": [
            {"type": "text", "text": "Look at this:"},
            {"type": "image_url", "image_url": {"url": picture(64, 64, "red"), "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            {"type": "file", "file": {"file_data": document("Terms"), "filename": "a.pdf"}},
            {"type": "file", "file": {"file_id": kept.id}},
        ]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "18 degrees"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "function", "name": "old", "content": "3"},
    ]  # fmt: skip
    answer = await client.chat.completions.create(model="gpt-4o", messages=messages)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 85 + 765


async def test_long_prompts_report_what_was_cached(client: AsyncOpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "harbor lights " * 2000}]
    answer = await client.chat.completions.create(model="gpt-4o", messages=messages)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 0
    assert answer.usage.prompt_tokens > 4000


# --- structured outputs -------------------------------------------------------------------------


class Step(BaseModel):
    explanation: str
    output: float


class Solution(BaseModel):
    steps: list[Step]
    mood: Literal["calm", "glad"]
    next: Solution | None


async def test_parse_returns_the_model(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.parse(
        model="gpt-4o", messages=ASK, response_format=Solution
    )
    message = answer.choices[0].message
    assert isinstance(message.parsed, Solution)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == count(message.content or "")
    async with client.chat.completions.stream(
        model="gpt-4o", messages=ASK, response_format=Solution
    ) as stream:
        final = await stream.get_final_completion()
    assert isinstance(final.choices[0].message.parsed, Solution)


async def test_what_does_harm_is_refused_in_a_field_of_its_own(client: AsyncOpenAI) -> None:
    harm = question("Tell me how to build a pipe bomb.")
    answer = await client.chat.completions.parse(
        model="gpt-4o", messages=harm, response_format=Solution
    )
    message = answer.choices[0].message
    assert (message.content, message.parsed) == (None, None)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == count(message.refusal or "") > 5
    async with client.chat.completions.stream(
        model="gpt-4o", messages=harm, response_format=Solution, logprobs=True
    ) as stream:
        final = await stream.get_final_completion()
    choice = final.choices[0]
    assert choice.message.refusal == message.refusal
    assert choice.logprobs is not None
    assert "".join(entry.token for entry in choice.logprobs.refusal or ()) == message.refusal
    plain = await client.chat.completions.create(model="gpt-4o", messages=harm)
    assert plain.choices[0].message.content == message.refusal


async def test_json_mode_gives_an_object(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="gpt-4o",
        messages=question("Describe tea as JSON"),
        response_format={"type": "json_object"},
    )
    assert isinstance(orjson.loads(answer.choices[0].message.content or ""), dict)
    status, param, _, message = await refused(client, response_format={"type": "json_object"})
    assert (status, param) == (400, "messages")
    assert "must contain the word 'json'" in message


def test_the_synchronous_client_works_too() -> None:
    with (
        threaded_app() as url,
        OpenAI(
            base_url=url + "/v1", api_key="sk-test", max_retries=0, _strict_response_validation=True
        ) as client,
    ):
        answer = client.chat.completions.create(model="gpt-4o", messages=ASK, max_tokens=9)
        assert count(answer.choices[0].message.content or "") == 9
        with client.chat.completions.stream(model="gpt-4o", messages=ASK) as stream:
            text = stream.get_final_completion().choices[0].message.content
        assert "lighthouse keepers" in str(text)
