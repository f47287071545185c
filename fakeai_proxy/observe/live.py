"""What happens now, second by second: the samples behind the dashboard's charts.

An observer counts each finished exchange into the second in which it ended, and nothing else is done
while nobody looks. What the fleet does is read once a second for all who look, and remembered from then
on. Several processes keep a ring each; a sample is their sum.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson

from fakeai_proxy.clock import Clock
from fakeai_proxy.exchange import Exchange, is_event_stream
from fakeai_proxy.observe.cell import Place
from fakeai_proxy.observe.digest import Digest
from fakeai_proxy.observe.fleet_view import joined
from fakeai_proxy.observe.gathering import Counting
from fakeai_proxy.observe.marks import Marks
from fakeai_proxy.observe.model_view import Bill
from fakeai_proxy.observe.pages import CONTROL, Answer, Call, Route
from fakeai_proxy.shared.commons import Commons

#: How far back the charts go.
HISTORY_S = 900
#: Workers whose GPUs have a history each; of more, there is one of all.
WORKERS_TOLD = 16
EVENTS = "text/event-stream"
#: What is told of a distribution.
_SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
#: After a whole second has passed, so that what ended in it has been counted everywhere.
_AFTERWARDS_S = 0.02


@dataclass(slots=True)
class Second:
    """What ended in one second of the clock. Times are in seconds."""

    number: int
    #: By source and outcome.
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    ttft: Digest = field(default_factory=Digest)
    itl: Digest = field(default_factory=Digest)
    total: Digest = field(default_factory=Digest)
    queue: Digest = field(default_factory=Digest)
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    faulty: int = 0

    def add(self, other: Second) -> None:
        self.requests.update(other.requests)
        self.ttft.merge(other.ttft)
        self.itl.merge(other.itl)
        self.total.merge(other.total)
        self.queue.merge(other.queue)
        self.prompt_tokens += other.prompt_tokens
        self.cached_tokens += other.cached_tokens
        self.output_tokens += other.output_tokens
        self.faulty += other.faulty


class Live(Counting):
    """An observer, and the feed of what it counts."""

    def __init__(
        self,
        clock: Clock,
        commons: Commons,
        marks: Marks,
        bill: Bill = lambda place, amounts: Decimal(0),
    ) -> None:
        """`bill` is the price of what was used, for any thread."""
        self._clock = clock
        self._bill = bill
        self._commons = commons
        self._marks = marks
        self._seconds: deque[Second] = deque(maxlen=HISTORY_S)
        #: What the fleet did, of the seconds in which somebody looked.
        self._gauges: deque[tuple[int, dict[str, Any]]] = deque(maxlen=HISTORY_S)
        self._fleet: dict[str, Any] | None = None
        self._read_at = -2
        self._reading = asyncio.Lock()
        self._requests_total = 0
        commons.offer("live", self._after)
        commons.offer("live.total", self._total_so_far)

    # --- counting

    def alike(self, exchanges: Sequence[Exchange]) -> None:
        first = exchanges[0]
        seconds, number = self._seconds, int(first.finished_at or 0.0)
        if not seconds or seconds[-1].number < number:
            seconds.append(Second(number))
        now = seconds[-1]
        now.requests[first.source, _outcome(first)] += len(exchanges)
        self._requests_total += len(exchanges)
        if first.faults:
            now.faulty += len(exchanges)
        if first.reply is None or first.status >= 400 or first.first_byte_at is None:
            return
        streams = is_event_stream(first.reply.headers)
        for exchange in exchanges:
            _count(now, exchange, streams)

    def _after(self, number: int) -> list[Second]:
        """The seconds of this process since then, the one that is not over included."""
        self.catch_up()
        return [second for second in self._seconds if second.number > number]

    def _total_so_far(self) -> int:
        self.catch_up()
        return self._requests_total

    def reset(self) -> None:
        self.catch_up()
        self._requests_total = 0
        self._seconds.clear()
        self._gauges.clear()

    # --- telling

    def routes(self) -> tuple[Route, ...]:
        def feed(call: Call) -> Answer:
            return Answer(self._events(), content_type=EVENTS)

        return (
            Route("GET", f"{CONTROL}live", feed,
                  "What happens, as server-sent events: the last minutes, then a sample a second."),
        )  # fmt: skip

    async def _events(self) -> AsyncGenerator[bytes]:
        told = int(self._clock.now()) - HISTORY_S - 1
        begin: dict[str, object] = {"epoch_s": self._clock.epoch_s, "history_s": HISTORY_S}
        revision = -1
        while True:
            until = int(self._clock.now()) - 1
            await self._look(until)
            samples = await self._samples(told, until)
            if begin:
                yield _event("history", {**begin, "now": until, "samples": samples})
                begin = {}
            else:
                for sample in samples or ({"at": until},):
                    yield _event("sample", sample)
            if self._fleet is not None:
                yield _event("fleet", self._fleet)
            if self._marks.revision != revision:
                revision = self._marks.revision
                yield _event("marks", self._marks.as_json())
            told = max(told, until)
            await self._next_second()

    async def _next_second(self) -> None:
        """In real time, whatever our clock does: somebody is looking."""
        wait_s = 1.0 - self._clock.now() % 1.0 + _AFTERWARDS_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await asyncio.get_running_loop().create_future()

    async def _look(self, number: int) -> None:
        """Reads the fleet and the bill once for each second, whoever asks."""
        async with self._reading:
            if number <= self._read_at:
                return
            self._read_at = number
            gauges: dict[str, Any] = {
                "requests_total": sum(await self._commons.gather("live.total")),
                "cost_usd": await self._cost_usd(),
            }
            views = [view for view in await self._commons.gather("fleet") if view is not None]
            if views:
                self._fleet = joined(views)
                gauges["fleet"] = _gauges(self._fleet)
            if number >= 0:  # not the second before our first
                self._gauges.append((number, gauges))

    async def _cost_usd(self) -> float:
        """Of all answers since the start."""
        parts: list[Mapping[Place, Counter[str]]] = await self._commons.gather("used")
        used = [(place, amounts) for part in parts for place, amounts in part.items()]
        with self._clock.hold():
            return float(await asyncio.to_thread(self._total, used))

    def _total(self, used: Sequence[tuple[Place, Counter[str]]]) -> Decimal:
        return sum((self._bill(place, amounts) for place, amounts in used), Decimal(0))

    async def _samples(self, after: int, until: int) -> list[dict[str, Any]]:
        """Of the seconds after `after`, as far as they are over and have something to tell."""
        seconds: dict[int, Second] = {}
        for part in await self._commons.gather("live", after):
            for second in part:
                if second.number <= until:
                    seconds.setdefault(second.number, Second(second.number)).add(second)
        gauges = {number: gauge for number, gauge in self._gauges if after < number <= until}
        return [
            _sample(number, seconds.get(number), gauges.get(number))
            for number in sorted({*seconds, *gauges})
        ]


def _outcome(exchange: Exchange) -> str:
    """A class of statuses, or how it broke off; 429 is one of its own."""
    if exchange.end in ("cut", "client_gone"):
        return exchange.end
    return "429" if exchange.status == 429 else f"{exchange.status // 100}xx"


def _count(now: Second, exchange: Exchange, streams: bool) -> None:
    """Of one that was answered."""
    at, began = exchange.finished_at or 0.0, exchange.first_byte_at or 0.0
    now.total.add(at - exchange.arrived_at)
    if streams:
        now.ttft.add(began - exchange.arrived_at)
    workload = None if exchange.reply is None else exchange.reply.workload
    if workload is None:
        return
    now.queue.add(exchange.admission.queue_s)
    now.prompt_tokens += len(workload.prompt)
    now.cached_tokens += exchange.admission.cached_tokens
    if exchange.end == "ok":
        tokens = workload.output_tokens
        now.output_tokens += tokens
        if streams and tokens > 1:
            now.itl.add((at - began) / (tokens - 1))


def _sample(number: int, second: Second | None, gauges: dict[str, Any] | None) -> dict[str, Any]:
    """`at` is the clock's; what is absent was nothing."""
    sample: dict[str, Any] = {"at": number}
    if second is not None:
        sources: Counter[str] = Counter()
        outcomes: Counter[str] = Counter()
        for (source, outcome), count in second.requests.items():
            sources[source or "none"] += count
            outcomes[outcome] += count
        sample |= {
            "requests": second.requests.total(),
            "sources": sources,
            "outcomes": outcomes,
            "prompt_tokens": second.prompt_tokens,
            "cached_tokens": second.cached_tokens,
            "output_tokens": second.output_tokens,
            "faulty": second.faulty,
        }
        for name in ("ttft", "itl", "total", "queue"):
            times: Digest = getattr(second, name)
            if times.count:
                sample[f"{name}_ms"] = {
                    share: round(times.quantile(part) * 1000, 3) for share, part in _SHARES.items()
                }
    return sample | (gauges or {})


def _gauges(view: dict[str, Any]) -> dict[str, Any]:
    """What of the fleet has a history. Of each worker: utilisation, power, temperature."""
    workers: Sequence[dict[str, Any]] = view["workers"]
    gpus = {worker["name"]: worker["gpu"] for worker in workers if worker["gpu"]}
    blocks = sum(worker["kv_blocks"] for worker in workers)
    used = sum(worker["kv_usage"] * worker["kv_blocks"] for worker in workers)
    return {
        "running": sum(worker["running"] for worker in workers),
        "waiting": sum(worker["waiting"] for worker in workers),
        "kv_usage": round(used / blocks, 4) if blocks else 0.0,
        "tokens_s": _sum(worker["tokens_per_second"] for worker in workers),
        "prompt_tokens_s": _sum(worker["prompt_tokens_per_second"] for worker in workers),
        "utilization": _mean([gpu["utilization"] for gpu in gpus.values()]),
        "power_w": _sum(gpu["power_w"] for gpu in gpus.values()),
        "temperature_c": max((gpu["temperature_c"] for gpu in gpus.values()), default=0.0),
        "gpus": {
            name: [gpu["utilization"], gpu["power_w"], gpu["temperature_c"]]
            for name, gpu in gpus.items()
        }
        if len(workers) <= WORKERS_TOLD
        else {},
    }


def _sum(values: Iterable[float]) -> float:
    return round(sum(values), 3)


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4) if values else 0.0


def _event(name: str, data: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data))
