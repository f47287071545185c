"""What the control API answers, as shapes: for its OpenAPI document and for clients in Python.

A field that a later version adds is kept, so that an older client reads it too.
"""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, RootModel

One = TypeVar("One")


class Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())


class Listed(Shape, Generic[One]):
    object: Literal["list"]
    data: list[One]


class Figures(RootModel[dict[str, Any]]):
    """Numbers by name, in the shape of another program."""


class FigureRows(RootModel[list[dict[str, Any]]]):
    """Several of those."""


class Health(Shape):
    status: Literal["ok"]
    service: str
    instance: str = Field(description="Tells this service from every other one.")
    workers: int
    uptime_s: float
    tasks: int = Field(description="Of the process that answers.")
    exchanges: dict[str, int] = Field(description="By how they ended.")
    provenance: dict[str, int] = Field(description="By where their answers came from.")


class Watched(Shape):
    """Files that are read again when they change. `at` is when they last were, `error` why not."""

    what: str
    files: list[str]
    times: int
    at: str | None
    error: str | None


class Watching(Listed[Watched]): ...


class Status(Health):
    version: str
    mode: str
    profile: str
    seed: int
    store: str
    files: list[Watched]


class Reset(Shape):
    reset: list[str]


class Entry(Shape):
    """A finished exchange. Times are milliseconds since it arrived."""

    id: str
    arrived: str
    method: str
    host: str | None
    path: str
    route: str | None
    project: str | None
    key_id: str | None
    model: str | None
    status: int | None
    source: str | None
    worker: str | None
    cached_tokens: int
    queue_ms: float
    ttft_ms: float | None
    itl_ms: dict[str, float] | None
    total_ms: float
    prompt_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    bytes: int
    faults: list[str]
    phase: str | None
    end: str
    finish: str | None
    error: str | None
    timeline: dict[str, Any] | None = Field(None, description="Of one entry by its id.")


class Journal(Listed[Entry]):
    has_more: bool
    last_id: str | None
    kept: int
    size: int
    finished_total: int


class Cleared(Shape):
    cleared: int


class LimitRow(Shape):
    profile: str
    tier: str
    scope: str
    owner: str
    model: str
    amount: str
    limit: int
    remaining: int
    reset_s: float | None


class Limits(Shape):
    limits: list[str]
    scale: float
    exhausted: list[str]
    data: list[LimitRow]


class FaultRule(Shape):
    id: str
    rule: str
    fault: str
    parameters: dict[str, Any]
    conditions: dict[str, Any]
    applied: int = 0


class FaultRules(Listed[FaultRule]):
    pass


class Deleted(Shape):
    id: str
    deleted: bool


class ScenarioState(Shape):
    """Only the first two where no scenario is on."""

    scenario: str | None
    phase: str | None
    description: str = ""
    number: int | None = None
    phases: int = 0
    lap: int = 0
    over: bool = False
    elapsed_s: float | None = None
    phase_elapsed_s: float | None = None
    left_s: float | None = None
    next: dict[str, Any] | None = None
    changes: dict[str, Any] = {}


class ScenarioRow(Shape):
    name: str
    description: str
    illustrative: bool
    source: str
    repeat: bool
    suggested: dict[str, Any]
    phases: list[dict[str, Any]]


class Scenarios(Listed[ScenarioRow]):
    pass


class ClockState(Shape):
    clock: Literal["real", "virtual"]
    now_s: float
    wall: str


class ProfileState(Shape):
    profile: str
    kind: Literal["hosted", "fleet", "none"]
    followed: bool = Field(description="Whether any answer follows it.")
    description: str
    source: str
    models: list[str]
    timing: str
    speed: float
    choices: list[str] = Field(description="What it may be changed to while it runs.")
    speed_changes: bool = Field(description="Whether another speed may be set while it runs.")


class CallTold(Shape):
    """`misfits` say what did not fit, of a call that came near."""

    call: str
    method: str
    host: str | None
    path: str
    model: str | None
    status: int | None
    source: str | None
    misfits: list[str] = []


class Verified(Shape):
    ok: bool
    expected: str
    count: int
    kept: int
    calls_max: int
    matches: list[CallTold]
    near: list[CallTold]


class Verdict(Shape):
    """What came of all requests where cassettes are replayed or recorded; `counts` by kind."""

    mode: str
    cassettes: list[str]
    counts: dict[str, int]
    saved_usd: float
    spent_usd: float
    told: list[dict[str, Any]]
    unused: list[dict[str, Any]]
    failures: list[str]


class DriftRow(Shape):
    """`recording` is an id, `difference` where and how live answers differ."""

    kind: str
    request: str
    difference: str
    example: str | None
    count: int
    recording: str
    first_seen: str
    last_seen: str


class Drift(Listed[DriftRow]):
    """`not_compared` counts by why."""

    compared: int
    same: int
    drifting: int
    not_compared: dict[str, int]
    ttft_ms: dict[str, dict[str, float]]


class Mark(Shape):
    """`at` is the clock's, `wall` seconds since the epoch."""

    id: str
    at: float
    wall: float
    kind: Literal["incident", "phase"]
    note: str


class Marks(Listed[Mark]):
    pass


class CassetteRow(Shape):
    path: str
    recordings: int
    hits: int
    segments: int
    bytes: int


class Cassettes(Listed[CassetteRow]):
    hits: int
    misses: int
    on_miss: str | None


class MissRow(Shape):
    id: str
    asked: str
    method: str
    path: str
    answered_by: str | None
    explanation: str | None
    nearest: list[dict[str, Any]]


class Misses(Listed[MissRow]):
    pass


class Ready(Shape):
    """FakeAI's body of /health."""

    status: Literal["healthy", "starting", "unhealthy"]
    ready: bool
    timestamp: str
    embedder: str


class DetailedHealth(Shape):
    status: Literal["healthy", "starting", "degraded", "unhealthy"]
    timestamp: float
    uptime_seconds: float
    metrics_summary: dict[str, float]
    endpoints: dict[str, dict[str, float]]


class ModelFigures(Shape):
    """Only these and `error` of one that nobody asked for."""

    model: str
    request_count: int


class ModelsFigures(RootModel[dict[str, ModelFigures]]):
    """By the model's name."""


class Ranking(RootModel[list[ModelFigures]]):
    """The most first."""


class ModelCosts(Shape):
    costs_by_model: dict[str, float]
    total_cost_usd: float


class MultiDimensional(Shape):
    model_by_endpoint: dict[str, dict[str, int]]
    model_by_user: dict[str, dict[str, int]]
    model_by_time_24h: dict[str, list[dict[str, int]]]


class RateLimits(Shape):
    summary: dict[str, Any]
    tier_stats: dict[str, dict[str, float]]
    throttle_analytics: dict[str, Any]
    abuse_patterns: list[dict[str, Any]]
