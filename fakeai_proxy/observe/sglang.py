"""SGLang's metrics (srt/metrics/collector.py): the fleet's workers as SGLang's schedulers would show
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from fakeai_proxy.fleet import buckets
from fakeai_proxy.fleet.buckets import Bounds, Distribution
from fakeai_proxy.fleet.metrics import Reading
from fakeai_proxy.observe.prometheus import Metric, lines

_ENGINE_TYPES = {"both": "unified"}


def families(readings: Sequence[Reading]) -> Iterator[str]:
    rows = [
        (
            {
                "model_name": reading.pool.model,
                "engine_type": _ENGINE_TYPES.get(reading.pool.role, reading.pool.role),
                "tp_rank": "0",
                "pp_rank": "0",
                "dp_rank": str(reading.number),
            },
            reading,
        )
        for reading in readings
    ]
    return lines(METRICS, rows)


def _over(name: str, bounds: Bounds) -> Callable[[Reading], Distribution]:
    return lambda reading: reading.histograms[name].over(bounds)


METRICS: tuple[Metric[Reading], ...] = (
    Metric("sglang:num_running_reqs", "gauge", "Requests in the running batch.",
           lambda reading: reading.running),
    Metric("sglang:num_queue_reqs", "gauge", "Requests in the waiting queue.",
           lambda reading: reading.waiting),
    Metric("sglang:num_used_tokens", "gauge", "Tokens whose KV is in use.",
           lambda reading: reading.kv_used * reading.pool.engine.block_size),
    Metric("sglang:token_usage", "gauge", "Share of the KV pool in use; 1 is all of it.",
           lambda reading: reading.kv_usage),
    Metric("sglang:max_total_num_tokens", "gauge", "Tokens that the KV pool holds.",
           lambda reading: reading.kv_blocks * reading.pool.engine.block_size),
    Metric("sglang:decode_sum_seq_lens", "gauge", "Context of all sequences that decode.",
           lambda reading: reading.context_tokens),
    Metric("sglang:gen_throughput", "gauge", "Tokens generated per second.",
           lambda reading: reading.tokens_s),
    Metric("sglang:cache_hit_rate", "gauge", "Share of prompt tokens found in the radix cache.",
           lambda reading: reading.hit_rate),
    Metric("sglang:num_retracted_requests_total", "counter",
           "Times a running request was put back.", lambda reading: reading.counts.preemptions),
    Metric("sglang:prompt_tokens_total", "counter", "Tokens of prompts.",
           lambda reading: reading.counts.prompt_tokens),
    Metric("sglang:generation_tokens_total", "counter", "Tokens generated.",
           lambda reading: reading.counts.generation_tokens),
    Metric("sglang:cached_tokens_total", "counter", "Prompt tokens found in the cache.",
           lambda reading: reading.counts.cached_tokens),
    Metric("sglang:num_requests_total", "counter", "Requests that ended.",
           lambda reading: sum(reading.counts.ended.values())),
    Metric("sglang:num_aborted_requests_total", "counter", "Requests whose client gave up.",
           lambda reading: reading.counts.ended["abort"]),
    Metric("sglang:time_to_first_token_seconds", "histogram", "From arrival to the first token.",
           _over("ttft_s", buckets.SGLANG_TTFT_S)),
    Metric("sglang:inter_token_latency_seconds", "histogram", "From a token to the next.",
           _over("itl_s", buckets.SGLANG_ITL_S)),
    Metric("sglang:e2e_request_latency_seconds", "histogram", "From arrival to the last token.",
           _over("e2e_s", buckets.SGLANG_REQUEST_S)),
    Metric("sglang:queue_time_seconds", "histogram", "From the queue to the first step.",
           _over("queue_s", buckets.SGLANG_REQUEST_S)),
)  # fmt: skip
