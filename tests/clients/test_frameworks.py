"""Frameworks on top of the SDKs, as they come from PyPI and npm: their usual calls, and loops with tools
that come to an end."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import HERE, Node, node_client, run_client
from tests.clients.environment import interpreter
from tests.doubles.program import Program, bare_environment

#: The first one installs for all.
pytestmark = pytest.mark.timeout(900)

QUESTION = "What is the capital of France?"
CAPITAL = "The capital of France is Paris."
SUNNY = "It is 21 degrees and sunny in Paris."
PNG = "89504e470d0a1a0a"
#: None of them is to tell anybody anything, or to fetch what it has in its package.
_QUIET = {
    "AI_SDK_LOG_WARNINGS": "false",
    "DO_NOT_TRACK": "1",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LOGFIRE_SEND_TO_LOGFIRE": "false",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "OTEL_SDK_DISABLED": "true",
}


@pytest.fixture(scope="module")
def environ(synth: Program) -> dict[str, str]:
    return bare_environment(
        **_QUIET,
        OPENAI_API_KEY="sk-test", OPENAI_BASE_URL=synth.base_url, OPENAI_API_BASE=synth.base_url,
        ANTHROPIC_API_KEY="sk-ant-test", ANTHROPIC_API_BASE=synth.url,
    )  # fmt: skip


@pytest.fixture(scope="module")
def agents() -> Path:
    return interpreter("agents")


@pytest.fixture(scope="module")
def gateways() -> Path:
    return interpreter("gateways")


def said_by(python: Path, name: str, environ: dict[str, str], *arguments: str) -> dict[str, Any]:
    out = run_client([python, HERE / "programs" / f"{name}.py", *arguments], environ)
    said: dict[str, Any] = json.loads(out.strip().splitlines()[-1])  # litellm prints hints before
    return said


def vocabulary(gateways: Path) -> Path:
    """cl100k as litellm brings it: langchain embeds token ids, and would fetch the table for them."""
    (found,) = gateways.parents[1].rglob("litellm/litellm_core_utils/tokenizers")
    return found


def test_langchain_openai(agents: Path, gateways: Path, environ: dict[str, str]) -> None:
    environ = environ | {"TIKTOKEN_CACHE_DIR": str(vocabulary(gateways))}
    said = said_by(agents, "langchain_openai_chat", environ)
    for name in ("chat", "responses"):
        spoken = said[name]
        assert spoken["text"] == spoken["stream"]["text"] == CAPITAL
        assert spoken["usage"]["output_tokens"] == 7
        assert spoken["usage"] == spoken["stream"]["usage"]
        assert spoken["model"] == "gpt-4o-mini"
        assert spoken["loop"]["calls"] == [["get_weather", {"city": "Paris"}]]
        assert SUNNY in spoken["loop"]["text"]
        for city in spoken["structured"].values():
            assert city["population"] >= 1
            assert city["country"]
    assert said["vectors"] == [1536, 1536]
    assert said["query"] == 1536


def test_litellm(gateways: Path, environ: dict[str, str]) -> None:
    said = said_by(gateways, "litellm_gateway", environ, QUESTION)
    assert said["text"] == said["async"] == said["stream"]["text"] == said["claude"] == CAPITAL
    assert said["usage"] == said["stream"]["usage"] == 7
    assert said["vectors"] == [1536, 1536]
    assert said["image"] == PNG
    assert {name: (told["class"], told["status"]) for name, told in said["errors"].items()} == {
        "key": ("AuthenticationError", 401),
        "model": ("NotFoundError", 404),
        "parameter": ("BadRequestError", 400),
        "context": ("ContextWindowExceededError", 400),
        "limit": ("RateLimitError", 429),
        "server": ("InternalServerError", 500),
        "overload": ("ServiceUnavailableError", 503),
    }


def test_instructor(gateways: Path, environ: dict[str, str]) -> None:
    """The models have checked what they hold; a mode that they refuse would end the program."""
    said = said_by(gateways, "instructor_models", environ)
    for mode in ("TOOLS", "TOOLS_STRICT", "JSON", "JSON_SCHEMA", "RESPONSES_TOOLS"):
        assert re.fullmatch(r"\d{5}", said[mode]["customer"]["zip_code"])
        assert said[mode]["lines"]
        assert said[mode]["status"] in ("open", "paid")
    assert said["partial"]["steps"] > 3, "it grows as it arrives"
    assert said["partial"]["last"]["lines"]
    assert said["iterable"]


def test_pydantic_ai(agents: Path, environ: dict[str, str]) -> None:
    said = said_by(agents, "pydantic_ai_agent", environ)
    for name in ("chat", "responses"):
        for form in ("plain", "typed", "native", "stream"):
            assert said[name][form]["called"] == ["Paris"], (name, form)
        assert SUNNY in said[name]["plain"]["output"]
        assert SUNNY in said[name]["stream"]["output"]
        for form in ("typed", "native"):
            assert -60 <= said[name][form]["output"]["degrees"] <= 60


def test_openai_agents(agents: Path, environ: dict[str, str]) -> None:
    said = said_by(agents, "openai_agents_loop", environ)
    for name in ("chat", "responses"):
        for way in ("whole", "stream"):
            assert SUNNY in said[name][way]["text"]
            assert said[name][way]["called"] == ["Paris"]
        assert "run_item_stream_event" in said[name]["stream"]["kinds"]
        assert isinstance(said[name]["typed"]["degrees"], int)
        assert said[name]["handoff"]["agent"] == "Forecaster"
        assert said[name]["handoff"]["called"] == ["Paris"]
        assert SUNNY in said[name]["handoff"]["text"]


def test_the_vercel_ai_sdk(node: Node, npm_packages: Path, environ: dict[str, str]) -> None:
    said = node_client(node, "ai", environ, QUESTION)
    for name in ("chat", "responses"):
        spoken = said[name]
        assert spoken["text"] == "".join(spoken["pieces"]) == CAPITAL
        assert len(spoken["pieces"]) > 3
        assert spoken["finish"] == "stop"
        assert spoken["usage"]["outputTokens"] == spoken["stream_usage"]["outputTokens"] == 7
        for object_ in (spoken["object"], spoken["streamed_object"]):
            assert object_["recipe"]["course"] in ("starter", "main", "dessert")
        assert spoken["growth"] > 3
        assert spoken["loop"]["steps"] == 2
        for loop in (spoken["loop"], spoken["stream_loop"]):
            assert loop["called"] == ["Paris"]
            assert loop["finish"] == "stop"
            assert "sunny" in loop["text"]
    assert (said["vector"], said["vectors"]) == (1536, 2)
    assert said["image"] == {"type": "image/png", "start": PNG}
    assert said["speech"] == "RIFF"
    assert said["heard"]["text"] == "The lighthouse stands by the sea."
    assert said["error"] == {"name": "AI_APICallError", "status": 404, "retryable": False}
