"""The official SDKs raise the class that each error has, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncAzureOpenAI, AsyncOpenAI

from fakeai_proxy.app import App
from tests.errors.raising import raising

ASK: list[Any] = [{"role": "user", "content": "Hello"}]


@pytest.fixture
async def app() -> AsyncIterator[App]:
    async with raising() as made:
        yield made


def openai_at(app: App) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=app.url + "/v1", api_key="sk-test", max_retries=0)


def azure_at(app: App) -> AsyncAzureOpenAI:
    return AsyncAzureOpenAI(
        azure_endpoint=app.url, api_key="any", api_version="2024-10-21", max_retries=0
    )


OPENAI = {
    "bad_request": openai.BadRequestError,
    "context_length": openai.BadRequestError,
    "content_filter": openai.BadRequestError,
    "missing_key": openai.AuthenticationError,
    "authentication": openai.AuthenticationError,
    "permission": openai.PermissionDeniedError,
    "model_not_found": openai.NotFoundError,
    "conflict": openai.ConflictError,
    "unprocessable": openai.UnprocessableEntityError,
    "rate_limit": openai.RateLimitError,
    "quota": openai.RateLimitError,
    "server_error": openai.InternalServerError,
    "bad_gateway": openai.InternalServerError,
    "overloaded": openai.InternalServerError,
    "slow_down": openai.InternalServerError,
    "timeout": openai.InternalServerError,
    "request_timeout": openai.APIStatusError,
    "request_too_large": openai.APIStatusError,
}


@pytest.mark.parametrize("kind", OPENAI)
async def test_openai_raises_the_class_of_each_kind(app: App, kind: str) -> None:
    async with openai_at(app) as client:
        with pytest.raises(OPENAI[kind]) as caught:
            await client.chat.completions.create(
                model="gpt-4o", messages=ASK, extra_headers={"x-kind": kind}
            )
    error = caught.value
    assert type(error) is OPENAI[kind]
    assert str(error.request_id).startswith("req_")
    assert isinstance(error.body, dict)
    assert set(error.body) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("status", "expected"),
    [(429, openai.RateLimitError), (500, openai.InternalServerError),
     (503, openai.InternalServerError), (529, openai.InternalServerError)],
)  # fmt: skip
async def test_openai_raises_the_class_of_each_status(
    app: App, status: int, expected: type[openai.APIStatusError]
) -> None:
    async with openai_at(app) as client:
        with pytest.raises(expected) as caught:
            await client.models.list(extra_headers={"x-status": str(status)})
    assert caught.value.status_code == status


async def test_no_answer_is_a_timeout_of_the_client(app: App) -> None:
    async with openai_at(app).with_options(timeout=0.2) as client:
        with pytest.raises(openai.APITimeoutError):
            await client.models.list(extra_headers={"x-never": "1"})


AZURE = {
    "authentication": (openai.AuthenticationError, "401"),
    "permission": (openai.PermissionDeniedError, "AccessDenied"),
    "model_not_found": (openai.NotFoundError, "DeploymentNotFound"),
    "content_filter": (openai.BadRequestError, "content_filter"),
    "context_length": (openai.BadRequestError, "context_length_exceeded"),
    "rate_limit": (openai.RateLimitError, "429"),
    "slow_down": (openai.RateLimitError, "too_many_requests"),
    "overloaded": (openai.InternalServerError, None),
    "request_timeout": (openai.APIStatusError, "Timeout"),
}


@pytest.mark.parametrize("kind", AZURE)
async def test_azure_raises_the_class_of_each_kind(app: App, kind: str) -> None:
    expected, code = AZURE[kind]
    async with azure_at(app) as client:
        with pytest.raises(expected) as caught:
            await client.chat.completions.create(
                model="mine", messages=ASK, extra_headers={"x-kind": kind}
            )
    assert caught.value.code == code
    assert caught.value.response.headers["apim-request-id"]


async def test_azure_tells_which_filter_caught_the_prompt(app: App) -> None:
    async with azure_at(app) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(
                model="mine", messages=ASK, extra_headers={"x-kind": "content_filter"}
            )
    body: Any = caught.value.body
    assert body["innererror"]["code"] == "ResponsibleAIPolicyViolation"
    result = body["innererror"]["content_filter_result"]
    assert [name for name, one in result.items() if one["filtered"]] == ["violence"]


ANTHROPIC = {
    "bad_request": (anthropic.BadRequestError, "invalid_request_error"),
    "context_length": (anthropic.BadRequestError, "invalid_request_error"),
    "quota": (anthropic.BadRequestError, "invalid_request_error"),
    "authentication": (anthropic.AuthenticationError, "authentication_error"),
    "permission": (anthropic.PermissionDeniedError, "permission_error"),
    "model_not_found": (anthropic.NotFoundError, "not_found_error"),
    "request_too_large": (anthropic.APIStatusError, "request_too_large"),
    "rate_limit": (anthropic.RateLimitError, "rate_limit_error"),
    "server_error": (anthropic.InternalServerError, "api_error"),
    "timeout": (anthropic.InternalServerError, "timeout_error"),
    "overloaded": (anthropic.InternalServerError, "overloaded_error"),
}


@pytest.mark.parametrize("kind", ANTHROPIC)
async def test_anthropic_raises_the_class_of_each_kind(app: App, kind: str) -> None:
    expected, type_ = ANTHROPIC[kind]
    async with AsyncAnthropic(base_url=app.url, api_key="any", max_retries=0) as client:
        with pytest.raises(expected) as caught:
            await client.messages.create(
                model="claude", max_tokens=9, messages=ASK, extra_headers={"x-kind": kind}
            )
    body: Any = caught.value.body
    assert body["error"]["type"] == type_
    assert caught.value.request_id == body["request_id"]
    if kind == "overloaded":
        assert type(caught.value).__name__ == "OverloadedError"


SPEAKING_OPENAI = ["openai", "azure", "vllm", "vllm-old", "sglang", "nim", "nvidia", "tgi"]


@pytest.mark.parametrize("dialect", SPEAKING_OPENAI)
async def test_openai_raises_what_comes_in_the_middle_of_a_stream(dialect: str) -> None:
    async with raising(dialect=dialect) as app, openai_at(app) as client:
        stream = await client.chat.completions.create(
            model="m", messages=ASK, stream=True, extra_headers={"x-stream-kind": "server_error"}
        )
        begun = await anext(stream)
        assert begun.choices[0].delta.content == "So"
        with pytest.raises(openai.APIError):
            await anext(stream)


async def test_anthropic_raises_what_comes_in_the_middle_of_a_stream(app: App) -> None:
    async with AsyncAnthropic(base_url=app.url, api_key="any", max_retries=0) as client:
        stream = await client.messages.create(
            model="m", max_tokens=9, messages=ASK, stream=True,
            extra_headers={"x-stream-kind": "overloaded"},
        )  # fmt: skip
        begun = await anext(stream)
        assert begun.type == "message_start"
        with pytest.raises(anthropic.APIStatusError) as caught:
            await anext(stream)
    body: Any = caught.value.body
    assert body["error"] == {"type": "overloaded_error", "message": "Overloaded"}
