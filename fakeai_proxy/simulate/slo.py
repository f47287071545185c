"""Service level objectives: `ttft_p99=500ms,itl_p99=50ms`."""

from __future__ import annotations

import re
from typing import NamedTuple

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.simulate.outcome import METRICS, Outcome, Request, Spread

_TERM = re.compile(r"(?P<metric>\w+)_(?P<stat>[a-z0-9]+)=(?P<value>[\d.]+)(?P<unit>ms|s)")
_MS = {"ms": 1.0, "s": 1000.0}


class Objective(NamedTuple):
    """A latency's statistic must not exceed `limit_ms`."""

    metric: str
    stat: str
    limit_ms: float

    def met(self, outcome: Outcome) -> bool:
        return bool(getattr(outcome.spreads[self.metric], self.stat) <= self.limit_ms)

    def met_by(self, request: Request) -> bool:
        """Whether one request stays below the limit; of its gaps, the mean counts."""
        taken_s = {
            "ttft": request.first_token_at - request.arrived_at,
            "itl": request.tpot_s,
            "tpot": request.tpot_s,
            "e2e": request.finished_at - request.arrived_at,
            "queue": request.queue_s,
        }[self.metric]
        return taken_s * 1000 <= self.limit_ms

    def __str__(self) -> str:
        return f"{self.metric}_{self.stat} <= {self.limit_ms:g} ms"


def parse_slo(text: str) -> tuple[Objective, ...]:
    """Raises ConfigError."""
    objectives = []
    for term in filter(None, (piece.strip() for piece in text.split(","))):
        match = _TERM.fullmatch(term)
        if not match or match["metric"] not in METRICS or match["stat"] not in Spread._fields:
            raise ConfigError(
                f"--slo: '{term}' is no objective. One is METRIC_STAT=LIMIT, like ttft_p99=500ms; "
                f"metrics: {', '.join(METRICS)}; statistics: {', '.join(Spread._fields)}."
            )
        limit_ms = float(match["value"]) * _MS[match["unit"]]
        objectives.append(Objective(match["metric"], match["stat"], limit_ms))
    return tuple(objectives)


def attained(objectives: tuple[Objective, ...], outcome: Outcome) -> bool:
    """Whether a run meets them all, and refuses and loses nobody."""
    lost = outcome.refused + outcome.failed
    return not lost and bool(outcome.requests) and all(each.met(outcome) for each in objectives)


def goodput(objectives: tuple[Objective, ...], outcome: Outcome) -> float:
    """Requests a second that meet every objective by themselves."""
    good = sum(all(each.met_by(request) for each in objectives) for request in outcome.requests)
    return good / (outcome.seconds or 1e-9)
