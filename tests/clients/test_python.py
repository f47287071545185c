"""Python clients as they come from PyPI, led through the proxy by the environment alone."""

from __future__ import annotations

import pytest

from tests.clients.conftest import python_client
from tests.doubles.program import Program

QUESTION = "What is the capital of France?"


def test_the_openai_sdk_blocking_async_and_streaming(proxied: dict[str, str]) -> None:
    said = python_client("openai_sdk", proxied, QUESTION)
    assert said["sync"]
    assert said["sync"] == said["async"], "same seed, same request, same answer"
    assert said["sync_stream"]
    assert said["sync_stream"] == said["async_stream"]


def test_the_openai_sdk_lists_models_and_embeds(proxied: dict[str, str]) -> None:
    said = python_client("openai_catalogue", proxied)
    assert "gpt-4o" in said["models"]
    assert said["dimensions"] == 64
    assert said["length"] == pytest.approx(1, abs=1e-5)


def test_the_anthropic_sdk_blocking_and_streaming(proxied: dict[str, str]) -> None:
    said = python_client("anthropic_sdk", proxied, QUESTION)
    assert said["text"]
    assert said["text"] == said["stream"]
    assert said["id"].startswith("msg_01")


def test_requests(proxied: dict[str, str]) -> None:
    said = python_client("requests_http", proxied, QUESTION)
    assert said["models"] > 2
    assert said["text"]
    assert said["stream_type"].startswith("text/event-stream")
    assert said["last_line"] == "data: [DONE]"
    assert said["pieces"] > 3


def test_httpx(proxied: dict[str, str]) -> None:
    said = python_client("httpx_http", proxied, QUESTION)
    assert said["version"] == "HTTP/1.1"
    assert said["text"]
    assert said["last_line"] == "data: [DONE]"


def test_aiohttp_with_many_connections(proxied: dict[str, str]) -> None:
    said = python_client("aiohttp_http", proxied, QUESTION)
    assert len(said["texts"]) == 20
    assert len(set(said["texts"])) == 1
    assert said["last_line"] == "data: [DONE]"


def test_a_client_without_our_certificate_authority_refuses_to_talk(
    synth: Program, proxied: dict[str, str]
) -> None:
    trusting = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    environ = {name: value for name, value in proxied.items() if name not in trusting}
    with pytest.raises(pytest.fail.Exception, match=r"CERTIFICATE_VERIFY_FAILED"):
        python_client("requests_http", environ, QUESTION)
