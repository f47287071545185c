"""NVIDIA's aiperf as an outside client of a simulated fleet. It takes 1.2 GB, so it is no dependency: this
runs where FAKEAI_TEST_AIPERF names its executable, or it is on PATH.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.outside.running import RUN_S, Run

#: Two workers on eight GPUs, so that there is something to add up and to tell apart.
PROFILE, GPUS = "8xh100-70b-tp4x2", 8
REQUESTS = 24
AIPERF = os.environ.get("FAKEAI_TEST_AIPERF") or shutil.which("aiperf")

pytestmark = [
    pytest.mark.skipif(
        AIPERF is None,
        reason="NOT TESTED against aiperf: it is not on PATH. `pip install aiperf` in an environment "
        "of its own, and FAKEAI_TEST_AIPERF=its executable",
    ),
    pytest.mark.timeout(RUN_S),
]


def test_aiperf_reads_our_answers_our_gpus_and_our_metrics(tmp_path: Path) -> None:
    program = str(Path(str(AIPERF)).absolute())
    run = Run(
        "aiperf", tmp_path,
        "--aiperf", program, "--profile", PROFILE, "--requests", str(REQUESTS),
    )  # fmt: skip
    run.holds(REQUESTS)
    _every_gpu_is_in_its_telemetry(run)
    _its_server_metrics_are_ours(run)


def _every_gpu_is_in_its_telemetry(run: Run) -> None:
    read = run.seen["collected"]["gpus"]
    assert len(read) == GPUS
    assert {uuid: gpu["model"] for uuid, gpu in read.items()} == run.gpus
    for gpu in read.values():
        assert gpu["host"] == "gpu-node-0"
        assert 50 < gpu["nvidia_power_usage"] < 800
        assert gpu["nvidia_memory_used"] > 60
        assert gpu["nvidia_temperature"] > 20
        assert {"nvidia_energy_consumption", "nvidia_sm_utilization", "nvidia_xid_errors"} <= set(
            gpu
        )


def _its_server_metrics_are_ours(run: Run) -> None:
    read = run.seen["collected"]["server_metrics"]
    assert read["vllm:time_to_first_token_seconds"]["count"] == REQUESTS
    assert read["vllm:e2e_request_latency_seconds"]["count"] == REQUESTS
    assert read["vllm:generation_tokens"]["total"] == run.seen["output_tokens"]
    assert read["vllm:prompt_tokens"]["total"] == run.seen["prompt_tokens"]
    gauges = {"vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"}
    assert gauges <= set(read)
