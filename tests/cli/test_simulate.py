"""`simulate` through the started program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

SMALL = ("simulate", "--profile", "1xh100-8b", "--isl", "200", "--osl", "20", "--requests", "50")


def test_a_table_tells_latency_throughput_and_goodput(run: Run) -> None:
    done = run(*SMALL, "--load", "poisson:rate=5", "--slo", "ttft_p99=5s,itl_p50=1s")
    assert done.returncode == 0, done.stderr
    for text in ("TTFT", "ITL", "p99", "output tokens", "goodput", "ttft_p99 <= 5000 ms"):
        assert text in done.stdout
    assert done.stderr == ""  # no progress bar where nobody sees it


def test_missed_objectives_are_a_status_of_one(run: Run) -> None:
    assert run(*SMALL, "--slo", "ttft_p50=1ms").returncode == 1


def test_a_mooncake_trace_hits_its_shared_prefixes(run: Run, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    rows = [
        {"timestamp": 2000 * k, "input_length": 1100, "output_length": 4, "hash_ids": [0, 1, 2 + k]}
        for k in range(4)
    ]
    trace.write_text("\n".join(map(json.dumps, rows)))
    done = run("simulate", "--profile", "1xh100-8b", "--trace", str(trace), "--json")
    found = json.loads(done.stdout)
    assert found["requests"] == 4
    assert found["kv_hit_share"] == pytest.approx(3 * 1024 / 4400)
    slower = run(*SMALL[:3], "--trace", str(trace), "--json", "--speedup", "1000")
    assert json.loads(slower.stdout)["duration_s"] < found["duration_s"] / 10


@pytest.mark.parametrize(("name", "magic"), [("run.png", b"\x89PNG"), ("run.svg", b"<?xml")])
def test_a_picture_is_drawn(run: Run, tmp_path: Path, name: str, magic: bytes) -> None:
    file = tmp_path / name
    assert run(*SMALL, "--plot", str(file)).returncode == 0
    assert file.read_bytes().startswith(magic)


def test_a_sweep_has_a_row_for_each_value_and_a_picture(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "sweep.svg"
    sweep = ("--load", "closed", "--sweep", "concurrency=1,8", "--plot", str(file), "--json")
    trials = json.loads(run(*SMALL, *sweep).stdout)["trials"]
    assert [trial["concurrency"] for trial in trials] == [1, 8]
    assert trials[1]["output_tokens_per_s"] > trials[0]["output_tokens_per_s"]
    assert file.stat().st_size > 1000


def test_the_fewest_workers_are_found(run: Run) -> None:
    load = ("--load", "poisson:rate=200", "--requests", "400", "--find", "workers")
    done = run(*SMALL, *load, "--slo", "ttft_p99=100ms", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert found["workers"] == found["gpus"] > 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--profile", "nothing"), "there is no 'nothing'"),
        (("--profile", "1xh100-8b", "--load", "closed", "--find", "workers", "--slo", "ttft_p99=1s"),
         "a closed loop waits for its answers"),
        (("--profile", "1xh100-8b", "--find", "workers"), "say with --slo what is enough"),
        (("--profile", "1xh100-8b", "--plot", "x.gif"), "must end in .png or .svg"),
        (("--profile", "1xh100-8b", "--sweep", "rate"), "is not NAME=A,B"),
        (("--profile", "1xh100-8b", "--speedup", "0"), "is not above 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_simulated_says_so(
    run: Run, arguments: tuple[str, ...], message: str
) -> None:
    done = run("simulate", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
