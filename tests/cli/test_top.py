"""What `top` draws, and that it draws what a server does."""

from __future__ import annotations

import json
from io import StringIO

from rich.console import Console

from fakeai_proxy.cli.screen import Screen
from tests.cli.conftest import Program, Run, Start

WORKER = {
    "name": "pool-0", "life": "draining", "running": 7, "waiting": 2, "kv_usage": 0.95, "hit_rate": 0.5,
    "tokens_per_second": 1234.5, "gpu": {"utilization": 0.9, "power_w": 612.0, "temperature_c": 71.0},
}  # fmt: skip
SAMPLE = {
    "at": 100, "requests": 3, "output_tokens": 60, "sources": {"HIT": 2, "SYNTH": 1},
    "outcomes": {"2xx": 2, "429": 1}, "ttft_ms": {"p50": 12.5, "p99": 40.0},
}  # fmt: skip
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}


def drawn(screen: Screen) -> str:
    out = StringIO()
    Console(file=out, width=80, highlight=False).print(screen.picture("http://here"))
    return out.getvalue()


def test_a_screen_shows_rates_times_and_workers() -> None:
    screen = Screen()
    screen.receive("history", {"now": 99, "samples": []})
    screen.receive("sample", SAMPLE)
    screen.receive("fleet", {"profile": "mine", "router": "kv", "workers": [WORKER]})
    said = drawn(screen)
    assert "TTFT p50" in said
    assert "12.5" in said
    assert "pool-0  draining    7     2  ██████████  95%" in said
    assert "1,234" in said
    assert "answered from: HIT 2, SYNTH 1" in said
    assert max(map(len, said.splitlines())) <= 80
    requests = next(line for line in said.splitlines() if line.startswith("requests"))
    assert requests.rstrip().endswith("█")  # the newest second is on the right


def test_what_is_older_than_the_picture_is_forgotten() -> None:
    screen = Screen()
    screen.receive("history", {"now": 100, "samples": [SAMPLE]})
    screen.receive("sample", {"at": 500})
    assert screen.summary()["outcomes"] == {}
    assert "█" not in drawn(screen)


def _asked(program: Start) -> Program:
    server = program("--mode", "synth", "--profile", "none")
    assert server.ask("/v1/chat/completions", CHAT)[0] == 200
    return server


def test_top_tells_once_how_a_server_stands(program: Start, run: Run) -> None:
    server = _asked(program)
    said = run("top", server.url, "--once")
    assert said.returncode == 0, said.stderr
    assert "requests" in said.stdout
    found = json.loads(run("top", server.url, "--json", "--once").stdout)
    assert found["workers"] == []
    assert found["requests_s"] >= 0


def test_top_says_what_to_do_where_nobody_answers(run: Run) -> None:
    said = run("top", "http://127.0.0.1:1")
    assert said.returncode == 1
    assert "no fakeai-proxy answers at http://127.0.0.1:1" in said.stderr
    assert "Start one" in said.stderr


def test_top_needs_the_token_of_the_server(program: Start, run: Run) -> None:
    server = program("--mode", "synth", "--profile", "none", "--admin-token", "open-sesame")
    refused = run("top", server.url, "--once")
    assert refused.returncode == 1
    assert "says 401" in refused.stderr
    assert run("top", server.url, "--once", "--token", "open-sesame").returncode == 0
