"""What the official SDK makes of faults: the right class, and a retry where it helps."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anthropic
import httpx
import openai
import pytest
from openai import AsyncOpenAI

from fakeai_proxy.app import App
from tests.conftest import Ended, Serve


@asynccontextmanager
async def client(app: App, **settings: object) -> AsyncIterator[AsyncOpenAI]:
    given = {"api_key": "sk-test", "max_retries": 0, "timeout": 30.0, **settings}
    async with AsyncOpenAI(base_url=f"{app.url}/v1", **given) as made:  # type: ignore[arg-type]
        yield made


async def said(app: App, **settings: object) -> str:
    async with client(app, **settings) as one:
        answer = await one.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "hi"}], max_tokens=20
        )
        return answer.choices[0].message.content or ""


async def heard(app: App) -> tuple[str, str | None]:
    """The text of a stream, and the reason it ended for."""
    text, reason = "", None
    async with client(app) as one:
        stream = await one.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "hi"}], max_tokens=20, stream=True
        )
        async for event in stream:
            for choice in event.choices:
                text += choice.delta.content or ""
                reason = choice.finish_reason or reason
    return text, reason


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("401", openai.AuthenticationError), ("403", openai.PermissionDeniedError),
        ("404", openai.NotFoundError), ("409", openai.ConflictError),
        ("422", openai.UnprocessableEntityError), ("429", openai.RateLimitError),
        ("500", openai.InternalServerError), ("error:kind=overloaded", openai.InternalServerError),
        ("error:kind=quota", openai.RateLimitError),
        ("html:code=502", openai.InternalServerError),
        ("hang_up", openai.APIConnectionError), ("reset:after=0", openai.APIConnectionError),
        ("cut:share=0.5", openai.APIConnectionError),
        ("content_length:by=-10", json.JSONDecodeError),
        ("malformed_json", json.JSONDecodeError),
        ("truncate", json.JSONDecodeError),
    ],
)  # fmt: skip
async def test_each_fault_is_what_the_sdk_takes_it_for(
    serve: Serve, fault: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        await said(await serve(fault=(fault,)))


async def test_a_burst_of_503_is_retried_and_survived(serve: Serve) -> None:
    ended = Ended()
    app = await serve(observer=ended, fault=("503:first=2,retry_after_s=0",))
    assert await said(app, max_retries=2)
    assert [one.status for one in ended.exchanges] == [503, 503, 200]


async def test_a_request_asks_for_a_fault_through_the_sdk(serve: Serve) -> None:
    app = await serve()
    with pytest.raises(openai.RateLimitError) as caught:
        await said(app, default_headers={"x-fakeai-fault": "429:retry_after_s=7"})
    assert caught.value.response.headers["retry-after"] == "7"
    assert caught.value.response.headers["x-fakeai-fault"].startswith("status:")
    assert caught.value.code == "rate_limit_exceeded"


async def test_a_stream_that_is_cut_is_an_error_and_one_without_its_end_is_not(
    serve: Serve,
) -> None:
    whole = await heard(await serve())
    with pytest.raises((openai.APIConnectionError, httpx.RemoteProtocolError)):
        await heard(await serve(fault=("cut:after=3",)))
    assert await heard(await serve(fault=("no_done",))) == whole
    text, reason = await heard(await serve(fault=("truncate:after=3",)))
    assert (whole[0].startswith(text), reason) == (True, None)


async def test_an_error_within_a_stream_is_raised(serve: Serve) -> None:
    with pytest.raises(openai.APIError, match="had an error while processing"):
        await heard(await serve(fault=("error_event:after=3",)))


@pytest.mark.parametrize(
    "fault",
    ["comments", "huge_event:bytes=300000", "trickle:ms=0.001", "split_utf8", "slow", "http10"],
)
async def test_what_is_only_odd_is_taken_as_it_should_be(serve: Serve, fault: str) -> None:
    text, reason = await heard(await serve())
    odd, why = await heard(await serve(fault=(fault,)))
    assert (odd.replace("é", ""), why) == (text, reason)


async def test_the_reason_and_the_refusal_arrive(serve: Serve) -> None:
    assert (await heard(await serve(fault=("finish:reason=content_filter",))))[
        1
    ] == "content_filter"
    async with client(await serve(fault=("refusal:message=never",))) as one:
        answer = await one.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "hi"}]
        )
    assert (answer.choices[0].message.refusal, answer.choices[0].message.content) == ("never", None)


TOOL = {"type": "function", "function": {"name": "move", "parameters": {
    "type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]}}}  # fmt: skip
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "strict": True, "schema": {
    "type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"],
    "additionalProperties": False}}}  # fmt: skip


async def test_arguments_and_structured_output_are_broken(serve: Serve) -> None:
    async with client(await serve(fault=("broken_arguments,also=true", "invalid_output"))) as one:
        ask = one.chat.completions.create
        question = {"model": "gpt-4o", "messages": [{"role": "user", "content": "go"}]}
        called = await ask(**question, tools=[TOOL], tool_choice="required")
        [call] = called.choices[0].message.tool_calls or []
        with pytest.raises(json.JSONDecodeError):
            json.loads(call.function.arguments)
        shaped = await ask(**question, response_format=SCHEMA)
        value = json.loads(shaped.choices[0].message.content or "")
        assert value["unexpected"] is True
        text = ""
        async for event in await ask(**question, response_format=SCHEMA, stream=True):
            text += (event.choices[0].delta.content or "") if event.choices else ""
        assert json.loads(text)["unexpected"] is True


async def test_anthropic_hears_its_own_overload(serve: Serve) -> None:
    app = await serve(fault=("error:kind=overloaded",))
    async with anthropic.AsyncAnthropic(base_url=app.url, api_key="k", max_retries=0) as one:
        with pytest.raises(anthropic.APIStatusError) as caught:
            await one.messages.create(
                model="claude", max_tokens=5, messages=[{"role": "user", "content": "hi"}]
            )
    assert caught.value.status_code == 529
    assert caught.value.body["error"]["type"] == "overloaded_error"  # type: ignore[index]
