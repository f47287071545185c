"""What is counted of the exchanges of one model, endpoint and user.

What ends within one second is put on lists, which are added up when it is over: that is a third of the
work of adding each up by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from fakeai_proxy.exchange import BATCH, Admission, Usage, Workload
from fakeai_proxy.observe.digest import Digest
from fakeai_proxy.observe.window import MINUTE_S, Second

#: What an answer of a model is billed as.
COMPLETIONS = "completions"
#: What was used: its kind, its model and all other labels that a price depends on.
Place = tuple[str, str, tuple[tuple[str, str], ...]]
#: The usage of an exchange, how many of its tokens were cached, and its class of service.
Used = tuple[Sequence[Usage], int, str]

_COUNTS = (
    "requests", "errors", "throttled", "prompt_tokens", "output_tokens", "cached_tokens",
)  # fmt: skip
_COUNTERS = ("statuses", "refusals")
_DIGESTS = ("latency", "ttft", "wait_s")


def read_and_written(workload: Workload) -> Usage:
    """Of an answer whose usage only its own vendor knows."""
    return _usage(workload.model, len(workload.prompt), workload.output_tokens)


@lru_cache(maxsize=4096)
def _usage(model: str, read: int, written: int) -> Usage:
    return Usage(COMPLETIONS, model, {"input_tokens": read, "output_tokens": written})


class Key(NamedTuple):
    model: str
    endpoint: str
    user: str


class Running:
    """The second that is not over."""

    __slots__ = (
        "errors", "latency", "speed", "stamp", "streams_failed", "throttled", "tokens", "ttft", "used",
    )  # fmt: skip

    def __init__(self, stamp: int) -> None:
        self.stamp = stamp
        self.errors = self.streams_failed = self.throttled = 0
        self.tokens: list[float] = []
        self.latency: list[float] = []
        self.ttft: list[float] = []
        self.speed: list[float] = []
        self.used: list[Used] = []

    def ended(self) -> Second:
        second = Second()
        second.requests, second.errors = len(self.tokens), self.errors
        second.streams_done, second.streams_failed = len(self.ttft), self.streams_failed
        second.tokens, second.latency = Digest(self.tokens), Digest(self.latency)
        second.ttft, second.speed = Digest(self.ttft), Digest(self.speed)
        return second


class Sum:
    """A sum of seconds, and of sums. Instants are the clock's."""

    def __init__(self) -> None:
        self.requests = self.errors = self.throttled = 0
        self.prompt_tokens = self.output_tokens = self.cached_tokens = 0
        self.first_at, self.last_at = float("inf"), float("-inf")
        self.latency, self.ttft = Digest(), Digest()
        self.statuses: Counter[int] = Counter()
        self.used: dict[Place, Counter[str]] = {}
        #: Of what the limits refused: by the amount there was too little of, and the waits they asked for.
        self.refusals: Counter[str] = Counter()
        self.wait_s = Digest()
        #: Of the busiest minute.
        self.peak_requests, self.peak_tokens = 0, 0.0
        #: Of the last minute in which something was asked, which is so many minutes of the clock.
        self.minute = -1
        self.minute_requests, self.minute_tokens, self.minute_throttled = 0, 0.0, 0
        #: What the limits call whoever asked.
        self.limits_name = ""

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.output_tokens

    def merge(self, other: Sum) -> None:
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in _COUNTERS:
            getattr(self, name).update(getattr(other, name))
        for name in _DIGESTS:
            getattr(self, name).merge(getattr(other, name))
        self.first_at = min(self.first_at, other.first_at)
        self.last_at = max(self.last_at, other.last_at)
        self.peak_requests = max(self.peak_requests, other.peak_requests)
        self.peak_tokens = max(self.peak_tokens, other.peak_tokens)
        for place, amounts in other.used.items():
            self.used.setdefault(place, Counter()).update(amounts)
        self.limits_name = self.limits_name or other.limits_name
        if other.minute >= self.minute:
            self.add_to_minute(
                other.minute, other.minute_requests, other.minute_tokens, other.minute_throttled
            )

    def add_to_minute(self, minute: int, requests: int, tokens: float, throttled: int) -> None:
        if minute != self.minute:
            self.minute = minute
            self.minute_requests, self.minute_tokens, self.minute_throttled = 0, 0.0, 0
        self.minute_requests += requests
        self.minute_tokens += tokens
        self.minute_throttled += throttled
        self.peak_requests = max(self.peak_requests, self.minute_requests)
        self.peak_tokens = max(self.peak_tokens, self.minute_tokens)

    @classmethod
    def of(cls, parts: Iterable[Sum]) -> Sum:
        whole = cls()
        for part in parts:
            whole.merge(part)
        return whole


class Cell(Sum):
    """One that grows."""

    def __init__(self, key: Key, limits_name: str, first_at: float) -> None:
        super().__init__()
        self.key, self.limits_name, self.first_at = key, limits_name, first_at
        self.running = Running(-1)

    def end_second(self, stamp: int) -> tuple[int, Second] | None:
        """Adds up the running second and begins that of `stamp`; which second it was and what
        happened in it, None where nothing did."""
        over, self.running = self.running, Running(stamp)
        if not over.tokens:
            return None
        second = over.ended()
        self.requests += second.requests
        self.errors += second.errors
        self.latency.merge(second.latency)
        self.ttft.merge(second.ttft)
        self.throttled += over.throttled
        self.add_to_minute(
            over.stamp // MINUTE_S, second.requests, second.tokens.sum, over.throttled
        )
        for usages, cached_tokens, tier in over.used:
            for usage in usages:
                self._use(usage, cached_tokens, tier)
        return over.stamp, second

    def _use(self, usage: Usage, cached_tokens: int, tier: str) -> None:
        labels = tuple(usage.labels.items())
        if tier:  # batches are batches; any other class is for the request to say
            ours = ("service_tier", tier)
            labels = (*labels, ours) if tier == BATCH else (ours, *labels)
        place = usage.kind, usage.model, labels
        used = self.used.get(place)
        if used is None:
            used = self.used[place] = Counter()
        for name, amount in usage.amounts.items():
            used[name] += amount
        if usage.late is not None:
            for name, amount in usage.late(Admission(cached_tokens=cached_tokens)).items():
                used[name] += amount
