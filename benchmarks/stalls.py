"""The longest single turn of the event loop that each operation of the synthesized API takes.

    python benchmarks/stalls.py
    python benchmarks/stalls.py --only images --only speech --turns

Every callback that the loop runs is timed by the CPU time of the loop's own thread, so what threads
beside it compute, and what else the machine does, does not count. First each operation alone, three
different requests after one that loads what it needs (which is then out of the garbage collector's
sight, as it soon would be by itself); then all at once. Prints milliseconds as JSON;
`--turns` tells where the time went. Takes less than half a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gc
import http.client
import io
import itertools
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from fakeai_proxy.cli.serve import start
from fakeai_proxy.config import Config

_REQUESTS, _CLIENTS, _TIMEOUT_S = 3, 6, 50.0
_SENTENCE = "The keeper of the lighthouse counts the ships that pass in the night. "
#: About 14 tokens each.
_LONG = _SENTENCE * 7200
_BOUNDARY = "stalls"
_TOOL = {"type": "object", "properties": {f"field_{k}": {"type": "string"} for k in range(100)}}

#: Path, body and its content type, by the number of the request.
Ask = Callable[[int], tuple[str, bytes, str]]


def _json(path: str, **body: object) -> Ask:
    """`#` in a text becomes the number of the request: equal ones would share a plan."""

    def ask(number: int) -> tuple[str, bytes, str]:
        return path, json.dumps(body).replace("#", str(number)).encode(), "application/json"

    return ask


def _chat(text: str, model: str = "gpt-4.1", **more: object) -> Ask:
    messages = [{"role": "user", "content": text + " #"}]
    return _json("/v1/chat/completions", model=model, messages=messages, **more)


def _form(path: str, filename: str, data: bytes, **fields: str) -> Ask:
    def ask(number: int) -> tuple[str, bytes, str]:
        parts = [
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
            f"{value.replace('#', str(number))}\r\n".encode()
            for name, value in fields.items()
        ]
        field = "file" if filename.endswith("wav") else "image"
        head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="{filename}"'
        kind = "audio/wav" if field == "file" else "image/png"
        parts.append(f"{head}\r\nContent-Type: {kind}\r\n\r\n".encode() + data + b"\r\n")
        body = b"".join([*parts, f"--{_BOUNDARY}--\r\n".encode()])
        return path, body, f"multipart/form-data; boundary={_BOUNDARY}"

    return ask


def _cases(sound: bytes, picture: bytes) -> dict[str, Ask]:
    told = [{"role": "user", "content": "Tell me about tides #"}]
    long = [{"role": "user", "content": _LONG + "#"}]
    shape = {"name": "a", "schema": {**_TOOL, "required": list(_TOOL["properties"])}}
    seen = "data:image/png;base64," + base64.b64encode(picture).decode()
    large = "data:image/png;base64," + base64.b64encode(picture + bytes(6 << 20)).decode()
    look = [{"type": "image_url", "image_url": {"url": seen}}, {"type": "text", "text": "What? #"}]
    return {
        "chat": _chat("Tell me about lighthouses"),
        "chat stream, 4,000 tokens": _chat(
            "Tell me about harbours", stream=True, max_tokens=4000, ignore_eos=True
        ),
        "chat, 100k tokens of prompt": _chat(_LONG),
        "chat stream, 100k tokens of prompt": _chat(_LONG, stream=True),
        "chat n=32, 500 tokens each": _chat(
            "Tell me about tides", n=32, max_tokens=500, ignore_eos=True
        ),
        "chat logprobs, 1,000 tokens": _chat(
            "Of stars", logprobs=True, top_logprobs=20, max_tokens=1000, ignore_eos=True
        ),
        "chat reasoning": _chat("Prove it", "o3", reasoning_effort="high"),
        "chat schema": _chat("Fill", response_format={"type": "json_schema", "json_schema": shape}),
        "chat 64 tools": _chat(
            "Use tool_7",
            tools=[
                {"type": "function", "function": {"name": f"tool_{k}", "parameters": _TOOL}}
                for k in range(64)
            ],
        ),
        "chat picture": _json(
            "/v1/chat/completions", model="gpt-4o", messages=[{"role": "user", "content": look}]
        ),
        "chat, a picture of 8 MB": _json(
            "/v1/chat/completions", model="gpt-4o", messages=[{"role": "user", "content": [{
                "type": "image_url", "image_url": {"url": large},
            }]}],
        ),
        "chat audio": _chat(
            "Say hello", "gpt-4o-audio-preview", modalities=["text", "audio"],
            audio={"voice": "alloy", "format": "wav"},
        ),
        "completions, 200 prompts": _json(
            "/v1/completions", model="gpt-3.5-turbo-instruct", max_tokens=50,
            prompt=[f"Story {k} of #" for k in range(200)],
        ),
        "completions, ids": _json(
            "/v1/completions", model="gpt-3.5-turbo-instruct", prompt=[list(range(1000, 4000))]
        ),
        "responses": _json("/v1/responses", model="gpt-4.1", input=told),
        "responses stream": _json("/v1/responses", model="gpt-4.1", input=told, stream=True),
        "responses, 100k tokens": _json("/v1/responses", model="gpt-4.1", input=long, store=True),
        "responses count, 100k tokens": _json(
            "/v1/responses/input_tokens", model="gpt-4.1", input=long
        ),
        "messages": _json(
            "/v1/messages", model="claude-opus-4-5", max_tokens=500, messages=told, stream=True
        ),
        "messages, 100k tokens": _json(
            "/v1/messages", model="claude-opus-4-5", max_tokens=50, messages=long
        ),
        "messages count, 100k tokens": _json(
            "/v1/messages/count_tokens", model="claude-opus-4-5", messages=long
        ),
        "messages batch": _json(
            "/v1/messages/batches",
            requests=[
                {"custom_id": str(k), "params": {
                    "model": "claude-opus-4-5", "max_tokens": 20, "messages": told}}
                for k in range(100)
            ],
        ),
        "embeddings, 1,000 inputs": _json(
            "/v1/embeddings", model="text-embedding-3-small",
            input=[f"{_SENTENCE}{k} #" for k in range(1000)],
        ),
        "moderations": _json("/v1/moderations", input=[_SENTENCE * 50 + "#"] * 32),
        "ranking, 200 passages": _json(
            "/v1/ranking", model="nvidia/nv-rerankqa-mistral-4b-v3", query={"text": "tides #"},
            passages=[{"text": f"{_SENTENCE}{k}"} for k in range(200)],
        ),
        "tokenize, 100k tokens": _json("/tokenize", model="gpt-4.1", prompt=_LONG + "#"),
        "detokenize": _json("/detokenize", model="gpt-4.1", tokens=list(range(100_000))),
        "text generation": _json("/v1/text/generation", model="gpt-4.1", input="Say # things"),
        "rag": _json("/rag/api/prompt", query="What is # about?"),
        "images": _json(
            "/v1/images/generations", model="gpt-image-1", prompt="A lighthouse #",
            size="1536x1024", stream=True, partial_images=2,
        ),
        "images edit": _form(
            "/v1/images/edits", "a.png", picture, model="gpt-image-1", prompt="A boat #"
        ),
        "speech": _json(
            "/v1/audio/speech", model="tts-1", voice="nova", input=_SENTENCE * 8 + "#",
            response_format="opus",
        ),
        "transcription": _form(
            "/v1/audio/transcriptions", "a.wav", sound, model="whisper-1",
            response_format="verbose_json", prompt="#",
        ),
        "video": _json("/v1/videos", model="sora-2", prompt="Waves #", seconds="4"),
        "models": lambda number: ("/v1/models", b"", ""),
    }  # fmt: skip


class Turns:
    """The longest callback of the loop since the last `take`."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self.what = ""

    def take(self) -> tuple[float, str]:
        longest = self.longest_s * 1e3, self.what
        self.longest_s, self.what = 0.0, ""
        return longest

    @contextmanager
    def watched(self) -> Iterator[None]:
        plain = asyncio.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            began = time.thread_time()
            plain(handle)
            took_s = time.thread_time() - began
            if took_s > self.longest_s:
                self.longest_s, self.what = took_s, repr(handle)

        asyncio.Handle._run = timed  # type: ignore[method-assign]  # what every turn goes through
        try:
            yield
        finally:
            asyncio.Handle._run = plain  # type: ignore[method-assign]


def _served(ready: threading.Event, place: dict[str, object]) -> None:
    """On asyncio's own loop, whose callbacks can be timed."""

    async def serve() -> None:
        flags = {"listen": "127.0.0.1:0", "mode": "synth", "profile": "none", "log_format": "none"}
        app, _ = await start(Config.load(flags=flags), io.StringIO())
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        place.update(url=app.url, end=lambda: loop.call_soon_threadsafe(ended.set))
        ready.set()
        await ended.wait()
        await app.close()

    asyncio.run(serve())


def _asked(url: str, ask: Ask, number: int) -> bytes:
    path, body, kind = ask(number)
    headers = {"authorization": "Bearer any", "anthropic-version": "2023-06-01"}
    if kind:
        headers["content-type"] = kind
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=_TIMEOUT_S)
    try:
        connection.request("POST" if body else "GET", path, body or None, headers)
        answer = connection.getresponse()
        said = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{path}: {answer.status} {said[:300]!r}")
        return said
    finally:
        connection.close()


def _measured(url: str, turns: Turns, only: list[str], where: bool) -> dict[str, float]:
    speech = _json("/v1/audio/speech", model="tts-1", voice="nova", input=_SENTENCE * 8,
                   response_format="wav")  # fmt: skip
    drawn = _json("/v1/images/generations", model="gpt-image-1", prompt="A harbour")
    picture = base64.b64decode(json.loads(_asked(url, drawn, 0))["data"][0]["b64_json"])
    cases = _cases(_asked(url, speech, 0), picture)
    cases = {name: ask for name, ask in cases.items() if not only or any(o in name for o in only)}
    numbers = itertools.count(1)
    result: dict[str, float] = {}

    def note(name: str) -> None:
        longest_ms, what = turns.take()
        result[name] = round(longest_ms, 2)
        if where:
            print(f"{longest_ms:8.2f} ms  {name}: {what}", file=sys.stderr)

    for name, ask in cases.items():
        _asked(url, ask, next(numbers))
        gc.freeze()
        turns.take()
        for _ in range(_REQUESTS):
            _asked(url, ask, next(numbers))
        note(name)
    with ThreadPoolExecutor(_CLIENTS) as clients:
        list(clients.map(lambda ask: _asked(url, ask, next(numbers)), list(cases.values()) * 2))
    note("all at once")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", default=[], help="part of an operation's name")
    parser.add_argument("--turns", action="store_true", help="tell which callback was the longest")
    options = parser.parse_args()
    ready, place, turns = threading.Event(), dict[str, object](), Turns()
    with turns.watched():
        server = threading.Thread(target=_served, args=(ready, place), daemon=True)
        server.start()
        if not ready.wait(_TIMEOUT_S):
            raise SystemExit("did not start")
        result = _measured(str(place["url"]), turns, options.only, options.turns)
        end = place["end"]
        assert callable(end)
        end()
        server.join(_TIMEOUT_S)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
