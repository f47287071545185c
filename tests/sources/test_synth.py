"""What synthesizing does to the event loop."""

from __future__ import annotations

import threading

import openai
import pytest

from fakeai_proxy.exchange import Request
from fakeai_proxy.generate import tokens
from tests.conftest import Serve


async def test_a_vocabulary_is_read_in_a_thread(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = await serve(mode="synth", profile="none")
    monkeypatch.setattr(tokens, "_loaded", {})
    readers = []
    read = tokens.Tokens.__init__

    def note(self: tokens.Tokens, name: str) -> None:
        readers.append((name, threading.current_thread()))
        read(self, name)

    monkeypatch.setattr(tokens.Tokens, "__init__", note)
    async with openai.AsyncOpenAI(base_url=app.url + "/v1", api_key="any", max_retries=0) as client:
        answer = await client.chat.completions.create(
            model="gpt-4", messages=[{"role": "user", "content": "Hello"}], max_tokens=5
        )
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5
    assert [name for name, _ in readers] == ["cl100k_base"]
    assert readers[0][1] is not threading.main_thread()


async def test_a_long_body_is_hashed_in_a_thread(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = await serve(mode="synth", profile="none")
    hashing = []
    fingerprint = Request.fingerprint

    def note(self: Request, body: bytes) -> bytes:
        known = self._fingerprint
        digest = fingerprint(self, body)
        if self._fingerprint is not known:
            hashing.append((len(body) > 1 << 20, threading.current_thread()))
        return digest

    monkeypatch.setattr(Request, "fingerprint", note)
    async with openai.AsyncOpenAI(base_url=app.url + "/v1", api_key="any", max_retries=0) as client:
        for text in ("short", "long " * 300_000):
            await client.chat.completions.create(
                model="gpt-4.1", messages=[{"role": "user", "content": text}], max_tokens=1
            )
    short, long = hashing
    assert short == (False, threading.main_thread())
    assert long[0]
    assert long[1] is not threading.main_thread()
