"""The yardsticks: servers that do the least that HTTP allows, to divide the product's numbers by.

    json      an aiohttp handler that parses the request and sends canned bytes
    paced     a bare asyncio protocol that writes canned SSE chunks at absolute deadlines
    unshaped  the same protocol, each chunk written at once

    python benchmarks/yardstick.py --design paced --ttft-ms 200 --itl-ms 20 --port 8900

They share no code with the product, run on uvloop where the product would, and freeze the garbage
collector after start. `--reply FILE` makes `json` send the product's own bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import heapq
import json
import os
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

_TEXT = "The lighthouse keeper climbed the stairs again and looked at the sea for a while"
_WORDS = _TEXT.split(" ")
_BEFORE = (
    b'data: {"id":"chatcmpl-9fX2mQ7tYvB3kLr8ZpWc5nHd1aUe","object":"chat.completion.chunk",'
    b'"created":1754000000,"model":"gpt-4o-mini","service_tier":"default",'
    b'"system_fingerprint":"fp_8bda4d3a2c","choices":[{"index":0,"delta":'
)
_AFTER = b',"logprobs":null,"finish_reason":%b}]}\n\n'


def _frame(event: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(event), event)


_CHUNKS = [
    _frame(_BEFORE + b'{"content":"%b "}' % word.encode() + _AFTER % b"null") for word in _WORDS
]
_FIRST = _frame(_BEFORE + b'{"role":"assistant","content":""}' + _AFTER % b"null")
_LAST = _frame(_BEFORE + b"{}" + _AFTER % b'"stop"' + b"data: [DONE]\n\n") + b"0\r\n\r\n"
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_ANSWER = {
    "id": "chatcmpl-9fX2mQ7tYvB3kLr8ZpWc5nHd1aUe",
    "object": "chat.completion",
    "created": 1754000000,
    "model": "gpt-4o-mini",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": " ".join(_WORDS * 7)},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 19, "completion_tokens": 105, "total_tokens": 124},
}


class KernelTimer:
    """One absolute alarm to the microsecond; event loops round theirs to a millisecond."""

    def __init__(self, callback: Callable[[], None]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._settime = libc.timerfd_settime
        self._fd = libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        self._spec = (ctypes.c_long * 4)()
        self._callback = callback
        asyncio.get_running_loop().add_reader(self._fd, self._fire)

    def at(self, deadline: float) -> None:
        self._spec[2] = int(deadline)
        self._spec[3] = int((deadline % 1) * 1e9) or 1
        self._settime(self._fd, 1, self._spec, None)

    def _fire(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return
        self._callback()


class Heap:
    """Every stream's next deadline, and one timer."""

    def __init__(self, ttft_s: float, itl_s: float) -> None:
        self._ttft_s, self._itl_s = ttft_s, itl_s
        self._heap: list[tuple[float, int, asyncio.Transport, float, int, int]] = []
        self._serial = 0
        self._armed = float("inf")
        self._timer = KernelTimer(self._fire)

    def start(self, transport: asyncio.Transport, tokens: int) -> None:
        first_at = time.monotonic() + self._ttft_s
        self._serial += 1
        heapq.heappush(self._heap, (first_at, self._serial, transport, first_at, 0, tokens))
        if first_at < self._armed:
            self._armed = first_at
            self._timer.at(first_at)

    def _fire(self) -> None:
        heap, now = self._heap, time.monotonic()
        while heap and heap[0][0] <= now:
            _, serial, transport, first_at, k, tokens = heap[0]
            if transport.is_closing():
                heapq.heappop(heap)
                continue
            transport.write((_FIRST if k == 0 else b"") + _CHUNKS[k % len(_CHUNKS)])
            k += 1
            if k == tokens:
                heapq.heappop(heap)
                transport.write(_LAST)
                continue
            due = first_at + k * self._itl_s
            heapq.heapreplace(heap, (due, serial, transport, first_at, k, tokens))
        self._armed = heap[0][0] if heap else float("inf")
        if heap:
            self._timer.at(self._armed)


class Streamer(asyncio.Protocol):
    """HTTP by hand: a head, a body of known length, and `answer` with the tokens asked for."""

    def __init__(self, answer: Callable[[asyncio.Transport, int], None]) -> None:
        self._answer = answer
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not isinstance: uvloop's transports have no base class.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (head_end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:head_end].lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            body_end = head_end + 4 + length
            if len(self._received) < body_end:
                return
            body = self._received[head_end + 4 : body_end]
            self._received = self._received[body_end:]
            self._transport.write(_HEAD)
            self._answer(self._transport, json.loads(body or b"{}").get("max_tokens", 100))


def _at_once(transport: asyncio.Transport, tokens: int) -> None:
    transport.write(_FIRST)
    for k in range(tokens):
        transport.write(_CHUNKS[k % len(_CHUNKS)])
    transport.write(_LAST)


async def _serve_json(sock: socket.socket, reply: bytes) -> None:
    from aiohttp import web

    async def answer(request: web.Request) -> web.Response:
        json.loads(await request.read())
        return web.Response(body=reply, content_type="application/json")

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, sock, backlog=4096).start()


async def _serve_streams(
    sock: socket.socket, answer: Callable[[asyncio.Transport, int], None]
) -> None:
    await asyncio.get_running_loop().create_server(
        lambda: Streamer(answer), sock=sock, backlog=4096
    )


def _design(options: argparse.Namespace, sock: socket.socket) -> Awaitable[None]:
    if options.design == "json":
        reply = options.reply.read_bytes() if options.reply else json.dumps(_ANSWER).encode()
        return _serve_json(sock, reply)
    if options.design == "unshaped":
        return _serve_streams(sock, _at_once)
    return _serve_streams(sock, Heap(options.ttft_ms / 1e3, options.itl_ms / 1e3).start)


async def _serve(options: argparse.Namespace) -> None:
    # With the protocol left at 0 asyncio would not set TCP_NODELAY on what it accepts.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", options.port))
    await _design(options, sock)
    gc.collect()
    gc.freeze()
    await asyncio.Event().wait()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        from uvloop import new_event_loop
    except ImportError:
        return None
    return new_event_loop


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--design", choices=("json", "paced", "unshaped"), required=True)
    parser.add_argument("--port", type=int, default=8900)
    parser.add_argument("--reply", type=Path, help="json: the body to send")
    parser.add_argument("--ttft-ms", type=float, default=200.0)
    parser.add_argument("--itl-ms", type=float, default=20.0)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
