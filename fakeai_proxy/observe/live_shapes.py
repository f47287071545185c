"""What the feed of the dashboard tells, as shapes."""

from __future__ import annotations

from pydantic import Field

from fakeai_proxy.observe.shapes import Shape

Times = dict[str, float]


class FleetSample(Shape):
    """Of all workers together; `gpus` has utilisation, watts and degrees of each, of a few workers."""

    running: int
    waiting: int
    kv_usage: float
    tokens_s: float
    prompt_tokens_s: float
    utilization: float
    power_w: float
    temperature_c: float
    gpus: dict[str, tuple[float, float, float]]


class Sample(Shape):
    """One second, `at` by the server's clock. Counts are of the exchanges that ended in it, times their
    p50, p90 and p99; what the second had nothing of is 0 or None."""

    at: int
    requests: int = 0
    sources: dict[str, int] = Field(default_factory=dict)
    outcomes: dict[str, int] = Field(default_factory=dict)
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    faulty: int = 0
    ttft_ms: Times | None = None
    itl_ms: Times | None = None
    total_ms: Times | None = None
    queue_ms: Times | None = None
    requests_total: int | None = Field(None, description="Since the start.")
    cost_usd: float | None = Field(None, description="Since the start.")
    fleet: FleetSample | None = None


class History(Shape):
    """The last minutes, told first. `epoch_s` is the second 0 of the server's clock."""

    epoch_s: float
    history_s: int
    now: int
    samples: list[Sample]
