"""A load of plain JSON requests over kept-alive connections: how many a second, and how long each.

    python benchmarks/load.py --url http://127.0.0.1:8000 --connections 32 --seconds 2

One process, one hand-written epoll loop, about 15 us of CPU a request, so that it is never the
limit of a Python server on another core. Every request of a run differs from the one before.
Prints one JSON object.
"""

from __future__ import annotations

import argparse
import gc
import json
import select
import socket
import sys
import time
from urllib.parse import urlsplit

from processes import cpu_s

#: What every benchmark asks: long enough an answer to be one, and of a length that is known.
ANSWER_TOKENS = 100


def chat_body(number: int, tokens: int = ANSWER_TOKENS, stream: bool = False) -> bytes:
    """The `number`-th question, for an answer of exactly `tokens` tokens."""
    body = {
        "model": "gpt-4o-mini",
        "messages": [
            {"role": "system", "content": "You are a keeper of lighthouses and of short answers."},
            {"role": "user", "content": f"Question {number}: how far does the light reach?"},
        ],
        "max_tokens": tokens,
        "min_tokens": tokens,
        "ignore_eos": True,
    }
    return json.dumps({**body, "stream": True} if stream else body).encode()


def chat_request(url: str, body: bytes) -> bytes:
    """The whole request as bytes."""
    return (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n"
        "Authorization: Bearer sk-benchmark\r\nContent-Type: application/json\r\n"
        f"Accept: */*\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    sock = socket.create_connection((parts.hostname or "", parts.port or 80), 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def complete(reply: bytes) -> bool:
    """Whether the whole reply is here."""
    head_end = reply.find(b"\r\n\r\n")
    if head_end < 0:
        return False
    head = reply[:head_end].lower()
    place = head.find(b"content-length:")
    if place < 0:
        return reply.endswith(b"0\r\n\r\n")
    length = int(head[place + 15 :].partition(b"\r\n")[0])
    return len(reply) >= head_end + 4 + length


def quantile(values: list[float], share: float) -> float:
    """Of sorted values, between neighbours; 0 of none."""
    if not values:
        return 0.0
    place = (len(values) - 1) * share
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)


class _Load:
    def __init__(self, options: argparse.Namespace) -> None:
        self._requests = [
            chat_request(options.url, chat_body(number)) for number in range(options.distinct)
        ]
        self._sent = 0
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._received: dict[int, bytes] = {}
        self._sent_at: dict[int, float] = {}
        self.latency_s: list[float] = []
        self.bad = 0
        self.first_bad = ""
        for _ in range(options.connections):
            sock = connect(options.url)
            sock.setblocking(False)
            self._sockets[sock.fileno()] = sock
            self._poll.register(sock.fileno(), select.EPOLLIN)

    def run(self, seconds: float, requests: int) -> float:
        """Keep every connection busy until one of the two limits; how long it took."""
        self.latency_s, self.bad = [], 0
        started = time.perf_counter()
        last = self._sent + requests
        busy = 0
        for fd in self._sockets:
            if self._sent < last:
                self._send(fd)
                busy += 1
        while busy:
            events = self._poll.poll(10)
            if not events:
                raise SystemExit("no reply within 10 s")
            for fd, _ in events:
                if self._receive(fd):
                    if self._sent < last and time.perf_counter() - started < seconds:
                        self._send(fd)
                    else:
                        busy -= 1
        return time.perf_counter() - started

    def _send(self, fd: int) -> None:
        self._received[fd] = b""
        self._sent_at[fd] = time.perf_counter()
        self._sockets[fd].send(self._requests[self._sent % len(self._requests)])
        self._sent += 1

    def _receive(self, fd: int) -> bool:
        data = self._sockets[fd].recv(1 << 18)
        if not data:
            raise SystemExit(f"the server closed a connection; last reply: {self.first_bad}")
        reply = self._received[fd] = self._received[fd] + data
        if not complete(reply):
            return False
        self.latency_s.append(time.perf_counter() - self._sent_at[fd])
        if not reply.startswith(b"HTTP/1.1 200"):
            self.bad += 1
            self.first_bad = self.first_bad or reply[-400:].decode("latin-1")
        return True


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", required=True, help="scheme, host and port")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--requests", type=int, default=sys.maxsize, help="end after so many")
    parser.add_argument("--warm-up", type=float, default=0.0, help="seconds before it counts")
    parser.add_argument("--distinct", type=int, default=10_000, help="different questions")
    parser.add_argument("--server-pid", type=int, help="measure the CPU time of this process")
    options = parser.parse_args()
    load = _Load(options)
    gc.freeze()
    gc.disable()
    if options.warm_up:
        load.run(options.warm_up, sys.maxsize)
    server_s, client_s = cpu_s(options.server_pid), time.process_time()
    took_s = load.run(options.seconds, options.requests)
    server_s, client_s = cpu_s(options.server_pid) - server_s, time.process_time() - client_s
    count, latency_s = len(load.latency_s), sorted(load.latency_s)
    result = {
        "requests": count,
        "bad": load.bad,
        "first_bad": load.first_bad,
        "per_s": count / took_s,
        "p50_ms": quantile(latency_s, 0.5) * 1e3,
        "p99_ms": quantile(latency_s, 0.99) * 1e3,
        "server_us": server_s / count * 1e6,
        "client_cores": client_s / took_s,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
