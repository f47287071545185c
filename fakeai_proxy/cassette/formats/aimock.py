"""aimock's fixtures: what a request must have in it, and what is then said.

They are no recordings: of the request only its last words are known, so an imported one is found by
`--match loose`. A fixture that answers by something else than words is left out. Each is there twice,
whole and as a stream.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from fakeai_proxy.cassette.formats import chat
from fakeai_proxy.cassette.formats.fields import Fields, read_json
from fakeai_proxy.cassette.formats.seen import Answer, Seen, Skipped

#: Where a fixture answers any model.
_MODEL = "gpt-4o"
_EMBEDDER = "text-embedding-3-small"
#: Characters a chunk, and seconds between two, where a fixture says nothing of it: as aimock has it.
_CHUNK_CHARS = 20
#: Tokens a second; slower is never.
_RATE_MIN = 1e-3
_ENDPOINTS = ("chat", "embedding")


def read(files: Sequence[Path], tell: Callable[[int, int], None]) -> Iterator[Seen | Skipped]:
    for path in files:
        fixtures = list(Fields(read_json(path), path).objects("fixtures"))
        fixtures.sort(key=lambda fixture: _turn(fixture.object("match", {})))
        for done, fixture in enumerate(fixtures, 1):
            yield from _seen(fixture)
            tell(done, len(fixtures))


def _turn(match: Fields) -> int:
    """Of fixtures for the same request, one is the first."""
    return match.integer("sequenceIndex", 0)


def _seen(fixture: Fields) -> Iterator[Seen | Skipped]:
    match, response = fixture.object("match"), fixture.object("response")
    endpoint = match.text("endpoint", "embedding" if response.has("embedding") else "chat")
    if endpoint not in _ENDPOINTS:
        yield Skipped(fixture.place, f"not imported for {endpoint}")
        return
    words = match.any("inputText") if endpoint == "embedding" else match.any("userMessage")
    if not isinstance(words, str):
        yield Skipped(fixture.place, "it does not say what was asked")
        return
    if endpoint == "embedding":
        yield _embedding(match, response, words)
        return
    body = _asked(match, words)
    if response.has("error") or response.has("json"):
        yield chat.asked(fixture.place, body, _plain(response))
        return
    whole = _whole(fixture, response, body["model"])
    if whole is None:
        yield Skipped(fixture.place, "it answers with something else than words and calls")
        return
    pieces = _pieces(fixture, whole)
    gaps_us = _gaps_us(fixture)
    yield chat.asked(fixture.place, body, chat.said(200, whole, gaps_us[0]))
    yield chat.asked(fixture.place, {**body, "stream": True}, chat.streamed(whole, pieces, gaps_us))


def _asked(match: Fields, words: str) -> dict[str, Any]:
    system = match.any("systemMessage") or []
    texts = [system] if isinstance(system, str) else match.items("systemMessage")
    messages = [{"role": "system", "content": "\n".join(map(str, texts))}] if texts else []
    return {"model": match.text("model", _MODEL), "messages": [*messages, _user(words)]}


def _user(words: str) -> dict[str, str]:
    return {"role": "user", "content": words}


def _embedding(match: Fields, response: Fields, words: str) -> Seen:
    model = match.text("model", _EMBEDDER)
    vector = response.items("embedding")
    listed = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": vector}],
              "model": model, "usage": {"prompt_tokens": 0, "total_tokens": 0}}  # fmt: skip
    body = {"model": model, "input": words}
    return chat.asked(match.place, body, chat.said(200, listed), "/v1/embeddings")


def _plain(response: Fields) -> Answer:
    if not response.has("error"):
        return chat.said(response.integer("status", 200), response.any("json"))
    said = {"type": "server_error", "param": None, "code": None, **response.object("error").value}
    answer = chat.said(response.integer("status", 500), {"error": said})
    if response.has("retryAfter"):
        wait = b"%d" % response.integer("retryAfter")
        answer.headers = (*answer.headers, (b"retry-after", wait))
    return answer


def _whole(fixture: Fields, response: Fields, model: str) -> dict[str, Any] | None:
    texts: list[str] = [_words(response.any("content"))] if response.has("content") else []
    calls = list(response.objects("toolCalls"))
    for block in response.objects("blocks"):
        if block.text("type") == "text":
            texts.append(block.text("text"))
        else:
            calls.append(block)
    if not texts and not calls:
        return None
    message: dict[str, Any] = {"content": "".join(texts) if texts else None}
    if calls:
        message["tool_calls"] = [_call(call) for call in calls]
    if response.has("reasoning"):
        message["reasoning_content"] = response.text("reasoning")
    more = {ours: response.any(theirs)
            for theirs, ours in (("id", "id"), ("created", "created"), ("usage", "usage"),
                                 ("systemFingerprint", "system_fingerprint"),
                                 ("finishReason", "finish_reason"))
            if response.has(theirs)}  # fmt: skip
    number = _number(fixture.value)
    return chat.completion(response.text("model", model), message, number, more)


def _words(content: Any) -> str:
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def _call(call: Fields) -> dict[str, Any]:
    number = call.text("id", f"call_{_number(call.value)}")
    said = {"name": call.text("name"), "arguments": _words(call.any("arguments") or {})}
    return {"id": number, "type": "function", "function": said}


def _number(value: object) -> str:
    """Some letters that are the same for the same."""
    return blake2b(chat.written(value), digest_size=12).hexdigest()


def _pieces(fixture: Fields, whole: dict[str, Any]) -> list[str]:
    content = whole["choices"][0]["message"]["content"] or ""
    size = max(1, fixture.integer("chunkSize", _CHUNK_CHARS))
    return [content[start : start + size] for start in range(0, len(content), size)]


def _gaps_us(fixture: Fields) -> list[int]:
    """Before the first frame, and before those that follow."""
    recorded = fixture.object("recordedTimings", {})
    if recorded.has("ttftMs"):
        gaps_ms = [recorded.number("ttftMs"), *recorded.numbers("interChunkDelaysMs")]
        return [max(0, round(ms * 1000)) for ms in gaps_ms]
    profile = fixture.object("streamingProfile", {})
    latency_ms = fixture.number("latency", 0)
    first_ms = profile.number("ttft", latency_ms)
    rate = profile.number("tps", 0)
    next_ms = 1000 / max(rate, _RATE_MIN) if rate > 0 else latency_ms
    return [max(0, round(ms * 1000)) for ms in (first_ms, next_ms)]
