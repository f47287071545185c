"""NVIDIA Dynamo's metrics (lib/runtime/src/metrics/prometheus_names.rs): its front end by model, its
components by worker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fakeai_proxy.fleet import buckets
from fakeai_proxy.fleet.buckets import Bounds, Distribution
from fakeai_proxy.fleet.metrics import Reading
from fakeai_proxy.observe.exchanges import ExchangeCounts, Kind
from fakeai_proxy.observe.prometheus import Labels, Metric, Series, lines
from fakeai_proxy.profiles.fleet import FleetProfile

NAMESPACE = "dynamo"
_COMPONENTS = {"both": "backend", "prefill": "prefill", "decode": "decode"}
_WORKER_TYPES = {"both": "aggregated"}


@dataclass(frozen=True)
class Frontend:
    """What the exchanges said, at one instant."""

    by_kind: Mapping[Kind, int]
    disconnected: int
    request_bytes: Mapping[str, int]
    response_bytes: Mapping[str, int]

    @classmethod
    def of(cls, counts: ExchangeCounts, profile: FleetProfile) -> Frontend:
        """Under the names of the models that answered, not those by which they were called."""
        by_kind: Counter[Kind] = Counter()
        for kind, number in counts.by_kind.items():
            pools = profile.pools_for(kind.model)
            by_kind[kind._replace(model=pools[0].model) if pools else kind] += number
        return cls(
            by_kind,
            counts.disconnected,
            Counter(counts.request_bytes),
            Counter(counts.response_bytes),
        )


@dataclass(frozen=True)
class Model:
    """All workers of one model."""

    workers: Sequence[Reading]
    migration_limit: int

    @property
    def first(self) -> Reading:
        return self.workers[0]

    @property
    def entered(self) -> Sequence[Reading]:
        """Where its requests begin: of a disaggregated model, the prefill workers."""
        return [each for each in self.workers if each.pool.role != "decode"] or self.workers

    @property
    def left(self) -> Sequence[Reading]:
        """And where they end."""
        return [each for each in self.workers if each.pool.role != "prefill"] or self.workers


def families(
    readings: Sequence[Reading], frontend: Frontend, migration_limit: int, now: float
) -> Iterator[str]:
    by_model: dict[str, list[Reading]] = {}
    for reading in readings:
        by_model.setdefault(reading.pool.model, []).append(reading)
    everything: list[tuple[Labels, Frontend]] = [({}, frontend)]
    yield from lines(_EXCHANGES, everything)
    models = [({"model": m}, Model(workers, migration_limit)) for m, workers in by_model.items()]
    yield from lines(_MODELS, models)
    workers = [
        (
            {
                "dynamo_namespace": NAMESPACE,
                "dynamo_component": _COMPONENTS[reading.pool.role],
                "dynamo_endpoint": "generate",
                "model": reading.pool.model,
                "worker_id": str(reading.number),
            },
            (reading, frontend, now),
        )
        for reading in readings
    ]
    yield from lines(_COMPONENT, workers)


_EXCHANGES: tuple[Metric[Frontend], ...] = (
    Metric("dynamo_frontend_requests_total", "counter", "Requests that ended, by how.",
           lambda frontend: [(kind._asdict(), n) for kind, n in frontend.by_kind.items()]),
    Metric("dynamo_frontend_disconnected_clients", "gauge", "Clients that left before the end.",
           lambda frontend: frontend.disconnected),
)  # fmt: skip


def _sum(of: Callable[[Reading], float]) -> Callable[[Model], float]:
    return lambda model: sum(of(reading) for reading in model.workers)


def _merged(
    name: str, bounds: Bounds, of: Callable[[Model], Sequence[Reading]]
) -> Callable[[Model], Distribution]:
    def merge(model: Model) -> Distribution:
        first, *rest = [reading.histograms[name] for reading in of(model)]
        merged = first.copy()
        for histogram in rest:
            merged.add(histogram)
        return merged.over(bounds)

    return merge


def _entered(model: Model) -> Sequence[Reading]:
    return model.entered


def _left(model: Model) -> Sequence[Reading]:
    return model.left


def _workers(model: Model) -> Series:
    types = Counter(_WORKER_TYPES.get(r.pool.role, r.pool.role) for r in model.workers
                    if r.life == "ready")  # fmt: skip
    return [({"worker_type": name}, number) for name, number in sorted(types.items())]


_MODELS: tuple[Metric[Model], ...] = (
    Metric("dynamo_frontend_inflight_requests", "gauge", "Requests that are in an engine.",
           _sum(lambda reading: reading.running + reading.waiting)),
    Metric("dynamo_frontend_queued_requests", "gauge", "Requests without a first token.",
           _sum(lambda reading: reading.running - reading.decoding + reading.waiting)),
    Metric("dynamo_frontend_output_tokens_total", "counter", "Tokens generated.",
           _sum(lambda reading: reading.counts.generation_tokens)),
    Metric("dynamo_frontend_request_duration_seconds", "histogram",
           "From arrival to the last token.", _merged("e2e_s", buckets.DYNAMO_REQUEST_S, _left)),
    Metric("dynamo_frontend_time_to_first_token_seconds", "histogram",
           "From arrival to the first token.", _merged("ttft_s", buckets.DYNAMO_TTFT_S, _entered)),
    Metric("dynamo_frontend_inter_token_latency_seconds", "histogram",
           "From a token to the next.", _merged("itl_s", buckets.DYNAMO_ITL_S, _left)),
    Metric("dynamo_frontend_input_sequence_tokens", "histogram", "Tokens of a prompt.",
           _merged("prompt_tokens", buckets.DYNAMO_INPUT_TOKENS, _left)),
    Metric("dynamo_frontend_output_sequence_tokens", "histogram", "Tokens of an answer.",
           _merged("generation_tokens", buckets.DYNAMO_OUTPUT_TOKENS, _left)),
    Metric("dynamo_frontend_cached_tokens", "histogram", "Cached tokens of a prompt.",
           _merged("cached_tokens", buckets.DYNAMO_INPUT_TOKENS, _entered)),
    Metric("dynamo_frontend_cached_sequence_length", "histogram",
           "Cached tokens of a prompt, by an older name.",
           _merged("cached_tokens", buckets.DYNAMO_INPUT_TOKENS, _entered)),
    Metric("dynamo_frontend_model_total_kv_blocks", "gauge", "KV blocks of one worker.",
           lambda model: model.first.kv_blocks),
    Metric("dynamo_frontend_model_max_num_seqs", "gauge", "Sequences that one worker runs.",
           lambda model: model.first.pool.engine.max_num_seqs),
    Metric("dynamo_frontend_model_max_num_batched_tokens", "gauge", "Tokens of one step.",
           lambda model: model.first.pool.engine.max_num_batched_tokens),
    Metric("dynamo_frontend_model_context_length", "gauge", "Longest context of the model.",
           lambda model: model.first.model_tokens_max),
    Metric("dynamo_frontend_model_kv_cache_block_size", "gauge", "Tokens of a KV block.",
           lambda model: model.first.pool.engine.block_size),
    Metric("dynamo_frontend_model_migration_limit", "gauge",
           "How often a request may lose its worker.", lambda model: model.migration_limit),
    Metric("dynamo_frontend_model_workers", "gauge", "Workers that serve.", _workers),
)  # fmt: skip


_Component = tuple[Reading, Frontend, float]


def _of(of: Callable[[Reading], float]) -> Callable[[_Component], float]:
    return lambda row: of(row[0])


_COMPONENT: tuple[Metric[_Component], ...] = (
    Metric("dynamo_component_requests_total", "counter", "Requests that ended.",
           _of(lambda reading: sum(reading.counts.ended.values()))),
    Metric("dynamo_component_errors_total", "counter", "Requests that failed.",
           lambda row: [({"error_type": "generate"}, row[0].counts.ended["error"])]),
    Metric("dynamo_component_inflight_requests", "gauge", "Requests that are there.",
           _of(lambda reading: reading.running + reading.waiting)),
    Metric("dynamo_component_request_duration_seconds", "histogram",
           "From arrival to the last token.",
           lambda row: row[0].histograms["e2e_s"].over(buckets.DYNAMO_WORKER_S)),
    Metric("dynamo_component_request_bytes_total", "counter", "Bytes of requests.",
           lambda row: row[1].request_bytes[row[0].name]),
    Metric("dynamo_component_response_bytes_total", "counter", "Bytes of answers.",
           lambda row: row[1].response_bytes[row[0].name]),
    Metric("dynamo_component_uptime_seconds", "gauge", "How long it has been serving.",
           lambda row: max(0.0, row[2] - row[0].since)),
    Metric("dynamo_component_kvstats_active_blocks", "gauge", "KV blocks in use.",
           _of(lambda reading: reading.kv_used)),
    Metric("dynamo_component_kvstats_total_blocks", "gauge", "KV blocks.",
           _of(lambda reading: reading.kv_blocks)),
    Metric("dynamo_component_kvstats_gpu_cache_usage_percent", "gauge",
           "Share of the KV blocks in use; 1 is all of them.", _of(lambda r: r.kv_usage)),
    Metric("dynamo_component_kvstats_gpu_prefix_cache_hit_rate", "gauge",
           "Share of prompt tokens found in the cache; 1 is all of them.",
           _of(lambda reading: reading.hit_rate)),
)  # fmt: skip
