"""Spans and metrics as a collector gets them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.errors import ConfigError
from tests.conftest import serving
from tests.doubles.collector import Collector, facts
from tests.observe.asking import CHAT, ask, chat
from tests.observe.test_journal import entries

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


async def test_a_stream_is_a_span_with_its_usage_and_first_token() -> None:
    with Collector() as collector:
        clock = VirtualClock(epoch=1_750_000_000.0)
        async with serving(clock, otel=collector.url, profile="quick") as app:
            await ask(
                app, "/v1/chat/completions", "POST", {**CHAT, "stream": True},
                {"authorization": "Bearer any", "traceparent": f"00-{TRACE}-{SPAN}-01"},
            )  # fmt: skip
            await ask(app, "/v1/models", headers={"authorization": "Bearer any"})
            told = (await entries(app))[1]
        [span] = collector.spans
    assert span.name == "chat gpt-4o-mini"
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, SPAN)
    found = facts(span)
    first_s = found.pop("gen_ai.server.time_to_first_token")
    assert first_s == pytest.approx(told["ttft_ms"] / 1000, abs=1e-5)
    assert (
        found.items()
        >= {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.response.model": "gpt-4o-mini",
            "gen_ai.usage.input_tokens": told["prompt_tokens"],
            "gen_ai.usage.output_tokens": told["output_tokens"],
            "http.response.status_code": 200,
            "fakeai.id": told["id"],
            "fakeai.source": "SYNTH",
            "fakeai.worker": "quick-0",
        }.items()
    )
    assert found["gen_ai.response.finish_reasons"] == ["stop"]
    spent_ms = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6
    assert spent_ms == pytest.approx(told["total_ms"], abs=0.01)
    [event] = span.events
    assert event.name == "gen_ai.first_token"
    assert (event.time_unix_nano - span.start_time_unix_nano) / 1e9 == pytest.approx(
        first_s, abs=1e-5
    )

    metrics = {name: points[0] for name, points in collector.metrics.items()}
    assert metrics["gen_ai.client.operation.duration"].sum == pytest.approx(spent_ms / 1000)
    assert metrics["gen_ai.server.time_to_first_token"].sum == pytest.approx(first_s, abs=1e-5)
    assert 0 < metrics["gen_ai.server.time_per_output_token"].sum < 1
    tokens = {
        facts(point)["gen_ai.token.type"]: point.sum
        for point in collector.metrics["gen_ai.client.token.usage"]
    }
    assert tokens == {"input": told["prompt_tokens"], "output": told["output_tokens"]}


async def test_a_refusal_is_an_error_of_its_vendor() -> None:
    with Collector() as collector:
        async with serving(otel=collector.url) as app:
            await ask(
                app, "/v1/messages", "POST", {**CHAT, "model": "of-nobody", "max_tokens": 1},
                {"x-api-key": "any", "anthropic-version": "2023-06-01"},
            )  # fmt: skip
        [span] = collector.spans
    assert span.status.code == 2
    found = facts(span)
    assert (found["error.type"], found["gen_ai.provider.name"]) == ("404", "anthropic")
    assert facts(collector.metrics["gen_ai.client.operation.duration"][0])["error.type"] == "404"


async def test_a_collector_that_is_down_costs_a_line(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(otel="http://127.0.0.1:9") as app:
        for _ in range(3):
            assert (await chat(app)).status == 200
    said = [record for record in caplog.records if "OpenTelemetry" in record.getMessage()]
    assert len(said) <= 1


async def test_the_usual_variables_name_the_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        async with serving(otel="env") as app:
            await chat(app)
        assert [span.name for span in collector.spans] == ["chat gpt-4o-mini"]


async def test_what_cannot_be_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="otel"):
        async with serving(otel="collector:4318"):
            pass
    with pytest.raises(ConfigError, match="journal-size"):
        async with serving(otel="env", journal_size=0):
            pass
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    monkeypatch.delitem(sys.modules, "fakeai_proxy.observe.otel", raising=False)
    with pytest.raises(ConfigError, match=r"fakeai-proxy\[otel\]"):
        async with serving(otel="env"):
            pass


def test_unasked_nothing_of_it_is_imported() -> None:
    program = (
        "import sys\nfrom fakeai_proxy.app import App\nfrom fakeai_proxy.config import Config\n"
        "App(Config.load())\nassert not [name for name in sys.modules if 'opentelemetry' in name]"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", program], check=True, cwd=root)
