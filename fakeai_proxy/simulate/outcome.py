"""What came out of a run, and the figures people ask for."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Latencies by the names people use, and what they are.
METRICS = {
    "ttft": "time to first token",
    "itl": "inter-token latency, over all gaps",
    "tpot": "time per output token, a mean for each request",
    "e2e": "from arrival to last token",
    "queue": "from arrival to the first step",
}


class Request(NamedTuple):
    """One that was answered; instants in seconds. `first_token_at` is when its client had the first
    ones, `made_at` when the engine had made one: servers that send tokens in groups make them wait."""

    arrived_at: float
    first_token_at: float
    finished_at: float
    prompt_tokens: int
    output_tokens: int
    cached_tokens: int
    queue_s: float
    made_at: float

    @property
    def tpot_s(self) -> float:
        """The engine's; 0 for an answer of one token, which has no gaps."""
        return (self.finished_at - self.made_at) / max(self.output_tokens - 1, 1)


class Moment(NamedTuple):
    """How things stood; `tokens` since the beginning."""

    at: float
    running: int
    waiting: int
    kv_share: float
    tokens: int


class Spread(NamedTuple):
    """Of one latency, in milliseconds."""

    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float


@dataclass
class Outcome:
    """`gaps_s[k]` was seen `gap_counts[k]` times; `energy_j` is of all GPUs."""

    requests: list[Request]
    refused: int
    failed: int
    gaps_s: array[float]
    gap_counts: array[int]
    moments: list[Moment]
    seconds: float
    gpus: int
    steps: int
    preemptions: int
    prefix_queries: int
    prefix_hits: int
    energy_j: float = 0.0
    spreads: dict[str, Spread] = field(init=False)

    def __post_init__(self) -> None:
        requests = self.requests
        self.spreads = {
            "ttft": _spread([each.first_token_at - each.arrived_at for each in requests]),
            "itl": _spread(self.gaps_s, self.gap_counts),
            "tpot": _spread([each.tpot_s for each in requests if each.output_tokens > 1]),
            "e2e": _spread([each.finished_at - each.arrived_at for each in requests]),
            "queue": _spread([each.queue_s for each in requests]),
        }

    @property
    def output_tokens(self) -> int:
        return sum(each.output_tokens for each in self.requests)

    def figures(self) -> dict[str, float | int]:
        """Everything but the latencies, under names with units."""
        seconds = self.seconds or 1e-9
        prompt_tokens = sum(each.prompt_tokens for each in self.requests)
        output_tokens = self.output_tokens
        return {
            "requests": len(self.requests),
            "refused": self.refused,
            "failed": self.failed,
            "duration_s": self.seconds,
            "requests_per_s": len(self.requests) / seconds,
            "output_tokens_per_s": output_tokens / seconds,
            "total_tokens_per_s": (prompt_tokens + output_tokens) / seconds,
            "output_tokens_per_s_per_gpu": output_tokens / seconds / max(self.gpus, 1),
            "kv_hit_share": self.prefix_hits / max(self.prefix_queries, 1),
            "kv_use_max": max((moment.kv_share for moment in self.moments), default=0.0),
            "preemptions": self.preemptions,
            "steps": self.steps,
            "gpus": self.gpus,
            "power_w": self.energy_j / seconds,
            "joules_per_output_token": self.energy_j / max(output_tokens, 1),
        }

    def as_json(self) -> dict[str, object]:
        latencies = {f"{name}_ms": spread._asdict() for name, spread in self.spreads.items()}
        return {**self.figures(), **latencies}


def _spread(values: Sequence[float], counts: Sequence[int] | None = None) -> Spread:
    import numpy as np

    if not len(values):
        return Spread(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    found: NDArray[np.float64] = np.asarray(values, dtype=float) * 1000
    weights = np.ones(len(found)) if counts is None else np.asarray(counts, dtype=float)
    order = np.argsort(found)
    found, reached = found[order], np.cumsum(weights[order])
    mean = float(np.average(found, weights=weights[order]))

    def share(of: float) -> float:
        return float(found[min(int(np.searchsorted(reached, of * reached[-1])), len(found) - 1)])

    return Spread(mean, share(0.5), share(0.9), share(0.95), share(0.99), float(found[-1]))
