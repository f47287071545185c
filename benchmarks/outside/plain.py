"""The same load from a client that does as little as a client can: blocking sockets, one thread for each
request under way, nothing parsed before the end. How much later the others see a token is their own time.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass
from random import Random
from statistics import mean

from load_seen import Load, Seen
from server import Server

#: Of a number with three digits.
_WORD_TOKENS = 4
_HEADERS = {"content-type": "application/json", "authorization": "Bearer any"}


@dataclass(frozen=True)
class _Stream:
    ttft_s: float
    whole_s: float
    prompt_tokens: int
    output_tokens: int

    @property
    def itl_s(self) -> float:
        return (self.whole_s - self.ttft_s) / max(self.output_tokens - 1, 1)


def plain(server: Server, load: Load) -> Seen:
    bodies = [_body(server.models()[0], load, Random(k)) for k in range(load.requests)]
    streams: list[_Stream] = []

    def work() -> None:
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
        while bodies:
            streams.append(_asked(connection, bodies.pop()))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(load.concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Seen(
        version="",
        requests=len(streams),
        errors=load.requests - len(streams),
        prompt_tokens=sum(each.prompt_tokens for each in streams),
        output_tokens=sum(each.output_tokens for each in streams),
        ttft_ms=1000 * mean(each.ttft_s for each in streams),
        itl_ms=1000 * mean(each.itl_s for each in streams),
        e2e_ms=1000 * mean(each.whole_s for each in streams),
        itl_metric="vllm:request_time_per_output_token_seconds",
    )


def _body(model: str, load: Load, rng: Random) -> bytes:
    words = max(1, round(rng.gauss(load.prompt_tokens, load.stdev_tokens)) // _WORD_TOKENS)
    body = {
        "model": model,
        "messages": [{"role": "user", "content": " ".join(f"{rng.random():.3f}" for _ in range(words))}],
        "max_tokens": max(2, round(rng.gauss(load.output_tokens, load.stdev_tokens))),
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }  # fmt: skip
    return json.dumps(body).encode()


def _asked(connection: http.client.HTTPConnection, body: bytes) -> _Stream:
    started = time.perf_counter()
    connection.request("POST", "/v1/chat/completions", body, _HEADERS)
    reply = connection.getresponse()
    head = reply.readline()  # it leaves together with the first token
    first = time.perf_counter()
    events = (head + reply.read()).split(b"\n\n")
    ended = time.perf_counter()
    usage = json.loads(events[-3].removeprefix(b"data: "))["usage"]
    return _Stream(
        first - started, ended - started, usage["prompt_tokens"], usage["completion_tokens"]
    )
