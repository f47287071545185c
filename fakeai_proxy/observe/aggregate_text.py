"""FakeAI's families for Prometheus, by endpoint of the last minute and by model since the start, and two
of ours that can be summed: answers by status, and requests that the limits refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from fakeai_proxy.observe.aggregates import Sums
from fakeai_proxy.observe.digest import Digest
from fakeai_proxy.observe.endpoint_view import span_s
from fakeai_proxy.observe.model_view import Bill, Model, models_of
from fakeai_proxy.observe.prometheus import Metric, Series, braced, lines, number
from fakeai_proxy.observe.window import Second

_QUANTILES = (0.5, 0.9, 0.99)
_MODEL_QUANTILES = (0.5, 0.9, 0.95, 0.99)

_BY_ENDPOINT: tuple[Metric[tuple[Second, float]], ...] = (
    Metric("fakeai_requests_per_second", "gauge", "Requests that ended, of the last minute.",
           lambda row: row[0].requests / row[1]),
    Metric("fakeai_responses_per_second", "gauge", "Those that came to a good end.",
           lambda row: (row[0].requests - row[0].errors) / row[1]),
    Metric("fakeai_tokens_per_second", "gauge", "Tokens read and written.",
           lambda row: row[0].tokens.sum / row[1]),
    Metric("fakeai_errors_per_second", "gauge", "Requests that failed.",
           lambda row: row[0].errors / row[1]),
)  # fmt: skip
_STREAMS: tuple[Metric[tuple[Sums, Second]], ...] = (
    Metric("fakeai_active_streams", "gauge", "Replies under way that come in pieces.",
           lambda row: row[0].active_streams),
    Metric("fakeai_completed_streams", "gauge", "Streams that ended well, of the last minute.",
           lambda row: row[1].streams_done),
    Metric("fakeai_failed_streams", "gauge", "Streams that broke off, of the last minute.",
           lambda row: row[1].streams_failed),
    Metric("fakeai_responses_total", "counter", "Answers by endpoint and status; 0 is none at all.",
           lambda row: _statuses(row[0])),
    Metric("fakeai_throttled_total", "counter", "Requests that the limits refused, by the amount.",
           lambda row: _throttled(row[0])),
)  # fmt: skip
_BY_MODEL: tuple[Metric[Model], ...] = (
    Metric("fakeai_model_requests_total", "counter", "Requests of each model.",
           lambda model: model.whole.requests),
    Metric("fakeai_model_tokens_total", "counter", "Tokens of each model.",
           lambda model: [({"type": "prompt"}, model.whole.prompt_tokens),
                          ({"type": "completion"}, model.whole.output_tokens)]),
    Metric("fakeai_model_errors_total", "counter", "Requests that failed, of each model.",
           lambda model: model.whole.errors),
    Metric("fakeai_model_cost_usd_total", "counter", "What was used, by the model's price list.",
           lambda model: float(model.usd)),
    Metric("fakeai_model_endpoint_requests_total", "counter", "Requests by model and endpoint.",
           lambda model: [({"endpoint": name}, count)
                          for name, count in model.endpoints.items()]),
)  # fmt: skip


def by_endpoint(sums: Sums) -> Iterator[str]:
    span, whole = span_s(sums), Second.of(sums.seconds.values())
    seconds = sorted(sums.seconds.items())
    rows = [({"endpoint": name}, (second, span)) for name, second in seconds]
    yield from lines(_BY_ENDPOINT, rows)
    latencies = [({"endpoint": name}, second.latency, 1.0) for name, second in seconds]
    yield from _summary("fakeai_latency_seconds", "Time to the last byte.", latencies, _QUANTILES)
    yield from lines(_STREAMS, [({}, (sums, whole))])
    yield from _summary(
        "fakeai_ttft_seconds", "Time to the first byte of streams.", [({}, whole.ttft, 1.0)],
        _QUANTILES,
    )  # fmt: skip
    yield from _summary(
        "fakeai_stream_tokens_per_second", "Tokens a second of single streams.",
        [({}, whole.speed, 1.0)], _QUANTILES,
    )  # fmt: skip


def by_model(sums: Sums, bill: Bill) -> Iterator[str]:
    models = models_of(sums, bill)
    yield from lines(_BY_MODEL, [({"model": model.name}, model) for model in models])
    latencies = [({"model": model.name}, model.whole.latency, 1000.0) for model in models]
    yield from _summary(
        "fakeai_model_latency_milliseconds", "Time to the last byte, of each model.", latencies,
        _MODEL_QUANTILES,
    )  # fmt: skip


def _statuses(sums: Sums) -> Series:
    found: Counter[tuple[str, int]] = Counter()
    for key, cell in sums.cells.items():
        for status, count in cell.statuses.items():
            found[key.endpoint, status] += count
    return [
        ({"endpoint": endpoint, "status": str(status)}, count)
        for (endpoint, status), count in sorted(found.items())
    ]


def _throttled(sums: Sums) -> Series:
    found: Counter[str] = Counter()
    for cell in sums.cells.values():
        found.update(cell.refusals)
    return [({"amount": amount}, count) for amount, count in sorted(found.items())] or [({}, 0)]


def _summary(
    name: str, text: str, rows: Sequence[tuple[dict[str, str], Digest, float]], shares: Any
) -> Iterator[str]:
    """Each row's labels, values, and what they are multiplied by."""
    shown = [row for row in rows if row[1].count]
    if not shown:
        return
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} summary"
    for labels, digest, factor in shown:
        for share in shares:
            quantile = {**labels, "quantile": str(share)}
            yield f"{name}{braced(quantile)} {number(factor * digest.quantile(share))}"
        yield f"{name}_sum{braced(labels)} {number(factor * digest.sum)}"
        yield f"{name}_count{braced(labels)} {number(digest.count)}"
