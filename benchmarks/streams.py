"""Concurrent chat streams, and how true every token is to its ideal instant.

    python benchmarks/streams.py --url http://127.0.0.1:8000 --streams 1000 --tokens 100 \
        --ramp 2 --ttft-ms 200 --itl-ms 20

Token k is ideal at: request sent + TTFT + k x ITL. Times are the kernel's receive stamps, so a client
that reads late does not count against the server, and nothing is parsed before the last stream has
ended. With --steps FILE the ideal instants are those that the server has noted (`fleet_server.py`). Merged
are tokens that came in one segment with the token before them: the server (or the
host) stopped for longer than a gap. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import select
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import NamedTuple

from load import chat_body, chat_request, connect, quantile
from processes import cpu_s

_SO_TIMESTAMPNS = 35
_SETTLE_S = 0.2
RUN_S_MAX = 60.0


class Segment(NamedTuple):
    """What one read gave: the kernel's stamp, when it was read, the bytes."""

    arrived_ns: int
    read_ns: int
    data: bytes


class Reply(NamedTuple):
    sent_ns: int
    segments: list[Segment]


def open_stream(url: str) -> socket.socket:
    sock = connect(url)
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    return sock


def read_segment(sock: socket.socket) -> Segment:
    data, ancillary, _, _ = sock.recvmsg(1 << 16, 64)
    read_ns = time.time_ns()
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, ns = struct.unpack("qq", value[:16])
            return Segment(seconds * 1_000_000_000 + ns, read_ns, data)
    return Segment(read_ns, read_ns, data)


def ended(segments: list[Segment]) -> bool:
    """Whether the last chunk of the body is here."""
    end = segments[-1].data
    if len(end) < 5 and len(segments) > 1:
        end = segments[-2].data[-5:] + end
    return end.endswith(b"0\r\n\r\n")


def _body_pieces(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """HTTP chunks: where each ends in `raw`, and its bytes."""
    place = raw.find(b"\r\n\r\n") + 4
    while (line_end := raw.find(b"\r\n", place)) >= 0:
        size = int(raw[place:line_end], 16)
        if size == 0:
            return
        yield line_end + 2 + size, raw[line_end + 2 : line_end + 2 + size]
        place = line_end + 2 + size + 2


def token_segments(segments: list[Segment]) -> list[int]:
    """For every token of a reply, the index of the segment that completed it."""
    raw = b"".join(segment.data for segment in segments)
    ends, total = [], 0
    for segment in segments:
        total += len(segment.data)
        ends.append(total)
    found, at, text = [], 0, b""
    for end, piece in _body_pieces(raw):
        while ends[at] < end:
            at += 1
        *events, text = (text + piece).split(b"\n\n")
        for event in events:
            if b'"content":' in event and _has_text(event):
                found.append(at)
    return found


def _has_text(event: bytes) -> bool:
    value = json.loads(event.removeprefix(b"data:"))
    return any(choice.get("delta", {}).get("content") for choice in value["choices"])


class _Run:
    """All streams of a run, one epoll loop."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._requests = [
            chat_request(options.url, chat_body(number, options.tokens, stream=True))
            for number in range(options.streams)
        ]
        self._sockets = [open_stream(options.url) for _ in self._requests]
        self._poll = select.epoll()
        self._number: dict[int, int] = {}
        for number, sock in enumerate(self._sockets):
            sock.setblocking(False)
            self._poll.register(sock.fileno(), select.EPOLLIN)
            self._number[sock.fileno()] = number
        # Independent of each other: starts at even distances would put a hundred streams in step.
        dice = Random(1)
        self._start_s = sorted(dice.uniform(0, options.ramp) for _ in self._requests)
        self._open: list[Reply | None] = [None] * options.streams
        self._left = [options.requests_per_stream] * options.streams
        self.replies: list[Reply] = []
        self.broken = 0

    def run(self) -> float:
        options = self._options
        time.sleep(_SETTLE_S)
        started = time.perf_counter()
        sent, running = 0, 0
        while sent < options.streams or running:
            now_s = time.perf_counter() - started
            if now_s > RUN_S_MAX:
                self.broken += running + options.streams - sent
                break
            while sent < options.streams and self._start_s[sent] <= now_s:
                self._send(sent)
                sent, running = sent + 1, running + 1
            wait_s = 0.1
            if sent < options.streams:
                wait_s = max(0.0, self._start_s[sent] - now_s)
            for fd, _ in self._poll.poll(wait_s, 2048):
                running -= self._receive(self._number[fd])
        return time.perf_counter() - started

    def _send(self, number: int) -> None:
        self._left[number] -= 1
        self._open[number] = Reply(time.time_ns(), [])
        self._sockets[number].send(self._requests[number])

    def _receive(self, number: int) -> bool:
        """Whether this stream has made its last request and has its answer."""
        reply = self._open[number]
        segment = read_segment(self._sockets[number])
        if not segment.data:
            self._poll.unregister(self._sockets[number].fileno())
            self.broken += reply is not None
            return reply is not None
        if reply is None:
            return False
        reply.segments.append(segment)
        if not reply.segments[0].data.startswith(b"HTTP/1.1 200"):
            raise SystemExit(segment.data[-600:].decode("latin-1"))
        if not ended(reply.segments):
            return False
        self.replies.append(reply)
        self._open[number] = None
        if self._left[number]:
            self._send(number)
            return False
        return True


def noted_steps(file: Path, server_pid: int) -> Callable[[Reply], list[float]]:
    """Asks the server for its log; what follows gives a reply's ideal instants, in milliseconds
    since it was sent."""
    os.kill(server_pid, signal.SIGUSR1)
    while not file.exists():
        time.sleep(0.01)
    ends: dict[str, list[int]] = json.loads(file.read_text())
    file.unlink()

    def ideal_ms(reply: Reply) -> list[float]:
        head = reply.segments[0].data.partition(b"\r\n\r\n")[0].decode("latin-1")
        request_id = head.lower().partition("\r\nx-request-id: ")[2].partition("\r\n")[0]
        return [(end_ns - reply.sent_ns) / 1e6 for end_ns in ends[request_id]]

    return ideal_ms


def measure(replies: list[Reply], ideal_ms: Callable[[Reply], list[float]]) -> dict[str, float]:
    error_ms, drift_ms, lag_ms, first_ms, gap_ms = [], [], [], [], []
    tokens = merged = 0
    for reply in replies:
        sent_ns, segments = reply
        places = token_segments(segments)
        tokens += len(places)
        merged += len(places) - len(set(places))
        arrived_ms = [(segments[place].arrived_ns - sent_ns) / 1e6 for place in places]
        lag_ms += [(segment.read_ns - segment.arrived_ns) / 1e6 for segment in segments]
        if not arrived_ms:
            continue
        first_ms.append(arrived_ms[0])
        gap_ms += [after - before for before, after in pairwise(arrived_ms)]
        ideal = ideal_ms(reply)[: len(arrived_ms)]
        late_ms = [at_ms - due_ms for at_ms, due_ms in zip(arrived_ms, ideal, strict=True)]
        error_ms += map(abs, late_ms)
        drift_ms.append(late_ms[-1] - late_ms[0])
    result: dict[str, float] = {"replies": len(replies), "tokens": tokens, "merged": merged}
    for name, values in (
        ("error", error_ms),
        ("drift", drift_ms),
        ("ttft", first_ms),
        ("gap", gap_ms),
        ("client_lag", lag_ms),
    ):
        values.sort()
        result[f"{name}_p50_ms"] = quantile(values, 0.5)
        result[f"{name}_p99_ms"] = quantile(values, 0.99)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", required=True, help="scheme, host and port")
    parser.add_argument("--streams", type=int, default=100, help="connections, all open at once")
    parser.add_argument("--requests-per-stream", type=int, default=1, help="one after the other")
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--ramp", type=float, default=0.0, help="seconds over which they start")
    parser.add_argument("--ttft-ms", type=float, default=0.0)
    parser.add_argument("--itl-ms", type=float, default=0.0)
    parser.add_argument("--steps", type=Path, help="where the server writes its log")
    parser.add_argument("--server-pid", type=int, help="measure the CPU time of this process")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    run = _Run(options)
    gc.freeze()
    gc.disable()
    server_s, client_s = cpu_s(options.server_pid), time.process_time()
    took_s = run.run()
    server_s, client_s = cpu_s(options.server_pid) - server_s, time.process_time() - client_s
    if options.steps:
        ideal_ms = noted_steps(options.steps, options.server_pid)
    else:

        def ideal_ms(reply: Reply) -> list[float]:
            return [options.ttft_ms + k * options.itl_ms for k in range(options.tokens)]

    result = measure(run.replies, ideal_ms)
    expected = options.streams * options.requests_per_stream * options.tokens
    result["lost"] = expected - result["tokens"]
    result["broken"] = run.broken
    result["per_s"] = result["tokens"] / took_s
    result["server_us"] = server_s / max(result["tokens"], 1) * 1e6
    result["server_cores"] = server_s / took_s
    result["client_cores"] = client_s / took_s
    print(json.dumps(result))


if __name__ == "__main__":
    main()
