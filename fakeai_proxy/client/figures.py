"""The rows of metrics and health, under FakeAI's paths and those of the servers that are modelled."""

from __future__ import annotations

from json import loads
from typing import Any, Literal

from fakeai_proxy.client.asking import Asked, Row, get, page, part
from fakeai_proxy.observe import shapes

Rank = Literal["request_count", "latency", "error_rate", "cost", "tokens"]


class Figures:
    """A part of both clients. Texts are for Prometheus."""

    @Row
    def ready(self) -> Asked[shapes.Ready]:
        """Raises ControlError with 503 while no worker is ready."""
        return get("/health", shapes.Ready.model_validate_json)

    @Row
    def detailed_health(self) -> Asked[shapes.DetailedHealth]:
        return get("/health/detailed", shapes.DetailedHealth.model_validate_json)

    @Row
    def metrics_text(self) -> Asked[str]:
        return page("/metrics")

    @Row
    def vllm_metrics(self) -> Asked[str]:
        return page("/vllm/metrics")

    @Row
    def sglang_metrics(self) -> Asked[str]:
        return page("/sglang/metrics")

    @Row
    def dynamo_metrics(self) -> Asked[str]:
        return page("/dynamo/metrics")

    @Row
    def dynamo(self) -> Asked[dict[str, Any]]:
        return get("/dynamo/metrics/json", loads)

    @Row
    def kv_cache(self) -> Asked[dict[str, Any]]:
        return get("/kv-cache/metrics", loads)

    @Row
    def dcgm_metrics(self) -> Asked[str]:
        return page("/dcgm/metrics")

    @Row
    def dcgm(self) -> Asked[dict[str, Any]]:
        return get("/dcgm/metrics/json", loads)

    @Row
    def metrics(self) -> Asked[dict[str, Any]]:
        """The last minute by endpoint."""
        return get("/metrics/json", loads)

    @Row
    def metrics_csv(self) -> Asked[str]:
        return page("/metrics/csv")

    @Row
    def endpoint_metrics_text(self) -> Asked[str]:
        return page("/metrics/prometheus")

    @Row
    def models(self) -> Asked[shapes.ModelsFigures]:
        return get("/metrics/by-model", shapes.ModelsFigures.model_validate_json)

    @Row
    def models_text(self) -> Asked[str]:
        return page("/metrics/by-model/prometheus")

    @Row
    def model(self, name: str) -> Asked[shapes.ModelFigures]:
        return get(f"/metrics/by-model/{part(name)}", shapes.ModelFigures.model_validate_json)

    @Row
    def compare(self, model1: str, model2: str) -> Asked[dict[str, Any]]:
        return get("/metrics/compare", loads, model1=model1, model2=model2)

    @Row
    def ranking(self, metric: Rank = "request_count", limit: int = 10) -> Asked[shapes.Ranking]:
        read = shapes.Ranking.model_validate_json
        return get("/metrics/ranking", read, metric=metric, limit=limit)

    @Row
    def costs(self) -> Asked[shapes.ModelCosts]:
        return get("/metrics/costs", shapes.ModelCosts.model_validate_json)

    @Row
    def multi_dimensional(self) -> Asked[shapes.MultiDimensional]:
        return get("/metrics/multi-dimensional", shapes.MultiDimensional.model_validate_json)

    @Row
    def rate_limits(self) -> Asked[shapes.RateLimits]:
        return get("/metrics/rate-limits", shapes.RateLimits.model_validate_json)

    @Row
    def rate_limits_of(self, key: str) -> Asked[dict[str, Any]]:
        """By the key's id."""
        return get(f"/metrics/rate-limits/key/{part(key)}", loads)

    @Row
    def rate_limit_tiers(self) -> Asked[dict[str, Any]]:
        return get("/metrics/rate-limits/tier", loads)

    @Row
    def throttling(self) -> Asked[dict[str, Any]]:
        return get("/metrics/rate-limits/throttle-analytics", loads)

    @Row
    def abuse(self) -> Asked[list[dict[str, Any]]]:
        return get("/metrics/rate-limits/abuse-patterns", loads)

    @Row
    def media(self, name: str) -> Asked[bytes]:
        """A file that was handed out by URL."""
        return get(f"/_fakeai/media/{part(name)}", bytes)
