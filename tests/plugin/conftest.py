"""Projects whose tests have cassettes, and an upstream beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# What a run within this process needs stays loaded between runs.
import anthropic.resources.messages
import openai.resources.chat
import pytest
import requests

import fakeai_proxy.pytest_plugin.stage
import fakeai_proxy.sources.recorder
from tests.doubles.internet import LoopThread
from tests.doubles.program import ROOT
from tests.doubles.upstream import Answer, FakeUpstream, json_reply, sse_reply

__all__ = ["anthropic", "fakeai_proxy", "openai", "requests"]

PLUGIN = "fakeai_proxy.pytest_plugin"
KEY = "sk-abcdefghijklmnopqrstuvwxyz123456"
#: What tests of such projects begin with.
BEGIN = """
import httpx, openai, pytest

def ask(text="Hello", **more):
    with openai.OpenAI(max_retries=0) as sdk:
        asked = [{"role": "user", "content": text}]
        answer = sdk.chat.completions.create(model="gpt-4o", messages=asked, **more)
    return answer.choices[0].message.content
"""


def chat(text: str) -> Answer:
    return json_reply(
        {
            "id": f"chatcmpl-{text}",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-4o",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": text},
                }
            ],
        }
    )


def stream(*pieces: str) -> Answer:
    frames = [
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "gpt-4o",
            "choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}],
        }
        for piece in pieces
    ]
    return sse_reply([b"data: %b\n\n" % json.dumps(frame).encode() for frame in frames]
                     + [b"data: [DONE]\n\n"])  # fmt: skip


class Upstream:
    """`answers` are given in order, the last for ever."""

    def __init__(self, thread: LoopThread, double: FakeUpstream) -> None:
        self._thread = thread
        self.double = double

    @property
    def url(self) -> str:
        return self.double.url

    @property
    def asked(self) -> int:
        return len(self.double.requests)

    def answers(self, *answers: Answer | str, path: str = "/v1/chat/completions") -> None:
        given = [chat(answer) if isinstance(answer, str) else answer for answer in answers]
        self.double.on("POST", path, *given)


@pytest.fixture(scope="module")
def thread() -> Iterator[LoopThread]:
    held = LoopThread()
    yield held
    held.close()


@pytest.fixture
def upstream(thread: LoopThread) -> Iterator[Upstream]:
    double = FakeUpstream()
    thread.run(double.__aenter__())
    yield Upstream(thread, double)
    thread.run(double.__aexit__())


class Project:
    """A folder of tests, run by a pytest of its own."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pytester = pytester
        self.monkeypatch = monkeypatch
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE", "ANTHROPIC_BASE_URL", "OPENAI_API_KEY",
                     "ANTHROPIC_API_KEY", "PYTEST_ADDOPTS", "HTTPS_PROXY", "https_proxy"):  # fmt: skip
            monkeypatch.delenv(name, raising=False)
        pytester.makeini(
            "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
        )

    @property
    def path(self) -> Path:
        return self.pytester.path

    def live(self, upstream: Upstream | str) -> None:
        """A key, and where OpenAI's API is."""
        url = upstream if isinstance(upstream, str) else upstream.url
        self.monkeypatch.setenv("OPENAI_BASE_URL", f"{url}/v1")
        self.monkeypatch.setenv("OPENAI_API_KEY", KEY)

    def offline(self) -> None:
        self.monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
        self.monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def tests(self, *lines: str, **files: str) -> None:
        """`test_it.py`, or files by their names."""
        self.pytester.makepyfile(**{"test_it": BEGIN + "\n".join(lines)} if lines else files)

    def run(self, *options: str, apart: bool = False) -> pytest.RunResult:
        """`apart`: in a process of its own."""
        run = self.pytester.runpytest_subprocess if apart else self.pytester.runpytest_inprocess
        left_out = ("-p", "no:hypothesispytest", *(() if apart else ("-p", "no:xdist")))
        return run("-p", PLUGIN, *left_out, *options)

    def passes(self, *options: str, apart: bool = False) -> str:
        """What it said."""
        result = self.run(*options, apart=apart)
        assert result.ret == 0, result.stdout.str() + result.stderr.str()
        return result.stdout.str()

    def fails(self, *options: str, apart: bool = False) -> str:
        result = self.run(*options, apart=apart)
        assert result.ret == pytest.ExitCode.TESTS_FAILED, result.stdout.str()
        return result.stdout.str()

    def cassettes(self) -> dict[str, str]:
        """Path below the folder of the tests -> the text of the file."""
        found = sorted(self.path.rglob("*.jsonl"))
        return {file.relative_to(self.path).as_posix(): file.read_text() for file in found}

    def records(self, name: str = "cassettes/test_it/test_it.jsonl") -> list[dict[str, Any]]:
        """The interactions of one cassette."""
        return [json.loads(line) for line in self.cassettes()[name].splitlines()[1:]]


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project(pytester, monkeypatch)
