"""Answers that the user has put ready, in every room of words."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from openai import AsyncOpenAI

from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import ApiError, ConfigError
from fakeai_proxy.services.responder import Ask, Canned, Responder
from tests.conftest import Serve

TABLE = """
[[answer]]
prompt = '(?i)weather in (?P<city>\\w+)'
text = "It is sunny in {city}, says {model}. {unknown} stays."

[[answer]]
prompt = "as data"
model = "gpt-4o*"
json = { city = "{prompt}", degrees = 20 }

[[answer]]
prompt = "call"
tool = "get_weather"
arguments = { city = "Oslo" }

[[answer]]
prompt = "forbidden"
refusal = "I would rather not."

[[answer]]
prompt = "any of these"
text = ["one", "two", "three"]
"""

CODE = """
calls = []

def respond(ask):
    calls.append(ask.prompt)
    if "count" in ask.prompt:
        return f"{ask.api}: {len(ask.messages)} messages, {ask.request.get('user', 'nobody')}"
    if "break" in ask.prompt:
        raise KeyError("no such thing")
    if "nonsense" in ask.prompt:
        return 7
    return None

async def later(ask):
    return {"content": {"prompt": ask.prompt}}
"""


def ask(prompt: str, model: str = "gpt-4o", seed: int = 0) -> Ask:
    return Ask("createChatCompletion", model, prompt, Dice(seed).roll(prompt))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "answers.toml"
    path.write_text(TABLE)
    return path


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "answers.py"
    path.write_text(CODE)
    return path


async def opened(serve: Serve, target: object) -> AsyncOpenAI:
    app = await serve(mode="synth", profile="none", responder=str(target))
    return AsyncOpenAI(
        base_url=app.url + "/v1", api_key="k", max_retries=0, _strict_response_validation=True
    )


def test_a_row_is_filled_with_what_its_pattern_found(table: Path) -> None:
    responder = Responder(str(table))
    found = responder.answer(ask("What is the weather in Lima?"))
    assert found == Canned("It is sunny in Lima, says gpt-4o. {unknown} stays.")
    assert responder.answer(ask("something else")) is None
    assert responder.answer(ask("as data", "llama")) is None
    data = responder.answer(ask("as data"))
    assert data is not None
    assert json.loads(data.content) == {"city": "as data", "degrees": 20}


def test_of_several_texts_the_request_decides_which(table: Path) -> None:
    responder = Responder(str(table))
    found = [responder.answer(ask("any of these", seed=seed)) for seed in range(30)]
    assert found == [responder.answer(ask("any of these", seed=seed)) for seed in range(30)]
    assert {canned.content for canned in found if canned} == {"one", "two", "three"}


WAYS: dict[str, Callable[[AsyncOpenAI, str], Any]] = {
    "chat": lambda client, said: client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": said}]
    ),
    "responses": lambda client, said: client.responses.create(model="gpt-4o", input=said),
    "completions": lambda client, said: client.completions.create(
        model="gpt-3.5-turbo-instruct", prompt=said, max_tokens=50
    ),
}


def _text(answer: Any) -> str:
    if hasattr(answer, "output_text"):
        return str(answer.output_text)
    choice = answer.choices[0]
    return str(choice.text if hasattr(choice, "text") else choice.message.content)


@pytest.mark.parametrize("way", WAYS)
async def test_every_room_of_words_says_it(serve: Serve, table: Path, way: str) -> None:
    client = await opened(serve, table)
    assert _text(await WAYS[way](client, "weather in Rome")).startswith("It is sunny in Rome")
    assert "sunny" not in _text(await WAYS[way](client, "Tell me about tea"))


async def test_messages_say_it_too(serve: Serve, table: Path) -> None:
    app = await serve(mode="synth", profile="none", responder=str(table))
    client = anthropic.AsyncAnthropic(base_url=app.url, api_key="k", max_retries=0)
    answer = await client.messages.create(
        model="claude-sonnet-4-5", max_tokens=100,
        messages=[{"role": "user", "content": "weather in Rome"}],
    )  # fmt: skip
    (block,) = answer.content
    assert block.type == "text"
    assert block.text.startswith("It is sunny in Rome, says claude")
    called = await client.messages.create(
        model="claude-sonnet-4-5", max_tokens=100, messages=[{"role": "user", "content": "call it"}]
    )
    assert called.stop_reason == "tool_use"
    assert called.content[0].type == "tool_use"
    assert called.content[0].input == {"city": "Oslo"}


async def test_a_stream_joins_to_it_and_its_tokens_are_counted(serve: Serve, table: Path) -> None:
    client = await opened(serve, table)
    chunks = await client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "weather in Rome"}], stream=True,
        stream_options={"include_usage": True},
    )  # fmt: skip
    text, usage = "", None
    async for chunk in chunks:
        text += "".join(choice.delta.content or "" for choice in chunk.choices)
        usage = chunk.usage or usage
    assert text == "It is sunny in Rome, says gpt-4o. {unknown} stays."
    assert usage is not None
    assert usage.completion_tokens > 10


async def test_calls_and_refusals_are_answers(serve: Serve, table: Path) -> None:
    client = await opened(serve, table)
    called = await WAYS["chat"](client, "call it")
    (call,) = called.choices[0].message.tool_calls
    assert called.choices[0].finish_reason == "tool_calls"
    assert (call.function.name, json.loads(call.function.arguments)) == (
        "get_weather",
        {"city": "Oslo"},
    )
    item = (await WAYS["responses"](client, "call it")).output[0]
    assert (item.type, item.name) == ("function_call", "get_weather")
    assert (await WAYS["chat"](client, "forbidden")).choices[
        0
    ].message.refusal == "I would rather not."


async def test_a_function_sees_the_request_each_time(serve: Serve, code: Path) -> None:
    client = await opened(serve, f"{code}:respond")
    for _ in range(2):
        answer = await client.chat.completions.create(
            model="gpt-4o", user="ann", messages=[{"role": "user", "content": "count"}]
        )
        assert _text(answer) == "createChatCompletion: 1 messages, ann"
    assert _text(await WAYS["responses"](client, "count")) == "createResponse: 1 messages, nobody"
    assert "messages" not in _text(await WAYS["chat"](client, "Tell me about tea"))


async def test_a_coroutine_may_answer(serve: Serve, code: Path) -> None:
    client = await opened(serve, f"{code}:later")
    assert json.loads(_text(await WAYS["chat"](client, "hi"))) == {"prompt": "hi"}


@pytest.mark.parametrize(("prompt", "reason"), [("break", "KeyError"), ("nonsense", "TypeError")])
async def test_a_fault_of_the_function_is_told(
    serve: Serve, code: Path, prompt: str, reason: str
) -> None:
    client = await opened(serve, f"{code}:respond")
    with pytest.raises(openai.InternalServerError, match=reason) as told:
        await WAYS["chat"](client, prompt)
    assert told.value.code == "responder_failed"


def _later(path: Path, text: str) -> None:
    path.write_text(text)
    stamp = path.stat().st_mtime_ns + 1_000_000_000
    os.utime(path, ns=(stamp, stamp))


async def test_an_edit_is_in_force_at_once_and_a_broken_one_never(
    serve: Serve, table: Path
) -> None:
    client = await opened(serve, table)
    assert "sunny" in _text(await WAYS["chat"](client, "weather in Rome"))
    _later(table, '[[answer]]\ntext = "all is new"\n')
    assert _text(await WAYS["chat"](client, "weather in Rome")) == "all is new"
    _later(table, "[[answer]\n")
    assert _text(await WAYS["chat"](client, "weather in Rome")) == "all is new"
    os.unlink(table)
    assert _text(await WAYS["chat"](client, "weather in Rome")) == "all is new"


def test_a_module_is_found_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "canned_answers.py").write_text("def respond(ask):\n    return ask.model\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert Responder("canned_answers:respond").answer(ask("x")) == Canned("gpt-4o")


@pytest.mark.parametrize(
    ("name", "content", "target", "said"),
    [
        ("a.toml", "[[answer]]\nprompt = '('\n", "a.toml", "answer.0.prompt"),
        ("a.toml", "[[answer]]\ntexts = 'x'\n", "a.toml", "answer.0.texts"),
        ("a.toml", "", "a.toml", "answer"),
        ("a.py", "def respond(ask: 1/0): pass", "a.py:respond", "ZeroDivisionError"),
        ("a.py", "x = 1", "a.py:respond", "no function respond"),
        ("a.py", "", "b.py:respond", "No such file"),
        ("a.py", "", "a.py", "expected FILE.toml"),
        ("a.py", "", "no_such_module:respond", "no module no_such_module"),
    ],
)
def test_what_cannot_be_used_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str, target: str, said: str
) -> None:
    (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=said.replace(".", r"\.")):
        Responder(target)


def test_an_error_of_ours_is_passed_on(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(
        "from fakeai_proxy.errors import ApiError\ndef respond(ask):\n    raise ApiError(418, 'tea')\n"
    )
    with pytest.raises(ApiError, match="tea"):
        Responder(f"{path}:respond").answer(ask("x"))
