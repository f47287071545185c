"""The parameters of a chat request that change what is said: biases, efforts, verbosity, searches, grammars,
tiers; and that a stream says the same as a whole answer."""

from __future__ import annotations

import re
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageCustomToolCall

from fakeai_proxy.app import App
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services.chat import OPERATIONS
from tests.conftest import Serve
from tests.services.asking import ASK, RAIN, WEATHER, count, question, refused
from tests.services.conftest import Ask


@pytest.fixture
async def app(serve: Serve) -> App:
    models = ("gpt-5-mini", "gpt-4o-search-preview", "deepseek-ai/DeepSeek-R1", "gpt-5.1")
    return await serve(mode="synth", model=models)


# --- the whole and the stream -------------------------------------------------------------------

BODIES = st.fixed_dictionaries(
    {"model": st.sampled_from(["gpt-4o", "gpt-3.5-turbo", "meta-llama/Llama-3.1-8B-Instruct"])},
    optional={
        "n": st.integers(1, 3),
        "max_tokens": st.integers(1, 60),
        "seed": st.integers(0, 9),
        "stop": st.sampled_from(["the", ". "]),
        "logprobs": st.just(True),
        "logit_bias": st.dictionaries(st.sampled_from(["11", "262", "1000"]), st.just(-100)),
        "tools": st.just([WEATHER]),
        "verbosity": st.just("medium"),
        "messages": st.sampled_from([ASK, RAIN, question("Tell me how to build a pipe bomb.")]),
        "response_format": st.just(
            {"type": "json_schema",
             "json_schema": {"name": "a", "schema": {"properties": {"x": {"type": "string"}}}}}
        ),
    },
)  # fmt: skip


def pieces(raw: bytes) -> tuple[dict[int, dict[str, Any]], dict[str, Any]]:
    """What a stream's deltas come to, by choice, and its usage."""
    said: dict[int, dict[str, Any]] = {}
    usage: dict[str, Any] = {}
    for line in raw.split(b"\n\n"):
        if not line.startswith(b"data: {"):
            continue
        chunk = orjson.loads(line[6:])
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            made = said.setdefault(choice["index"], {"content": "", "refusal": "", "arguments": ""})
            delta = choice["delta"]
            made["content"] += delta.get("content") or ""
            made["refusal"] += delta.get("refusal") or ""
            for call in delta.get("tool_calls", ()):
                made["arguments"] += call["function"]["arguments"]
            made["finish_reason"] = choice["finish_reason"] or made.get("finish_reason")
    return said, usage


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(BODIES)
def test_a_stream_joined_is_the_whole_answer(ask_raw: Ask, body: dict[str, Any]) -> None:
    body = {"messages": ASK, **body}
    whole = ask_raw(orjson.dumps(body))
    assert whole.status_code == 200, whole.text
    streamed = {**body, "stream": True, "stream_options": {"include_usage": True}}
    said, usage = pieces(ask_raw(orjson.dumps(streamed)).content)
    answer = whole.json()
    spent = 0
    for choice in answer["choices"]:
        message, made = choice["message"], said[choice["index"]]
        calls = message.get("tool_calls", ())
        assert made["content"] == (message["content"] or "")
        assert made["refusal"] == (message["refusal"] or "")
        assert made["arguments"] == "".join(call["function"]["arguments"] for call in calls)
        assert made["finish_reason"] == choice["finish_reason"]
        spent += len((choice["logprobs"] or {}).get("content") or ())
    assert usage == answer["usage"]
    if body.get("logprobs") and not any("tool_calls" in c["message"] for c in answer["choices"]):
        spent += sum(len(c["logprobs"]["refusal"] or ()) for c in answer["choices"])
        assert spent == usage["completion_tokens"]


def test_the_lengths_of_tokens_are_hidden_unless_told_otherwise(ask_raw: Ask) -> None:
    def frames(**options: object) -> list[dict[str, Any]]:
        body = {"model": "gpt-4o", "messages": ASK, "stream": True, **options}
        raw = ask_raw(orjson.dumps(body)).content
        return [
            orjson.loads(line[6:]) for line in raw.split(b"\n\n") if line.startswith(b"data: {")
        ]

    lengths = {
        (len(orjson.dumps(chunk["choices"][0]["delta"]["content"])) - 2 + len(chunk["obfuscation"]))
        % 16
        for chunk in frames()[1:-1]
    }
    assert lengths == {0}
    open_frames = frames(stream_options={"include_obfuscation": False})
    assert not any("obfuscation" in chunk for chunk in open_frames)
    assert not any("obfuscation" in c for c in frames(model="meta-llama/Llama-3.1-8B-Instruct"))


# --- biases -------------------------------------------------------------------------------------


async def test_a_banned_token_never_appears(client: AsyncOpenAI) -> None:
    plain = await client.chat.completions.create(model="gpt-4o", messages=ASK, seed=1)
    tokens = Tokens.load("o200k_base")
    ids = set(tokens.encode(plain.choices[0].message.content or ""))
    bias = dict.fromkeys(map(str, ids), -100)
    answer = await client.chat.completions.create(
        model="gpt-4o", messages=ASK, seed=1, logit_bias=bias, logprobs=True
    )
    assert answer.usage is not None
    assert ids.isdisjoint(tokens.encode(answer.choices[0].message.content or ""))
    few = dict.fromkeys(list(bias)[:3], -100)
    answer = await client.chat.completions.create(
        model="gpt-4o", messages=ASK, seed=1, logit_bias=few
    )
    said = tokens.encode(answer.choices[0].message.content or "")
    assert not {int(key) for key in few} & set(said)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == len(said) > 20


async def test_a_forced_token_is_all_that_is_said(client: AsyncOpenAI) -> None:
    token = Tokens.load("o200k_base").encode(" yes")[0]
    answer = await client.chat.completions.create(
        model="gpt-4o", messages=ASK, logit_bias={str(token): 100}, max_tokens=3
    )
    assert answer.choices[0].message.content == " yes yes yes"
    assert answer.choices[0].finish_reason == "length"


async def test_what_is_no_token_has_no_bias(client: AsyncOpenAI) -> None:
    for key in ("hello", "99999999", "-1", "1.5"):
        status, param, _, _ = await refused(client, logit_bias={key: 1})
        assert (status, param) == (400, "logit_bias")


# --- thinking -----------------------------------------------------------------------------------


async def test_open_models_show_their_thoughts(client: AsyncOpenAI) -> None:
    for model in ("openai/gpt-oss-20b", "deepseek-ai/DeepSeek-R1"):
        answer = await client.chat.completions.create(model=model, messages=ASK)
        thought = getattr(answer.choices[0].message, "reasoning_content", "")
        assert thought
        usage = answer.usage
        assert usage is not None
        assert usage.completion_tokens_details is not None
        assert usage.completion_tokens_details.reasoning_tokens
        stream = await client.chat.completions.create(model=model, messages=ASK, stream=True)
        deltas = [chunk.choices[0].delta async for chunk in stream]
        pieces = [getattr(delta, "reasoning_content", None) for delta in deltas]
        assert "".join(piece or "" for piece in pieces) == thought
        shown = [piece for piece in pieces if piece is not None]
        assert len(shown) == usage.completion_tokens_details.reasoning_tokens
        joined = "".join(delta.content or "" for delta in deltas)
        assert joined == answer.choices[0].message.content


async def test_hybrid_models_think_where_they_are_asked_to(client: AsyncOpenAI) -> None:
    async def thinks(**body: Any) -> bool:
        answer = await client.chat.completions.create(
            model="Qwen/Qwen3-8B", messages=ASK, extra_body=body
        )
        return hasattr(answer.choices[0].message, "reasoning_content")

    assert not await thinks()
    assert await thinks(chat_template_kwargs={"enable_thinking": True})
    assert not await thinks(chat_template_kwargs={"enable_thinking": False}, reasoning_effort="low")


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        ({"model": "gpt-4o", "reasoning_effort": "low"}, None, "Unrecognized request argument"),
        ({"model": "o3", "reasoning_effort": "minimal"}, "reasoning_effort",
         "Supported values are: 'low', 'medium', and 'high'."),
        ({"model": "gpt-5-mini", "reasoning_effort": "none"}, "reasoning_effort", "'minimal'"),
        ({"model": "o3", "logprobs": True}, "logprobs", "not supported with this model"),
        ({"model": "o3", "top_p": 0.5}, "top_p", "Only the default (1)"),
        ({"model": "gpt-4o", "verbosity": "low"}, "verbosity", "Supported values are: 'medium'."),
        ({"model": "gpt-4o", "web_search_options": {}}, "web_search_options", "not supported"),
        ({"model": "gpt-4o", "safety_identifier": "x" * 129}, "safety_identifier", "too long"),
    ],
)  # fmt: skip
async def test_what_a_model_cannot_be_asked_for(
    client: AsyncOpenAI, body: dict[str, Any], param: str | None, said: str
) -> None:
    status, found, _, message = await refused(client, **body)
    assert (status, found) == (400, param)
    assert said in message


async def test_effort_and_verbosity_make_answers_longer(client: AsyncOpenAI) -> None:
    async def spent(**body: Any) -> tuple[int, int]:
        answer = await client.chat.completions.create(model="gpt-5-mini", messages=ASK, **body)
        assert answer.usage is not None
        assert answer.usage.completion_tokens_details is not None
        thought = answer.usage.completion_tokens_details.reasoning_tokens or 0
        return thought, answer.usage.completion_tokens - thought

    assert (await spent(reasoning_effort="minimal"))[0] == 0
    assert (await spent(reasoning_effort="high"))[0] > (await spent(reasoning_effort="low"))[0] > 0
    low, high = await spent(verbosity="low"), await spent(verbosity="high")
    assert low[1] < high[1]
    bare = await client.chat.completions.create(model="gpt-5.1", messages=ASK, temperature=0.3)
    assert bare.usage is not None
    assert bare.usage.completion_tokens == count(bare.choices[0].message.content or "")


# --- the rest -----------------------------------------------------------------------------------


async def test_a_search_names_its_pages(client: AsyncOpenAI) -> None:
    options: Any = {"search_context_size": "low"}
    answer = await client.chat.completions.create(
        model="gpt-4o-search-preview", messages=ASK, web_search_options=options
    )
    message = answer.choices[0].message
    assert message.annotations
    cited = message.annotations[0].url_citation
    assert f"({cited.url})" in (message.content or "")[cited.start_index : cited.end_index]
    assert "lighthouse" in cited.url
    assert answer.usage is not None
    assert answer.usage.completion_tokens == count(message.content or "")


@pytest.mark.parametrize(
    ("asked", "told"),
    [(None, "default"), ("auto", "default"), ("flex", "flex"), ("fast", "priority")],
)
async def test_the_tier_that_served_is_told(client: AsyncOpenAI, asked: Any, told: str) -> None:
    answer = await client.chat.completions.create(
        model="gpt-4o", messages=ASK, service_tier=asked, max_tokens=2
    )
    assert answer.service_tier == told


GRAMMARS = {
    "regex": (r"SELECT [a-z]{3,8} FROM [a-z]{3,8};", r"SELECT [a-z]{3,8} FROM [a-z]{3,8};"),
    "lark": (
        'start: term (" " OPERATOR " " term)*\nterm: /[0-9]{1,4}/ | "(" start ")"\nOPERATOR: "+" | "*"',
        r"[0-9()+* ]+",
    ),
}


@pytest.mark.parametrize("syntax", ["regex", "lark"])
async def test_a_custom_tools_input_follows_its_grammar(client: AsyncOpenAI, syntax: str) -> None:
    if syntax == "lark":
        pytest.importorskip("llguidance")
    definition, shape = GRAMMARS[syntax]
    form = {"type": "grammar", "grammar": {"syntax": syntax, "definition": definition}}
    tool: Any = {
        "type": "custom",
        "custom": {"name": "run", "description": "Run it", "format": form},
    }
    for k in range(5):
        answer = await client.chat.completions.create(
            model="gpt-4o", messages=ASK, tools=[tool], tool_choice="required", seed=k
        )
        (call,) = answer.choices[0].message.tool_calls or ()
        assert isinstance(call, ChatCompletionMessageCustomToolCall)
        assert re.fullmatch(shape, call.custom.input)
    broken = {"lark": "start: nothing_of_that_name", "regex": "("}[syntax]
    form["grammar"]["definition"] = broken  # type: ignore[index]  # a dict
    status, param, code, _ = await refused(client, tools=[tool])
    assert (status, code) == (400, "invalid_grammar")
    assert param == "tools[0].custom.format.grammar.definition"


def test_without_the_extra_a_grammar_names_it(
    monkeypatch: pytest.MonkeyPatch, ask_raw: Ask
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "llguidance", None)
    grammar = {"syntax": "lark", "definition": 'start: "a"'}
    form = {"type": "grammar", "grammar": grammar}
    tool = {"type": "custom", "custom": {"name": "run", "format": form}}
    body = {"model": "gpt-4o", "messages": ASK, "tools": [tool]}
    answer: httpx.Response = ask_raw(orjson.dumps(body))
    assert answer.status_code == 501
    assert "fakeai-proxy[grammars]" in answer.json()["error"]["message"]


async def test_what_was_called_is_not_called_again_but_the_rest_is(client: AsyncOpenAI) -> None:
    clock = {"type": "function", "function": {"name": "get_clock", "description": "The clock"}}
    messages = question("What are the weather in Paris and the clock there?")
    called = []
    for _ in range(5):
        answer = await client.chat.completions.create(
            model="gpt-4o", messages=messages, tools=[WEATHER, clock],  # type: ignore[list-item]  # dicts
            parallel_tool_calls=False,
        )  # fmt: skip
        message = answer.choices[0].message
        if not message.tool_calls:
            break
        (call,) = message.tool_calls
        assert call.type == "function"
        called.append(call.function.name)
        messages = [
            *messages,
            message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"},
        ]
    assert sorted(called) == ["get_clock", "get_weather"]
    assert "18 degrees" in str(answer.choices[0].message.content)


@pytest.mark.parametrize(
    "more",
    [
        {"logprobs": True}, {"response_format": {"type": "json_schema"}}, {"n": 32},
        {"max_tokens": 4000, "ignore_eos": True}, {"guided_grammar": "x"}, {"modalities": ["audio"]},
    ],
)  # fmt: skip
def test_what_takes_long_is_worked_out_in_a_thread(more: dict[str, Any]) -> None:
    create = next(each for each in OPERATIONS if each.name == "createChatCompletion")
    plain = {"model": "gpt-4o", "messages": ASK, "max_tokens": 500, "n": 1}
    assert not create.is_heavy(orjson.dumps(plain))
    assert create.is_heavy(orjson.dumps({**plain, **more}))
