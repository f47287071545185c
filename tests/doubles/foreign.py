"""A server of the OpenAI and Anthropic APIs that this project did not write: aimock, from npm."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from tests.doubles.program import bare_environment
from tests.doubles.started import Started

#: It streams in pieces of a few characters, this far apart.
PIECE_GAP_MS = 10
_START_S = 60.0

CAPITAL = "Paris is the capital of France, and has been for most of its history."
ANSWERS = (
    {"match": {"userMessage": "capital of France"}, "response": {"content": CAPITAL}},
    {
        "match": {"userMessage": "weather"},
        "response": {"toolCalls": [{"name": "get_weather", "arguments": {"city": "Paris"}}]},
    },
    {
        "match": {"userMessage": "draw a number", "sequenceIndex": 0},
        "response": {"content": "first"},
    },
    {
        "match": {"userMessage": "draw a number", "sequenceIndex": 1},
        "response": {"content": "second"},
    },
    {"match": {"userMessage": "draw a number"}, "response": {"content": "third"}},
    {
        "match": {"userMessage": "too fast"},
        "response": {
            "error": {
                "message": "Rate limit reached for requests.",
                "type": "rate_limit_error",
                "code": "rate_limit_exceeded",
            },
            "status": 429,
            "retryAfter": 7,
        },
    },
)


class ForeignServer(Started):
    """`command` starts its command line; the answers are written to `folder`."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        answers = folder / "answers.json"
        answers.write_text(json.dumps({"fixtures": ANSWERS}), "utf-8")
        super().__init__(
            [
                *command, "--port", "0", "--fixtures", str(answers), "--strict",
                "--latency", str(PIECE_GAP_MS), "--chunk-size", "8",
            ],
            bare_environment(), folder, _url, _START_S,
        )  # fmt: skip

    @property
    def url(self) -> str:
        return self.place


def _url(line: str) -> str | None:
    listening = re.search(r"listening on (http://127\.0\.0\.1:\d+)", line)
    return None if listening is None else listening[1]
