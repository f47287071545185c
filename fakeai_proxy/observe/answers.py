"""Which shape each row of the control API answers in, for its OpenAPI document."""

from __future__ import annotations

from pydantic import BaseModel

from fakeai_proxy.observe.fleet_shapes import Fleet, KvEvents, Life, Scaled
from fakeai_proxy.observe.pages import CONTROL, JSON, OWN, Route
from fakeai_proxy.observe.shapes import (
    Cassettes,
    Cleared,
    ClockState,
    Deleted,
    DetailedHealth,
    Drift,
    Entry,
    FaultRule,
    FaultRules,
    FigureRows,
    Figures,
    Health,
    Journal,
    Limits,
    Mark,
    Marks,
    Misses,
    MissRow,
    ModelCosts,
    ModelFigures,
    ModelsFigures,
    MultiDimensional,
    ProfileState,
    Ranking,
    RateLimits,
    Ready,
    Reset,
    Scenarios,
    ScenarioState,
    Status,
    Verdict,
    Verified,
    Watching,
)

_TEXT, _HTML, _EVENTS = "text/plain", "text/html", "text/event-stream"
_ANY = "application/octet-stream"
_FLEET = f"{CONTROL}fleet"
_VERBS = (
    "kill",
    "drain",
    "resume",
    "restart",
    "heal",
    "slow",
    "xid",
    "ecc",
    "thermal",
    "power-cap",
)

#: What a row answers, or the content type of what is no JSON; any JSON where nothing is said.
_ANSWERS: dict[tuple[str, str], type[BaseModel] | str] = {
    ("GET", f"{OWN}/health"): Health,
    ("GET", f"{OWN}/media/{{name}}"): _ANY,
    ("GET", f"{CONTROL}status"): Status,
    ("POST", f"{CONTROL}reset"): Reset,
    ("GET", f"{CONTROL}openapi.json"): Figures,
    ("GET", f"{CONTROL}reload"): Watching,
    ("POST", f"{CONTROL}reload"): Watching,
    ("GET", f"{CONTROL}journal"): Journal,
    ("DELETE", f"{CONTROL}journal"): Cleared,
    ("GET", f"{CONTROL}journal/{{id}}"): Entry,
    ("GET", f"{CONTROL}limits"): Limits,
    ("PUT", f"{CONTROL}limits"): Limits,
    ("GET", f"{CONTROL}faults"): FaultRules,
    ("POST", f"{CONTROL}faults"): FaultRule,
    ("PUT", f"{CONTROL}faults"): FaultRules,
    ("DELETE", f"{CONTROL}faults"): Cleared,
    ("DELETE", f"{CONTROL}faults/{{id}}"): Deleted,
    ("GET", _FLEET): Fleet,
    ("GET", f"{_FLEET}/kv-events"): KvEvents,
    ("POST", f"{_FLEET}/pools/{{name}}/scale"): Scaled,
    **{("POST", f"{_FLEET}/workers/{{name}}/{verb}"): Life for verb in _VERBS},
    ("GET", f"{CONTROL}scenario"): ScenarioState,
    ("PUT", f"{CONTROL}scenario"): ScenarioState,
    ("DELETE", f"{CONTROL}scenario"): ScenarioState,
    ("GET", f"{CONTROL}scenarios"): Scenarios,
    ("GET", f"{CONTROL}clock"): ClockState,
    ("POST", f"{CONTROL}clock/advance"): ClockState,
    ("GET", f"{CONTROL}profile"): ProfileState,
    ("PUT", f"{CONTROL}profile"): ProfileState,
    ("POST", f"{CONTROL}verify"): Verified,
    ("GET", f"{CONTROL}verdict"): Verdict,
    ("GET", f"{CONTROL}drift"): Drift,
    ("GET", f"{CONTROL}marks"): Marks,
    ("POST", f"{CONTROL}marks"): Mark,
    ("DELETE", f"{CONTROL}marks/{{id}}"): Deleted,
    ("GET", f"{CONTROL}live"): _EVENTS,
    ("GET", f"{CONTROL}journal/stream"): _EVENTS,
    ("GET", f"{CONTROL}journal/export"): _ANY,
    ("GET", f"{OWN}/"): _HTML,
    ("GET", "/dashboard"): _HTML,
    ("GET", "/dashboard/dynamo"): _HTML,
    ("GET", f"{OWN}/assets/{{name:path}}"): _ANY,
    ("GET", f"{CONTROL}cassettes"): Cassettes,
    ("GET", f"{CONTROL}cassettes/misses"): Misses,
    ("GET", f"{CONTROL}cassettes/misses/{{id}}"): MissRow,
    ("GET", "/health"): Ready,
    ("GET", "/health/detailed"): DetailedHealth,
    ("GET", "/metrics"): _TEXT,
    ("GET", "/vllm/metrics"): _TEXT,
    ("GET", "/sglang/metrics"): _TEXT,
    ("GET", "/dynamo/metrics"): _TEXT,
    ("GET", "/dynamo/metrics/json"): Figures,
    ("GET", "/kv-cache/metrics"): Figures,
    ("GET", "/dcgm/metrics"): _TEXT,
    ("GET", "/dcgm/metrics/json"): Figures,
    ("GET", "/metrics/json"): Figures,
    ("GET", "/metrics/csv"): "text/csv",
    ("GET", "/metrics/prometheus"): _TEXT,
    ("GET", "/metrics/by-model"): ModelsFigures,
    ("GET", "/metrics/by-model/prometheus"): _TEXT,
    ("GET", "/metrics/by-model/{model:path}"): ModelFigures,
    ("GET", "/metrics/compare"): Figures,
    ("GET", "/metrics/ranking"): Ranking,
    ("GET", "/metrics/costs"): ModelCosts,
    ("GET", "/metrics/multi-dimensional"): MultiDimensional,
    ("GET", "/metrics/rate-limits"): RateLimits,
    ("GET", "/metrics/rate-limits/key/{key}"): Figures,
    ("GET", "/metrics/rate-limits/tier"): Figures,
    ("GET", "/metrics/rate-limits/throttle-analytics"): Figures,
    ("GET", "/metrics/rate-limits/abuse-patterns"): FigureRows,
}
_STATUSES: dict[tuple[str, str], str] = {
    ("POST", f"{CONTROL}faults"): "201",
    ("POST", f"{CONTROL}marks"): "201",
    ("GET", "/metrics/stream"): "101",
}


def answer_of(route: Route) -> type[BaseModel] | str:
    return _ANSWERS.get((route.method, route.path), JSON)


def status_of(route: Route) -> str:
    return _STATUSES.get((route.method, route.path), "200")
