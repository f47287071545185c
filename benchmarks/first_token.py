"""Time to the first token of the same streams through several servers, asked in turn.

    python benchmarks/first_token.py --url http://127.0.0.1:8000 --url http://127.0.0.1:8001

One request at a time, so that nothing waits but for the server. Prints, for each URL, quantiles.
"""

from __future__ import annotations

import argparse
import json
import socket
import time

from load import chat_body, chat_request, quantile
from streams import Segment, ended, open_stream, read_segment

_WARM_UP = 20


def first_token_ms(sock: socket.socket, request: bytes) -> float:
    segments: list[Segment] = []
    sent_ns = time.time_ns()
    sock.sendall(request)
    first_ns = 0
    received = b""
    while not segments or not ended(segments):
        segment = read_segment(sock)
        if not segment.data:
            raise SystemExit(f"the server closed the connection after {received[-400:]!r}")
        segments.append(segment)
        if not first_ns:
            received += segment.data
            if not received.startswith(b"HTTP/1.1 200"):
                raise SystemExit(received.decode("latin-1"))
            if b'"content":' in received:
                first_ns = segment.arrived_ns
    return (first_ns - sent_ns) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", action="append", required=True)
    parser.add_argument("--requests", type=int, default=500, help="through each server")
    parser.add_argument("--tokens", type=int, default=20)
    options = parser.parse_args()
    sockets = {url: open_stream(url) for url in options.url}
    took_ms: dict[str, list[float]] = {url: [] for url in options.url}
    for number in range(_WARM_UP + options.requests):
        for url, sock in sockets.items():
            request = chat_request(url, chat_body(number, options.tokens, stream=True))
            ms = first_token_ms(sock, request)
            if number >= _WARM_UP:
                took_ms[url].append(ms)
    result = {}
    for url, values in took_ms.items():
        values.sort()
        result[url] = {f"p{share}_ms": quantile(values, share / 100) for share in (50, 95, 99)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
