"""A server of the OpenAI and Anthropic APIs that this project did not write: aimock, from npm."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from tests.doubles.program import bare_environment

#: It streams in pieces of a few characters, this far apart.
PIECE_GAP_MS = 10

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


class ForeignServer:
    """`command` starts its command line; the answers are written to `folder`."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        answers = folder / "answers.json"
        answers.write_text(json.dumps({"fixtures": ANSWERS}), "utf-8")
        self._process = subprocess.Popen(
            [
                *command, "--port", "0", "--fixtures", str(answers), "--strict",
                "--latency", str(PIECE_GAP_MS), "--chunk-size", "8",
            ],
            env=bare_environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.url = self._listening()
        threading.Thread(target=self._drain, daemon=True).start()

    def _listening(self) -> str:
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            said.append(line)
            found = re.search(r"listening on (http://127\.0\.0\.1:\d+)", line)
            if found:
                return found[1]
        raise AssertionError("the foreign server did not come up:\n" + "".join(said))

    def _drain(self) -> None:
        """A full pipe would stop it in its logging."""
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for _ in lines:
                pass

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
