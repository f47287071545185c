"""Faults of the network: delay, bandwidth, stalls, odd ends, odd heads."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import NormalDist

from pydantic import Field

from fakeai_proxy.exchange import Chunk, Reply, is_event_stream
from fakeai_proxy.shaping.faults.frames import Place
from fakeai_proxy.shaping.faults.kinds import (
    EVENTS,
    Case,
    Fault,
    Params,
    Stage,
    Where,
    body_bytes,
    counted_bytes,
    edited,
)

#: Bandwidth is kept up in steps of this length.
_STEP_S = 0.02


class Latency(Params):
    ms: float = Field(1000, ge=0, description="Milliseconds; the median where sigma is given.")
    sigma: float = Field(0, ge=0, le=3, description="Lognormal spread from request to request.")
    jitter_ms: float = Field(0, ge=0, description="Up to so many milliseconds more, evenly spread.")
    per_kb_ms: float = Field(0, ge=0, description="More for each 1,000 bytes of the request.")


def _latency(params: Latency, case: Case) -> None:
    delay_ms = params.ms
    if params.sigma:
        share = min(max(case.rng.random(), 1e-6), 1 - 1e-6)
        delay_ms *= math.exp(params.sigma * NormalDist().inv_cdf(share))
    delay_ms += case.rng.random() * params.jitter_ms if params.jitter_ms else 0
    body = case.exchange.request.body
    delay_ms += params.per_kb_ms * (body.length or body.size) / 1000
    case.link.delay_s += delay_ms / 1000


class Slow(Params):
    factor: float = Field(
        3, ge=1, description="How many times slower everything after the first byte is."
    )


def _slow(params: Slow, case: Case) -> None:
    case.link.stretch *= params.factor


class Bandwidth(Params):
    bytes_per_s: float = Field(10_000, gt=0, description="Bytes a second towards the client.")


def _bandwidth(params: Bandwidth, case: Case) -> None:
    link = case.link
    link.piece_bytes = max(1, int(params.bytes_per_s * _STEP_S))
    link.piece_s = link.piece_bytes / params.bytes_per_s


class Trickle(Params):
    ms: float = Field(10, gt=0, description="Milliseconds between two pieces.")
    bytes: int = Field(1, ge=1, description="The size of a piece.")


def _trickle(params: Trickle, case: Case) -> None:
    case.link.piece_bytes, case.link.piece_s = params.bytes, params.ms / 1000


class Stall(Where):
    s: float | None = Field(None, gt=0, description="Seconds of silence; for ever otherwise.")


class _Stalled(Stage):
    """Tells the link before which of the body's frames to pause; last of all stages."""

    def __init__(self, case: Case, place: Place, pause_s: float) -> None:
        self._case = case
        self._place = place
        self._pause_s = pause_s
        self._frames = 0
        self._done = False

    def feed(self, chunk: Chunk) -> Iterable[Chunk]:
        if not self._done and self._place.reached(chunk):
            self._done = True
            self._case.link.holds[self._frames] = self._pause_s
        self._frames += 1
        return (chunk,)


class _StalledWithin(Stage):
    """The same for a body that is no stream: the pause comes within a piece, which is sent in two."""

    def __init__(self, case: Case, share: float, total: int | None, pause_s: float) -> None:
        self._case = case
        self._share = share
        self._left = None if total is None else int(total * share)
        self._pause_s = pause_s
        self._pieces = 0
        self._done = False

    def feed(self, chunk: Chunk) -> Iterable[Chunk]:
        data, left = chunk.data, self._left
        self._pieces += 1
        if self._done or (left is not None and isinstance(data, bytes) and left >= len(data)):
            self._left = (left or 0) - len(data) if isinstance(data, bytes) else left
            return (chunk,)
        self._done = True
        self._case.link.holds[self._pieces] = self._pause_s

        def place(whole: bytes) -> int:
            return int(len(whole) * self._share) if left is None else left

        return (
            edited(chunk, lambda whole: whole[: place(whole)]),
            edited(chunk, lambda whole: whole[place(whole) :])._replace(tokens=0),
        )


def _stall(params: Stall, case: Case, reply: Reply) -> Stage:
    pause_s = math.inf if params.s is None else params.s
    if is_event_stream(reply.headers):
        return _Stalled(case, Place(params, reply), pause_s)
    return _StalledWithin(case, params.part(reply), counted_bytes(reply), pause_s)


class SlowClose(Params):
    s: float = Field(5, gt=0, description="Seconds for which the connection stays open afterwards.")


def _slow_close(params: SlowClose, case: Case) -> None:
    case.link.linger_s += params.s


class Nothing(Params):
    pass


def _http10(params: Nothing, case: Case) -> None:
    case.link.old = True


class ContentType(Params):
    to: str = Field(
        "text/plain", pattern=r"^[\x20-\x7e]*$", description="The content type that is said."
    )


def _content_type(params: ContentType, case: Case, reply: Reply) -> None:
    others = [pair for pair in reply.headers if pair[0].lower() != b"content-type"]
    said = params.to.encode("latin-1", "replace")
    reply.headers = ((b"content-type", said), *others)


class ContentLength(Params):
    by: int = Field(
        100, description="Bytes too many, or too few where negative; counted from nothing for a "
        "stream, whose length nobody knows.",
    )  # fmt: skip


def _content_length(params: ContentLength, case: Case, reply: Reply) -> None:
    length = b"%d" % max(0, (body_bytes(reply) or 0) + params.by)
    others = [pair for pair in reply.headers if pair[0].lower() != b"content-length"]
    reply.headers = (*others, (b"content-length", length))


FAULTS = (
    Fault("latency", "Everything comes later: fixed, by chance, by the size of the request",
          Latency, "latency:ms=800,sigma=0.5", line=_latency),
    Fault("slow", "Everything after the first byte takes longer", Slow, "slow:factor=4,p=0.1", line=_slow),
    Fault("stall", "Falls silent within the answer, then what has gathered comes at once",
          Stall, "stall:after=10,s=30", stage=_stall, unit=EVENTS, rank=2),
    Fault("bandwidth", "Bytes come no faster than this", Bandwidth, "bandwidth:bytes_per_s=2000",
          line=_bandwidth),
    Fault("trickle", "Bytes come one by one", Trickle, "trickle:ms=50", line=_trickle),
    Fault("slow_close", "The connection stays open after the last byte", SlowClose, "slow_close:s=10",
          line=_slow_close),
    Fault("http10", "Answers as an HTTP/1.0 server: no chunks, the end is the end of the connection",
          Nothing, "http10", line=_http10),
    Fault("content_type", "Says that the body is something else", ContentType,
          "content_type:to=text/html", head=_content_type),
    Fault("content_length", "Declares a wrong length", ContentLength, "content_length:by=-10",
          head=_content_length),
)  # fmt: skip
