"""A client without an SDK, good in every way; the programs beside it change one thing each."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from time import sleep
from typing import Any

import httpx

URL = "https://api.openai.com/v1/chat/completions"
PASSING = (408, 409, 429, 500, 502, 503, 504, 529)
Message = dict[str, Any]


class RefusedError(Exception):
    def __init__(self, status: int, said: str, wait_s: float | None) -> None:
        super().__init__(f"status {status}: {said[:80]}")
        self.status = status
        self.wait_s = wait_s


class BrokenError(Exception):
    """An answer without its end."""


def obey(attempt: int, told_s: float | None) -> float:
    return 0.2 * 2**attempt if told_s is None else told_s


def told(headers: httpx.Headers) -> float | None:
    if "retry-after-ms" in headers:
        return float(headers["retry-after-ms"]) / 1000
    return float(headers["retry-after"]) if "retry-after" in headers else None


class Client:
    timeout_s: float | None = 3.0
    attempts = 4
    repeated: tuple[int, ...] = PASSING
    pause: Callable[[int, float | None], float] = staticmethod(obey)
    #: What a broken answer is to it.
    broken: tuple[type[Exception], ...] = (BrokenError, ValueError, httpx.HTTPError)

    def __init__(self) -> None:
        self._client = httpx.Client()

    def ask(self, messages: list[Message], **asked: Any) -> str:
        """The text of a streamed answer."""
        for attempt in range(self.attempts):
            failure: Exception
            wait_s = None
            try:
                return self._stream({"model": "gpt-4o-mini", "messages": messages, **asked})
            except RefusedError as error:
                if error.status not in self.repeated:
                    sys.exit(f"refused: {error}")
                failure, wait_s = error, error.wait_s
            except self.broken as error:
                failure = error
            sleep(self.pause(attempt, wait_s))
        sys.exit(f"gave up: {failure!r}")

    def _stream(self, asked: Message) -> str:
        pieces: list[str] = []
        with self._open(asked) as reply:
            if reply.status_code >= 400:
                raise RefusedError(reply.status_code, reply.read().decode(), told(reply.headers))
            try:
                self._read(reply, pieces)
            except self.broken as error:
                self.on_broken(error)
        return "".join(pieces)

    def on_broken(self, error: Exception) -> None:
        raise error

    def _open(self, asked: Message) -> Any:
        return self._client.stream(
            "POST", URL, json={**asked, "stream": True}, timeout=self.timeout_s,
            headers={"authorization": "Bearer any"},
        )  # fmt: skip

    def _read(self, reply: httpx.Response, pieces: list[str]) -> None:
        data = ""
        for line in reply.iter_lines():
            if line.startswith("data:"):
                data += line[5:].strip()
            elif not line and data:
                if data == "[DONE]":
                    return
                event, data = json.loads(data), ""
                if "error" in event:
                    raise BrokenError(event["error"])
                for choice in event["choices"]:
                    pieces.append(choice["delta"].get("content") or "")
                    if choice.get("finish_reason") == "length":
                        print("warning: cut short", file=sys.stderr)
        raise BrokenError("no end")

    def complete(self, messages: list[Message], **asked: Any) -> Message:
        """The message of a whole answer. Raises RefusedError."""
        said = self._client.post(
            URL, json={"model": "gpt-4o-mini", "messages": messages, **asked},
            timeout=self.timeout_s, headers={"authorization": "Bearer any"},
        )  # fmt: skip
        if said.status_code >= 400:
            raise RefusedError(said.status_code, said.text, told(said.headers))
        return said.json()["choices"][0]["message"]


QUESTION = [{"role": "user", "content": "What is a lighthouse for?"}]


def main(client: Client) -> None:
    print(client.ask(QUESTION))
