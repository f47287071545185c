"""The chat room under the official SDK, over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

import httpx
import openai
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from fakeai_proxy.app import App
from fakeai_proxy.generate.tokens import Tokens
from tests.conftest import Serve

ASK: list[Any] = [{"role": "user", "content": "Tell me about lighthouse keepers."}]
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The current weather in a city",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}
MAIL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "send_mail",
        "description": "Send a message to somebody",
        "parameters": {
            "type": "object",
            "properties": {"to": {"type": "string"}},
            "required": ["to"],
        },
    },
}


def count(text: str) -> int:
    return Tokens.load("o200k_base").count(text)


@pytest.fixture
async def app(serve: Serve) -> App:
    return await serve(mode="synth", model=("gpt-5-mini",))


@pytest.fixture
async def client(app: App) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(
        base_url=app.url + "/v1", api_key="sk-test", max_retries=0, _strict_response_validation=True
    ) as made:
        yield made


async def refused(client: AsyncOpenAI, **body: Any) -> tuple[int, str | None, str | None, str]:
    """Status, param, code and message of the refusal."""
    with pytest.raises(openai.APIStatusError) as caught:
        await client.chat.completions.create(**{"model": "gpt-4o", "messages": ASK, **body})
    error = caught.value.body
    assert isinstance(error, dict)
    assert set(error) == {"message", "type", "param", "code"}
    return caught.value.status_code, error["param"], error["code"], error["message"]


# --- the answer -------------------------------------------------------------------------------


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
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            {"type": "file", "file": {"file_data": "AAAA", "filename": "a.pdf"}},
        ]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "18 degrees"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "function", "name": "old", "content": "3"},
    ]  # fmt: skip
    answer = await client.chat.completions.create(model="gpt-4o", messages=messages)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 85
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.audio_tokens == 1


async def test_long_prompts_report_what_was_cached(client: AsyncOpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "harbor lights " * 2000}]
    answer = await client.chat.completions.create(model="gpt-4o", messages=messages)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 0
    assert answer.usage.prompt_tokens > 4000


# --- tools ----------------------------------------------------------------------------------------


def question(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


RAIN = question("What is the weather in Paris, in celsius?")


async def test_auto_calls_the_tool_that_the_prompt_speaks_of(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="gpt-4o", messages=RAIN, tools=[MAIL, WEATHER]
    )
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    (call,) = choice.message.tool_calls or ()
    assert call.type == "function"
    assert call.id.startswith("call_")
    assert call.function.name == "get_weather"
    assert orjson.loads(call.function.arguments) == {"city": "Paris", "unit": "celsius"}
    other = await client.chat.completions.create(
        model="gpt-4o", messages=ASK, tools=[MAIL, WEATHER]
    )
    assert other.choices[0].finish_reason == "stop"


async def test_an_agent_loop_ends_with_the_result_in_the_answer(client: AsyncOpenAI) -> None:
    messages = list(RAIN)
    for _ in range(3):
        answer = await client.chat.completions.create(
            model="gpt-4o", messages=messages, tools=[WEATHER]
        )
        message = answer.choices[0].message
        if not message.tool_calls:
            break
        messages.append(message.model_dump(exclude_none=True))
        messages += [
            {"role": "tool", "tool_call_id": call.id, "content": "18 degrees and rain"}
            for call in message.tool_calls
        ]
    assert len(messages) == 3
    assert "18 degrees and rain" in str(message.content)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == count(message.content or "")


@pytest.mark.parametrize(
    ("choice", "names", "finish"),
    [
        ("none", [], "stop"),
        ("auto", ["get_weather"], "tool_calls"),
        ("required", ["get_weather"], "tool_calls"),
        ({"type": "function", "function": {"name": "send_mail"}}, ["send_mail"], "stop"),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [
            {"type": "function", "function": {"name": "send_mail"}}]}}, ["send_mail"], "tool_calls"),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [
            {"type": "function", "function": {"name": "send_mail"}}]}}, [], "stop"),
    ],
    ids=str,
)  # fmt: skip
async def test_every_tool_choice(
    client: AsyncOpenAI, choice: Any, names: list[str], finish: str
) -> None:
    answer = await client.chat.completions.create(
        model="gpt-4o", messages=RAIN, tools=[WEATHER, MAIL], tool_choice=choice
    )
    calls = answer.choices[0].message.tool_calls or []
    assert [call.function.name for call in calls if call.type == "function"] == names
    assert answer.choices[0].finish_reason == finish


async def test_tool_calls_run_in_parallel_unless_forbidden(client: AsyncOpenAI) -> None:
    both = question("Send mail to Ada about the weather in Oslo")
    for parallel, expected in ((True, 2), (False, 1)):
        answer = await client.chat.completions.create(
            model="gpt-4o", messages=both, tools=[WEATHER, MAIL], parallel_tool_calls=parallel
        )
        calls = answer.choices[0].message.tool_calls or []
        assert len({call.id for call in calls}) == len(calls) == expected


async def test_streamed_tool_calls_assemble(client: AsyncOpenAI) -> None:
    async with client.chat.completions.stream(
        model="gpt-4o", messages=RAIN, tools=[WEATHER], stream_options={"include_usage": True}
    ) as stream:
        events = [event.type async for event in stream]
        final = await stream.get_final_completion()
    (call,) = final.choices[0].message.tool_calls or ()
    assert call.function.parsed_arguments == {"city": "Paris", "unit": "celsius"}
    assert "tool_calls.function.arguments.delta" in events
    assert final.usage is not None
    expected = count("get_weather") + count(call.function.arguments)
    assert final.usage.completion_tokens == expected


async def test_the_deprecated_functions_still_work(client: AsyncOpenAI) -> None:
    function = {key: value for key, value in WEATHER["function"].items() if key != "strict"}
    answer = await client.chat.completions.create(
        model="gpt-4o", messages=RAIN, functions=[function]
    )
    assert answer.choices[0].finish_reason == "function_call"
    called = answer.choices[0].message.function_call
    assert called is not None
    assert orjson.loads(called.arguments)["city"] == "Paris"
    name, arguments = "", ""
    async for chunk in await client.chat.completions.create(
        model="gpt-4o",
        messages=RAIN,
        functions=[function],
        function_call={"name": "get_weather"},
        stream=True,
    ):
        delta = chunk.choices[0].delta.function_call
        name += (delta.name or "") if delta else ""
        arguments += (delta.arguments or "") if delta else ""
    assert name == "get_weather"
    assert orjson.loads(arguments)["unit"] in ("celsius", "fahrenheit")


async def test_a_custom_tool_is_given_text(client: AsyncOpenAI) -> None:
    tool: Any = {"type": "custom", "custom": {"name": "run", "format": {
        "type": "grammar", "grammar": {"syntax": "regex", "definition": r"SELECT \w+ FROM [a-z]+"}}}}  # fmt: skip
    answer = await client.chat.completions.create(
        model="gpt-4o", messages=ASK, tools=[tool], tool_choice="required"
    )
    (call,) = answer.choices[0].message.tool_calls or ()
    assert call.type == "custom"
    assert call.custom.input.startswith("SELECT ")


async def test_arguments_are_cut_at_the_limit(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="gpt-4o", messages=RAIN, tools=[WEATHER], max_tokens=5
    )
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5


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


# --- refusals -----------------------------------------------------------------------------------

_CALLING = {"role": "assistant", "content": None, "tool_calls": [
    {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status", "param", "code", "said"),
    [
        ({"extra_body": {"foo": 1}}, 400, None, None, "Unrecognized request argument supplied: foo"),
        ({"stream_options": {"include_usage": True}}, 400, "stream_options", None, "only allowed when 'stream' is enabled."),
        ({"top_logprobs": 3}, 400, "top_logprobs", None, "only allowed when 'logprobs'"),
        ({"tool_choice": "auto"}, 400, "tool_choice", None, "only allowed when 'tools'"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, 400, "max_tokens", "invalid_parameter_combination", "Setting"),
        ({"max_tokens": 10**7}, 400, "max_tokens", "invalid_value", "at most 16384 completion tokens"),
        ({"model": "gpt-9"}, 404, None, "model_not_found", "The model `gpt-9` does not exist"),
        ({"model": "text-embedding-3-small"}, 404, "model", None, "embedding"),
        ({"model": ""}, 400, None, None, "you must provide a model parameter"),
        ({"model": "gpt-5-mini", "max_tokens": 9}, 400, "max_tokens", "unsupported_parameter", "max_completion_tokens"),
        ({"model": "gpt-5-mini", "temperature": 0.2}, 400, "temperature", "unsupported_value", "0.2"),
        ({"messages": question("tea " * 130_000)}, 400, "messages", "context_length_exceeded", "maximum context length is 128000"),
        ({"messages": [*ASK, {"role": "tool", "tool_call_id": "x", "content": ""}]}, 400, "messages[1].role", None, "must be a response"),
        ({"messages": [*ASK, _CALLING]}, 400, "messages[1].role", None, "did not have response messages: call_1"),
        ({"messages": [_CALLING, *ASK]}, 400, "messages[0].role", None, "call_1"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "f"}}}, 400, "tool_choice", "invalid_value", "'f' not found"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": {"type": "object", "properties": {}}}}},
         400, "response_format", "invalid_json_schema",
         "Invalid schema for response_format 'x': In context=(), 'additionalProperties' is required to be supplied and to be false."),
        ({"tools": [{"type": "function", "function": {"name": "f", "strict": True, "parameters": {"type": "object"}}}]},
         400, "tools[0].function.parameters", "invalid_function_parameters", "Invalid schema for function 'f'"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "array", "items": {}, "minItems": 10**9}}}},
         400, "response_format", "invalid_json_schema", "too large"),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
async def test_refusals_are_the_vendors(
    client: AsyncOpenAI,
    body: dict[str, Any],
    status: int,
    param: str | None,
    code: str | None,
    said: str,
) -> None:
    got_status, got_param, got_code, message = await refused(client, **body)
    assert (got_status, got_param, got_code) == (status, param, code)
    assert said in message


@pytest.mark.parametrize(
    "body",
    [
        {"messages": []}, {"messages": "hi"}, {"messages": [{"role": "king", "content": "x"}]},
        {"messages": [{"role": "user", "content": 3}]}, {"messages": [{"role": "user", "content": [{}]}]},
        {"temperature": 2.5}, {"temperature": "warm"}, {"top_p": -1}, {"n": 0}, {"n": 129}, {"n": 1.5},
        {"max_tokens": 0}, {"stop": ["a"] * 5}, {"stop": 3}, {"seed": 2**63}, {"logprobs": 1},
        {"logprobs": True, "top_logprobs": 21}, {"tools": []}, {"tools": [WEATHER] * 129}, {"tools": [{}]},
        {"tools": [WEATHER], "tool_choice": "maybe"}, {"response_format": {"type": "xml"}},
        {"logit_bias": {"50256": 101}}, {"metadata": {"k": 1}}, {"presence_penalty": 3},
        {"reasoning_effort": "heroic"}, {"service_tier": "gold"}, {"modalities": ["audio"]},
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
async def test_what_has_the_wrong_shape_is_refused(
    client: AsyncOpenAI, body: dict[str, Any]
) -> None:
    status, param, _, _ = await refused(client, **body)
    assert status == 400
    assert param is not None
    assert next(iter(body)) in param or "top_logprobs" in param or "tool_choice" in param


_FIELDS = st.sampled_from(
    ("model", "messages", "role", "content", "type", "text", "tools", "function", "name", "parameters",
     "strict", "tool_choice", "response_format", "json_schema", "schema", "n", "stop", "stream", "logprobs",
     "max_tokens", "temperature", "tool_calls", "id", "arguments", "functions", "stream_options", "seed")
)  # fmt: skip
_VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-5, 2**40), st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=8),
        st.sampled_from(("gpt-4o", "user", "tool", "assistant", "function", "auto", "object", "json_schema")),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_FIELDS, inner, max_size=5)),
    max_leaves=12,
)  # fmt: skip
_MESSAGES = st.one_of(st.just(ASK), _VALUES, st.lists(_VALUES, max_size=3))


@settings(
    max_examples=300, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(
    body=st.dictionaries(_FIELDS, _VALUES, max_size=6),
    messages=_MESSAGES,
    model=st.sampled_from(("gpt-4o", "gpt-5-mini")),
)
def test_any_body_is_answered_or_refused(
    ask_raw: Callable[[bytes], httpx.Response], body: dict[str, Any], messages: Any, model: str
) -> None:
    answer = ask_raw(
        orjson.dumps({**body, "messages": messages, "model": model, "max_completion_tokens": 50})
    )
    assert answer.status_code == 200 or 400 <= answer.status_code < 500
    if answer.status_code != 200:
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


@pytest.fixture(scope="module")
def ask_raw() -> Any:
    """Posts bytes to a server on a thread of its own."""
    from tests.services.threaded import threaded_app  # noqa: PLC0415 - only here

    with threaded_app() as url, httpx.Client(timeout=30) as http:
        yield lambda body: http.post(
            url + "/v1/chat/completions", content=body,
            headers={"authorization": "Bearer sk-test", "content-type": "application/json"},
        )  # fmt: skip


def test_the_synchronous_client_works_too() -> None:
    from tests.services.threaded import threaded_app  # noqa: PLC0415 - only here

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
