"""Exchanges as OpenTelemetry spans and metrics, under the names of its GenAI conventions.

They are made of journal entries in a thread and leave by the SDK's exporters; the SDK is imported when
this module is. A collector that does not answer costs a line in the log.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from fakeai_proxy import __version__
from fakeai_proxy.exchange import Exchange
from fakeai_proxy.observe.entry import Entry
from fakeai_proxy.observe.following import Following
from fakeai_proxy.observe.journal import Journal, route_of
from fakeai_proxy.observe.timeline import Gaps, gaps_of, offsets_of
from fakeai_proxy.providers import provider_of

log = logging.getLogger("fakeai_proxy")

#: gen_ai.operation.name by what a route ends with.
OPERATIONS = (
    ("/chat/completions", "chat"), ("/messages", "chat"), ("/responses", "chat"),
    ("/completions", "text_completion"), ("/embeddings", "embeddings"),
    ("generateContent", "generate_content"),
)  # fmt: skip
#: Bucket bounds as the conventions advise (GenAI metrics).
DURATION_S = tuple(0.01 * 2**k for k in range(14))
TOKENS = tuple(float(4**k) for k in range(14))
TTFT_S = (
    0.001,
    0.005,
    0.01,
    0.02,
    0.04,
    0.06,
    0.08,
    0.1,
    0.25,
    0.5,
    0.75,
    1.0,
    2.5,
    5.0,
    7.5,
    10.0,
)
PER_TOKEN_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
#: How often metrics are sent, and how long a collector may take.
EXPORT_REAL_MS, TIMEOUT_REAL_S = 10_000, 5.0
#: How long the end of the server waits for the last of it.
CLOSE_REAL_S = 3.0
#: Callers' traces of exchanges that are not told yet.
_PARENTS_MAX = 20_000
_PARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


class Otel:
    """An observer. `endpoint` is a collector's URL; without one the variables OTEL_* say."""

    def __init__(self, journal: Journal, endpoint: str | None) -> None:
        _quiet()
        resource = Resource.create({"service.name": "fakeai-proxy", "service.version": __version__})
        base = None if endpoint is None else endpoint.rstrip("/")
        places = {
            name: None if base is None else f"{base}/v1/{name}" for name in ("traces", "metrics")
        }
        self._spans = TracerProvider(resource=resource)
        spans = OTLPSpanExporter(endpoint=places["traces"], timeout=TIMEOUT_REAL_S)
        self._spans.add_span_processor(BatchSpanProcessor(spans))
        exporter = OTLPMetricExporter(endpoint=places["metrics"], timeout=TIMEOUT_REAL_S)
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=EXPORT_REAL_MS)
        self._metrics = MeterProvider(resource=resource, metric_readers=[reader])
        self._tracer = self._spans.get_tracer("fakeai-proxy", __version__)
        meter = self._metrics.get_meter("fakeai-proxy", __version__)

        def histogram(name: str, unit: str, bounds: Sequence[float]) -> Any:
            return meter.create_histogram(name, unit, explicit_bucket_boundaries_advisory=bounds)

        self._duration = histogram("gen_ai.client.operation.duration", "s", DURATION_S)
        self._usage = histogram("gen_ai.client.token.usage", "{token}", TOKENS)
        self._first = histogram("gen_ai.server.time_to_first_token", "s", TTFT_S)
        self._each = histogram("gen_ai.server.time_per_output_token", "s", PER_TOKEN_S)
        self._parents: dict[str, tuple[str, str]] = {}
        self._journal = journal
        self._following = Following(journal, self._told)

    def finished(self, exchange: Exchange) -> None:
        """Before the journal is told: who called, and in whose words."""
        if len(self._parents) < _PARENTS_MAX:
            request = exchange.request
            parent = request.text_header(b"traceparent")
            self._parents[exchange.id] = (parent, provider_of(request).name)

    def _told(self, entries: Sequence[Entry], lost: int) -> bool:
        if lost:
            log.warning("%d exchanges are in no trace: they left the journal too early", lost)
        for entry in entries:
            parent, provider = self._parents.pop(entry.id, ("", "openai"))
            self._tell(entry, parent, provider)
        return True

    def _tell(self, entry: Entry, parent: str, provider: str) -> None:
        route = entry.route or route_of(entry.path)
        operation = next((name for end, name in OPERATIONS if route.endswith(end)), "")
        if not operation:
            return  # no model was asked
        facts = attributes(entry, operation, provider)
        name = f"{operation} {entry.model}".strip()
        epoch = self._journal.clock.epoch_s
        offsets = offsets_of(entry.offsets)
        span = self._tracer.start_span(
            name, _context(parent), SpanKind.SERVER, facts,
            start_time=_ns(epoch + entry.arrived_at),
        )  # fmt: skip
        if offsets:
            at = _ns(epoch + entry.arrived_at + offsets[0])
            span.add_event("gen_ai.first_token", timestamp=at)
        if "error.type" in facts:
            span.set_status(Status(StatusCode.ERROR))
        span.end(_ns(epoch + entry.finished_at))
        self._measure(entry, facts, offsets)

    def _measure(self, entry: Entry, facts: dict[str, Any], offsets: Sequence[float]) -> None:
        shared = {name: facts[name] for name in _SHARED if name in facts}
        self._duration.record(entry.finished_at - entry.arrived_at, shared)
        for kind, count in (("input", entry.prompt_tokens), ("output", entry.output_tokens)):
            if count is not None:
                self._usage.record(count, {**shared, "gen_ai.token.type": kind})
        if offsets:
            self._first.record(offsets[0], shared)
        if len(offsets) > 1 and (entry.output_tokens or 0) > 1:
            spent_s = offsets[-1] - offsets[0]
            self._each.record(spent_s / ((entry.output_tokens or 0) - 1), shared)

    async def close(self) -> None:
        await self._following.close()
        # The SDK's own ends wait for a collector for as long as they like.
        ending = threading.Thread(target=self._end, name="otel", daemon=True)
        ending.start()
        with self._journal.clock.hold():
            await asyncio.to_thread(ending.join, CLOSE_REAL_S)

    def _end(self) -> None:
        self._spans.shutdown()
        self._metrics.shutdown()


#: Attributes that metrics have as well.
_SHARED = (
    "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model",
    "server.address", "error.type",
)  # fmt: skip


def attributes(entry: Entry, operation: str, provider: str) -> dict[str, Any]:
    """Of a span, by the conventions' names; ours begin with `fakeai.`."""
    offsets = offsets_of(entry.offsets)
    gaps = Gaps._make(entry.gaps) if entry.gaps else gaps_of(offsets)
    error = ""
    if entry.end != "ok" or entry.status >= 400:
        error = entry.end if entry.end in ("cut", "client_gone") else str(entry.status or "_OTHER")
    found = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": provider,
        "gen_ai.system": provider,
        "gen_ai.request.model": entry.model,
        "gen_ai.response.model": entry.model if entry.status < 400 else "",
        "gen_ai.usage.input_tokens": entry.prompt_tokens,
        "gen_ai.usage.output_tokens": entry.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": entry.cached_tokens or None,
        "gen_ai.response.finish_reasons": [entry.finish] if entry.finish else None,
        "gen_ai.server.time_to_first_token": offsets[0] if offsets else None,
        "server.address": entry.host,
        "http.request.method": entry.method,
        "http.response.status_code": entry.status or None,
        "error.type": error,
        "fakeai.id": entry.id,
        "fakeai.source": entry.source,
        "fakeai.worker": entry.worker,
        "fakeai.queue_s": entry.queue_s if entry.worker else None,
        "fakeai.itl_p50_s": None if gaps is None else gaps.p50,
        "fakeai.faults": list(entry.faults) or None,
    }
    return {name: value for name, value in found.items() if value not in (None, "")}


def _context(parent: str) -> Any:
    """Of the caller's trace, if it has one (W3C trace context)."""
    match = _PARENT.fullmatch(parent.strip())
    if match is None:
        return None
    trace_id, span_id, flags = (int(part, 16) for part in match.groups())
    context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return set_span_in_context(NonRecordingSpan(context))


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)


class _Once(logging.Handler):
    """The SDK says the same at every attempt: it is said once here, until something else is."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said = False

    def emit(self, record: logging.LogRecord) -> None:
        if not self._said:
            self._said = True
            log.warning("OpenTelemetry: %s", record.getMessage()[:300])


def _quiet() -> None:
    theirs = logging.getLogger("opentelemetry")
    theirs.handlers[:] = [_Once()]
    theirs.propagate = False
