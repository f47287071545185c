"""vLLM's metrics (V1: vllm/v1/metrics/loggers.py): names, types, buckets and labels, read from the
state of the fleet's workers. A worker is an engine; its number is the `engine` label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from fakeai_proxy.fleet import buckets
from fakeai_proxy.fleet.buckets import Bounds, Distribution
from fakeai_proxy.fleet.metrics import Counts, Reading
from fakeai_proxy.fleet.worker import End
from fakeai_proxy.observe.prometheus import Labels, Metric, Series, lines


def families(readings: Sequence[Reading], wall: float) -> Iterator[str]:
    """`wall` is in seconds since the epoch: the value of `lora_requests_info` says when."""
    rows = [
        ({"model_name": reading.pool.model, "engine": str(reading.number)}, reading)
        for reading in readings
    ]
    yield from lines(METRICS, rows)
    yield from lines((_CACHE_CONFIG,), [({"engine": labels["engine"]}, r) for labels, r in rows])
    adapters: list[tuple[Labels, Sequence[Reading]]] = [({}, readings)]
    yield from lines((_lora(wall),), adapters)


def _count(of: Callable[[Counts], int]) -> Callable[[Reading], float]:
    return lambda reading: of(reading.counts)


def _over(name: str, bounds: Bounds) -> Callable[[Reading], Distribution]:
    return lambda reading: reading.histograms[name].over(bounds)


def _tokens(name: str) -> Callable[[Reading], Distribution]:
    """Over 1, 2, 5, 10, ... up to the model's context."""
    return lambda reading: reading.histograms[name].over(
        buckets.one_two_five(reading.model_tokens_max)
    )


def _by(label: str, values: Mapping[str, int] | Mapping[End, int]) -> Series:
    return [({label: name}, value) for name, value in values.items()]


def _by_source(reading: Reading) -> Series:
    counts = reading.counts
    return _by(
        "source",
        {
            "local_compute": counts.computed_tokens,
            "local_cache_hit": counts.cached_tokens,
            "external_kv_transfer": counts.fetched_tokens,
        },
    )


def _cache_config(reading: Reading) -> Series:
    pool = reading.pool
    labels = {
        "block_size": str(pool.engine.block_size),
        "cache_dtype": {"bf16": "auto"}.get(pool.kv_cache_dtype, pool.kv_cache_dtype),
        "enable_prefix_caching": str(pool.engine.enable_prefix_caching),
        "gpu_memory_utilization": str(pool.gpu_memory_utilization),
        "num_gpu_blocks": str(reading.kv_blocks),
        "num_gpu_blocks_override": str(pool.num_gpu_blocks),
        "prefix_caching_hash_algo": "sha256",
    }
    return [(labels, 1.0)]


#: These engines are never put to sleep.
_AWAKE = {"awake": 1, "weights_offloaded": 0, "discard_all": 0}

_CACHE_CONFIG = Metric(
    "vllm:cache_config_info", "gauge", "How each engine's KV cache is set up, in the labels.",
    _cache_config,
)  # fmt: skip


def _lora(wall: float) -> Metric[Sequence[Reading]]:
    def series(readings: Sequence[Reading]) -> Series:
        serving = [reading for reading in readings if reading.pool.lora]
        if not serving:
            return []
        most = max(reading.pool.engine.max_loras or len(reading.pool.lora) for reading in serving)
        labels = {
            "max_lora": str(most),
            "running_lora_adapters": _names(reading.running_loras for reading in serving),
            "waiting_lora_adapters": _names(reading.waiting_loras for reading in serving),
        }
        return [(labels, wall)]

    return Metric(
        "vllm:lora_requests_info", "gauge",
        "When the adapters in the labels were the ones that run and wait.", series,
    )  # fmt: skip


def _names(several: Iterator[tuple[str, ...]]) -> str:
    return ",".join(sorted({name for names in several for name in names}))


METRICS: tuple[Metric[Reading], ...] = (
    Metric(
        "vllm:num_requests_running", "gauge", "Requests in the running batch.",
        lambda reading: reading.running,
    ),
    Metric(
        "vllm:num_requests_waiting", "gauge", "Requests that wait for a place in the batch.",
        lambda reading: reading.waiting,
    ),
    Metric(
        "vllm:num_requests_waiting_by_reason", "gauge", "Requests that wait, by what they wait for.",
        lambda reading: _by("reason", {"capacity": reading.waiting, "deferred": 0}),
    ),
    Metric(
        "vllm:kv_cache_usage_perc", "gauge", "Share of the KV cache in use; 1 is all of it.",
        lambda reading: reading.kv_usage,
    ),
    Metric(
        "vllm:engine_sleep_state", "gauge", "Whether the engine is awake (1) or not (0).",
        lambda reading: _by("sleep_state", _AWAKE),
    ),
    Metric(
        "vllm:prefix_cache_queries_total", "counter", "Prompt tokens looked up in the prefix cache.",
        _count(lambda counts: counts.prefix_queries),
    ),
    Metric(
        "vllm:prefix_cache_hits_total", "counter", "Prompt tokens found in the prefix cache.",
        _count(lambda counts: counts.prefix_hits),
    ),
    Metric(
        "vllm:external_prefix_cache_queries_total", "counter",
        "Prompt tokens looked for in other workers' caches.",
        _count(lambda counts: counts.fetched_tokens),
    ),
    Metric(
        "vllm:external_prefix_cache_hits_total", "counter",
        "Prompt tokens fetched from other workers' caches.",
        _count(lambda counts: counts.fetched_tokens),
    ),
    Metric(
        "vllm:num_preemptions_total", "counter", "Times a running request lost its blocks.",
        _count(lambda counts: counts.preemptions),
    ),
    Metric(
        "vllm:prompt_tokens_total", "counter", "Tokens of prompts that have been prefilled.",
        _count(lambda counts: counts.prompt_tokens),
    ),
    Metric(
        "vllm:prompt_tokens_by_source_total", "counter", "Prompt tokens by where their KV came from.",
        _by_source,
    ),
    Metric(
        "vllm:prompt_tokens_cached_total", "counter", "Prompt tokens that were not computed here.",
        _count(lambda counts: counts.cached_tokens + counts.fetched_tokens),
    ),
    Metric(
        "vllm:generation_tokens_total", "counter", "Tokens generated.",
        _count(lambda counts: counts.generation_tokens),
    ),
    Metric(
        "vllm:request_success_total", "counter", "Requests that ended, by why.",
        lambda reading: _by("finished_reason", reading.counts.ended),
    ),
    Metric(
        "vllm:iteration_tokens_total", "histogram",
        "Tokens of a step: those generated, and prompts that it finished.",
        _over("step_tokens", buckets.VLLM_STEP_TOKENS),
    ),
    Metric(
        "vllm:time_to_first_token_seconds", "histogram", "From arrival to the first token.",
        _over("ttft_s", buckets.VLLM_TTFT_S),
    ),
    Metric(
        "vllm:inter_token_latency_seconds", "histogram", "From a token to the next.",
        _over("itl_s", buckets.VLLM_ITL_S),
    ),
    Metric(
        "vllm:time_per_output_token_seconds", "histogram",
        "From a token to the next, by the name before vLLM 0.11.",
        _over("itl_s", buckets.VLLM_ITL_S),
    ),
    Metric(
        "vllm:request_time_per_output_token_seconds", "histogram",
        "A request's decode time for each token after the first.",
        _over("tpot_s", buckets.VLLM_ITL_S),
    ),
    Metric(
        "vllm:e2e_request_latency_seconds", "histogram", "From arrival to the last token.",
        _over("e2e_s", buckets.VLLM_REQUEST_S),
    ),
    Metric(
        "vllm:request_queue_time_seconds", "histogram", "From the queue to the first step.",
        _over("queue_s", buckets.VLLM_REQUEST_S),
    ),
    Metric(
        "vllm:request_inference_time_seconds", "histogram", "From the first step to the last token.",
        _over("inference_s", buckets.VLLM_REQUEST_S),
    ),
    Metric(
        "vllm:request_prefill_time_seconds", "histogram", "From the first step to the first token.",
        _over("prefill_s", buckets.VLLM_REQUEST_S),
    ),
    Metric(
        "vllm:request_decode_time_seconds", "histogram", "From the first token to the last.",
        _over("decode_s", buckets.VLLM_REQUEST_S),
    ),
    Metric(
        "vllm:request_prompt_tokens", "histogram", "Tokens of a request's prompt.",
        _tokens("prompt_tokens"),
    ),
    Metric(
        "vllm:request_prefill_kv_computed_tokens", "histogram",
        "Tokens of a request's prompt that were computed here.", _tokens("computed_tokens"),
    ),
    Metric(
        "vllm:request_generation_tokens", "histogram", "Tokens generated for a request.",
        _tokens("generation_tokens"),
    ),
    Metric(
        "vllm:request_max_num_generation_tokens", "histogram",
        "Tokens of the longest of a request's answers.", _tokens("longest_generation_tokens"),
    ),
    Metric(
        "vllm:request_params_n", "histogram", "Answers that a request asked for.",
        _over("samples", buckets.VLLM_SAMPLES),
    ),
    Metric(
        "vllm:request_params_max_tokens", "histogram", "Most tokens that a request allowed.",
        _tokens("max_tokens"),
    ),
)  # fmt: skip
