"""Chat completions that are known by what was said, for formats that keep no bytes: the request and the
reply, whole or as a stream, as the API writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fakeai_proxy.cassette.formats.seen import Answer, Schedule, Seen
from fakeai_proxy.exchange import Headers

UPSTREAM = "https://api.openai.com"
TARGET = "/v1/chat/completions"
JSON: Headers = ((b"content-type", b"application/json"),)
_SSE: Headers = ((b"content-type", b"text/event-stream; charset=utf-8"),)


def written(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )


def asked(place: str, body: Mapping[str, Any], answer: Answer, target: str = TARGET) -> Seen:
    return Seen(place, "POST", UPSTREAM, target, JSON, written(body), answer)


def said(status: int, body: object, us: int = 0) -> Answer:
    data = written(body)
    return Answer(status, JSON, data, schedule=Schedule((len(data),), (us,), us))


def completion(
    model: str, message: Mapping[str, Any], number: str, more: Mapping[str, Any]
) -> dict[str, Any]:
    """`more` are fields as the file has them, which come before what is made up."""
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    choice = {
        "index": 0, "message": {"role": "assistant", "content": None, **message},
        "logprobs": None, "finish_reason": more.get("finish_reason", finish),
    }  # fmt: skip
    kept = {name: more[name] for name in ("usage", "system_fingerprint") if name in more}
    return {"id": more.get("id", f"chatcmpl-{number}"), "object": "chat.completion",
            "created": more.get("created", 0), "model": model, "choices": [choice], **kept}  # fmt: skip


def streamed(whole: Mapping[str, Any], pieces: Sequence[str], gaps_us: Sequence[int]) -> Answer:
    """The completion `whole` as a stream whose content comes in `pieces`. `gaps_us` are those before
    its frames; the last one counts for all that follow."""
    frames = [b"data: %b\n\n" % written(chunk) for chunk in _chunks(whole, pieces)]
    frames.append(b"data: [DONE]\n\n")
    given = [*gaps_us, *[gaps_us[-1]] * len(frames)][: len(frames)]
    cuts = tuple(map(len, frames))
    schedule = Schedule(cuts, tuple(given), given[0])
    return Answer(200, _SSE, b"".join(frames), schedule=schedule)


def _chunks(whole: Mapping[str, Any], pieces: Sequence[str]) -> Iterator[dict[str, Any]]:
    (choice,) = whole["choices"]
    message = choice["message"]

    def chunk(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        one = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {"id": whole["id"], "object": "chat.completion.chunk",
                "created": whole["created"], "model": whole["model"], "choices": [one]}  # fmt: skip

    yield chunk({"role": "assistant", "content": "" if pieces else None})
    for piece in pieces:
        yield chunk({"content": piece})
    for index, call in enumerate(message.get("tool_calls") or ()):
        yield chunk({"tool_calls": [{"index": index, **call}]})
    yield chunk({}, choice["finish_reason"])
