"""What clients are to ask, and what they saw."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Load:
    requests: int
    concurrency: int
    prompt_tokens: int = 200
    output_tokens: int = 64
    stdev_tokens: int = 16


@dataclass(frozen=True)
class Seen:
    """By a client, over all of its requests. `itl_metric` is the histogram of ours that has the same
    mean: of all gaps, or of each request's own mean."""

    version: str
    requests: int
    errors: int
    prompt_tokens: int
    output_tokens: int
    ttft_ms: float
    itl_ms: float
    e2e_ms: float
    itl_metric: str
    #: What it collected from our pages by itself.
    collected: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
