"""Every kind of error in every dialect, on the wire, against `golden/`; and what makes a dialect."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy import errors
from fakeai_proxy.body import Body
from fakeai_proxy.errors import KINDS, ApiError
from fakeai_proxy.exchange import Origin, Request
from fakeai_proxy.providers import (
    PROVIDERS,
    Provider,
    Told,
    error_answer,
    error_body,
    provider_of,
    stream_error,
)
from tests.conftest import Ended, Serve
from tests.errors.golden import DIALECTS, golden, said_by
from tests.errors.raising import raising

CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
KEY = {"authorization": "Bearer sk-any"}


def named(name: str) -> Provider:
    return next(provider for provider in PROVIDERS if provider.name == name)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_dialect_says_every_kind_of_error_as_its_golden_file_has_it(dialect: str) -> None:
    assert await said_by(dialect) == golden(dialect)


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_no_vendor_has_words_for_what_is_no_kind(provider: Provider) -> None:
    assert set(provider.words) <= set(KINDS)


#: Whole bodies as the vendors' documents and the issues of their users have them.
DOCUMENTED: list[tuple[str, ApiError, int, object]] = [
    ("openai", errors.of_kind("server_error"), 500, {"error": {
        "message": "The server had an error while processing your request. Sorry about that!",
        "type": "server_error", "param": None, "code": None}}),
    ("openai", errors.of_kind("model_not_found", model="x"), 404, {"error": {
        "message": "The model `x` does not exist or you do not have access to it.",
        "type": "invalid_request_error", "param": None, "code": "model_not_found"}}),
    ("openai", errors.of_kind(
        "rate_limit", model="gpt-4o", organization="org-1", unit="tokens per min (TPM)",
        limit=30000, used=28039, requested=3906, wait="3.89s", type="tokens"), 429, {"error": {
        "message": "Rate limit reached for gpt-4o in organization org-1 on tokens per min (TPM): "
        "Limit 30000, Used 28039, Requested 3906. Please try again in 3.89s. Visit "
        "https://platform.openai.com/account/rate-limits to learn more.",
        "type": "tokens", "param": None, "code": "rate_limit_exceeded"}}),
    ("azure", errors.of_kind("request_timeout"), 408, {"error": {
        "code": "Timeout", "message": "The operation was timeout."}}),
    ("anthropic", errors.of_kind("overloaded"), 529, {
        "type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"},
        "request_id": "req_1"}),
    ("anthropic", errors.of_status(503), 503, {
        "type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"},
        "request_id": "req_1"}),
    ("vllm", errors.of_kind("model_not_found", model="x"), 404, {"error": {
        "message": "The model `x` does not exist.", "type": "NotFoundError", "param": "model",
        "code": 404}}),
    ("vllm-old", errors.of_kind("model_not_found", model="x"), 404, {
        "object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError",
        "param": None, "code": 404}),
    ("vllm", errors.missing_key(), 401, {
        "error": "Unauthorized. Any non-empty key is accepted here."}),
    ("tgi", errors.of_kind("overloaded"), 429, {
        "error": "Model is overloaded", "error_type": "overloaded"}),
    ("tgi", errors.bad_request("`x` is wrong"), 422, {
        "error": "Input validation error: `x` is wrong", "error_type": "validation"}),
    ("sglang", errors.of_kind("overloaded"), 503, {
        "object": "error", "message": "The request queue is full.", "type": "503", "param": None,
        "code": 503}),
    ("nvidia", errors.of_kind("permission"), 403, {
        "status": 403, "title": "Forbidden", "detail": "Authorization failed"}),
    ("nvidia", errors.of_kind("rate_limit"), 429, {"status": 429, "title": "Too Many Requests"}),
    ("dynamo", errors.of_kind("model_not_found"), 404, {
        "message": "Model not found", "type": "Not Found", "code": 404}),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "error", "status", "body"), DOCUMENTED)
def test_what_is_documented_is_said(
    dialect: str, error: ApiError, status: int, body: object
) -> None:
    answer = error_answer(named(dialect), error, Told("req_1", 0, 0))
    assert (answer.status, json.loads(answer.body)) == (status, body)


async def test_the_log_has_the_status_that_was_sent() -> None:
    ended = Ended()
    async with raising(dialect="anthropic", observer=ended) as app, httpx.AsyncClient() as client:
        await client.post(app.url + "/v1/any", headers={"x-kind": "overloaded"})
    assert [exchange.status for exchange in ended.exchanges] == [529]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 418, 422, 429, 500, 503, 529])
async def test_a_status_that_is_asked_for_is_sent_in_every_dialect(
    dialect: str, status: int
) -> None:
    provider = named(dialect)
    error = errors.of_status(status)
    async with raising(dialect=dialect) as app, httpx.AsyncClient() as client:
        answer = await client.post(app.url + "/v1/any", headers={"x-status": str(status)})
    assert answer.status_code == status
    assert (answer.content == b"") == (error_body(provider, error, "") == b"")


def test_a_callers_message_and_headers_stay_in_every_dialect() -> None:
    error = errors.of_kind("rate_limit", "Wait 3s.", headers={"retry-after": "3"}, type="tokens")
    for provider in PROVIDERS:
        body = error_body(provider, error, "req_1")
        assert b"Wait 3s." in body or provider.name == "nvidia", provider.name
    assert b'"type":"tokens"' in error_body(named("openai"), error, "")


async def test_facts_fill_in_sentence_and_headers() -> None:
    error = errors.of_kind("rate_limit", retry_after_s=7, retry_after_ms=6500)
    assert b"retry after 7 seconds" in error_body(named("azure"), error, "")
    filtered = errors.of_kind("content_filter", category="hate")
    assert b'"hate":{"filtered":true' in error_body(named("azure"), filtered, "")


def test_our_own_errors_are_in_nobodys_words() -> None:
    for provider in PROVIDERS:
        error = errors.no_upstream("GET", "/x")
        assert b"--upstream URL" in error_body(provider, error, ""), provider.name


def test_an_error_of_no_kind_keeps_its_words_in_every_envelope() -> None:
    error = ApiError(404, "No such File object: file-x", param="id")
    for provider in PROVIDERS:
        assert b"file-x" in error_body(provider, error, ""), provider.name


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
@given(
    message=st.text(st.characters(), max_size=80),
    status=st.integers(400, 599),
    kind=st.sampled_from(["", *KINDS]),
)
def test_whatever_is_said_is_one_json_body_and_one_event(
    provider: Provider, message: str, status: int, kind: str
) -> None:
    error = ApiError(status, message, kind=kind)
    if kind:
        error = errors.of_kind(kind, message, status=status)
    body = error_body(provider, error, "req_1")
    assert body == b"" or isinstance(json.loads(body), dict)
    frame = stream_error(provider, error)
    assert frame.endswith(b"\n\n")
    events = frame.removesuffix(b"data: [DONE]\n\n").removesuffix(b"\n\n")
    assert b"\n\n" not in events
    assert b"\r" not in events


def test_the_events_of_responses_are_its_own() -> None:
    frame = stream_error(named("openai"), errors.of_kind("server_error"), "/v1/responses")
    assert frame.startswith(b'event: error\ndata: {"type":"error","code":"server_error",')


@pytest.mark.parametrize(
    ("host", "path", "headers", "dialect", "provider"),
    [
        ("", "/v1/chat/completions", (), "auto", "openai"),
        ("", "/v1/chat/completions", (), "vllm", "vllm"),
        ("", "/v1/models", ((b"anthropic-version", b"2023-06-01"),), "auto", "anthropic"),
        ("", "/v1/models", ((b"anthropic-version", b"2023-06-01"),), "vllm", "vllm"),
        ("", "/v1/messages", (), "vllm", "anthropic"),
        ("", "/openai/deployments/x/embeddings", (), "tgi", "azure"),
        ("", "/_fakeai/v1/nothing", (), "tgi", "openai"),
        ("api.openai.com", "/v1/chat/completions", (), "dynamo", "openai"),
        ("integrate.api.nvidia.com", "/v1/chat/completions", (), "openai", "nvidia"),
        ("mine.openai.azure.com", "/", (), "openai", "azure"),
    ],
)
def test_host_and_path_come_before_the_setting(
    host: str, path: str, headers: Any, dialect: str, provider: str
) -> None:
    request = Request("POST", path, headers, Body(b""))
    request.origin = Origin("https", host, 443) if host else None
    request.dialect = dialect
    assert provider_of(request).name == provider


@pytest.mark.parametrize(
    ("dialect", "there", "absent"),
    [
        ("openai", {"openai-version", "x-request-id"}, {"server", "apim-request-id"}),
        ("azure", {"apim-request-id", "x-ms-region"}, {"openai-version", "server"}),
        ("anthropic", {"request-id"}, {"openai-version", "x-request-id"}),
        ("vllm", {"server"}, {"openai-version", "openai-organization", "x-request-id"}),
        ("nvidia", {"nvcf-reqid", "nvcf-status"}, {"openai-version"}),
    ],
)
async def test_what_a_vendor_alone_sends_comes_with_its_replies_and_errors_only(
    serve: Serve, dialect: str, there: set[str], absent: set[str]
) -> None:
    app = await serve(dialect=dialect)
    async with httpx.AsyncClient(base_url=app.url, headers=KEY) as client:
        good = await client.post("/v1/chat/completions", json=CHAT)
        bad = await client.post("/v1/chat/completions", json={**CHAT, "model": "none-such"})
    assert (good.status_code, bad.status_code) == (200, 404)
    for answer in (good, bad):
        assert there <= set(answer.headers)
        assert not absent & set(answer.headers)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_unknown_model_is_told_how_to_serve_it(serve: Serve, dialect: str) -> None:
    app = await serve(dialect=dialect)
    async with httpx.AsyncClient(base_url=app.url, headers=KEY) as client:
        answer = await client.post("/v1/chat/completions", json={**CHAT, "model": "gpt-4x"})
    assert answer.status_code == 404
    assert "Near: gpt-4" in answer.text
    assert "--model gpt-4x or --any-model" in answer.text


async def test_the_example_of_the_documentation_is_what_is_answered(serve: Serve) -> None:
    app = await serve(dialect="vllm")
    async with httpx.AsyncClient(base_url=app.url, headers=KEY) as client:
        answer = await client.post("/v1/chat/completions", json={**CHAT, "model": "x"})
    page = Path(__file__).parents[2] / "docs" / "api.md"
    assert f"    {answer.text}\n" in page.read_text("utf-8")


async def test_an_unknown_deployment_is_azures_error(serve: Serve) -> None:
    app = await serve()
    path = "/openai/deployments/mine/chat/completions?api-version=2024-10-21"
    async with httpx.AsyncClient(base_url=app.url, headers={"api-key": "any"}) as client:
        unknown = await client.post(path, json={"messages": CHAT["messages"]})
        named_in_body = await client.post(path, json=CHAT)
        missing = await client.post("/v1/chat/completions", json={"messages": CHAT["messages"]})
    assert unknown.status_code == 404
    assert list(unknown.json()["error"]) == ["code", "message"]
    assert unknown.json()["error"]["code"] == "DeploymentNotFound"
    assert "--model mine" in unknown.json()["error"]["message"]
    assert named_in_body.json()["model"].startswith("gpt-4o")
    assert missing.json()["error"]["message"] == "you must provide a model parameter"
