"""The benchmark clients: how each is told what to ask, and what its report says it saw.

Both stream chats at a constant concurrency whose prompts and answers vary in length. Token counts are
those of the answers' `usage`: the clients' tokenizer is not the model's.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from environments import interpreter
from load_seen import Load, Seen
from plain import plain
from server import Server, environment
from tokenizer import REPOSITORY, made

RUN_S_MAX = 600
_TOLD_CHARS = 3000


def _run(program: Path, folder: Path, *words: object) -> None:
    """In `folder`, offline."""
    offline = dict.fromkeys(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"), "1")
    done = subprocess.run(
        [str(program), *map(str, words)],
        env=environment(HF_HOME=str(folder / "hf"), **offline),
        cwd=folder, capture_output=True, text=True, timeout=RUN_S_MAX, check=False,
    )  # fmt: skip
    if done.returncode:
        said = (done.stdout + done.stderr)[-_TOLD_CHARS:]
        raise SystemExit(f"{program.name} ended with {done.returncode}:\n{said}")


def aiperf(program: Path, server: Server, load: Load, folder: Path) -> Seen:
    out = folder / "aiperf"
    made(interpreter(program), folder / "hf")
    _run(
        program, folder, "profile", "--url", server.url, "--api-key", "any",
        "--model", server.models()[0], "--endpoint-type", "chat", "--streaming",
        "--tokenizer", REPOSITORY, "--use-server-token-count",
        "--concurrency", load.concurrency, "--request-count", load.requests,
        "--isl", load.prompt_tokens, "--isl-stddev", load.stdev_tokens,
        "--osl", load.output_tokens, "--osl-stddev", load.stdev_tokens,
        "--extra-inputs", "ignore_eos:true", "--random-seed", 1,
        "--gpu-telemetry", *server.dcgm_urls,
        "--output-artifact-dir", out, "--ui", "none",
    )  # fmt: skip
    report = json.loads((out / "profile_export_aiperf.json").read_text())
    metrics = json.loads((out / "server_metrics_export.json").read_text())
    errors = sum(each.get("count", 1) for each in report["error_summary"])
    return Seen(
        version=report["aiperf_version"],
        requests=round(report["request_count"]["avg"]),
        errors=errors,
        prompt_tokens=round(report["total_isl"]["avg"]),
        output_tokens=round(report["total_osl"]["avg"]),
        ttft_ms=report["time_to_first_token"]["avg"],
        itl_ms=report["inter_token_latency"]["avg"],
        e2e_ms=report["request_latency"]["avg"],
        itl_metric="vllm:request_time_per_output_token_seconds",
        collected={"gpus": _gpus(report), "server_metrics": _histograms(metrics)},
    )


def _gpus(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By UUID: the mean of each thing that it reads."""
    found = {}
    for endpoint in report["telemetry_data"]["endpoints"].values():
        for gpu in endpoint["gpus"].values():
            means = {name: each.get("avg") for name, each in gpu["metrics"].items()}
            found[gpu["gpu_uuid"]] = {"model": gpu["gpu_name"], "host": gpu["hostname"], **means}
    return found


def _histograms(metrics: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Every metric of ours that it kept; of a histogram, its count and sum over the workers."""
    found = {}
    for name, metric in metrics["metrics"].items():
        stats = [series.get("stats", {}) for series in metric["series"]]
        keys = ("count", "sum") if metric["type"] == "histogram" else ("total",)
        found[name] = {key: sum(each.get(key, 0) for each in stats) for key in keys}
    return found


def guidellm(program: Path, server: Server, load: Load, folder: Path) -> Seen:
    out = folder / "guidellm.json"
    tokenizer = made(interpreter(program), folder / "hf")
    data = (
        f"kind=synthetic_text,prompt_tokens={load.prompt_tokens},"
        f"prompt_tokens_stdev={load.stdev_tokens},output_tokens={load.output_tokens},"
        f"output_tokens_stdev={load.stdev_tokens}"
    )
    _run(
        program, folder, "run",
        "--backend", f"kind=openai_http,target={server.url},model={server.models()[0]},api_key=any",
        "--profile", f"kind=concurrent,streams={load.concurrency}",
        "--constraint", f"kind=max_requests,count={load.requests}",
        "--tokenizer", f"kind=huggingface_auto,model={tokenizer}",
        "--data", data, "--output", f"kind=json,path={out}", "--disable-progress",
    )  # fmt: skip
    report = json.loads(out.read_text())
    (benchmark,) = report["benchmarks"]
    metrics = benchmark["metrics"]

    def of(name: str, statistic: str) -> float:
        value: float = metrics[name]["successful"][statistic]
        return value

    totals = metrics["request_totals"]
    return Seen(
        version=report["metadata"]["guidellm_version"],
        requests=totals["successful"],
        errors=totals["errored"] + totals["incomplete"],
        prompt_tokens=round(of("prompt_token_count", "total_sum")),
        output_tokens=round(of("output_token_count", "total_sum")),
        ttft_ms=of("time_to_first_token_ms", "mean"),
        itl_ms=of("inter_token_latency_ms", "mean"),
        e2e_ms=of("request_latency", "mean") * 1000,
        itl_metric="vllm:inter_token_latency_seconds",
    )


Client = Callable[[Path, Server, Load, Path], Seen]
#: From PyPI.
CLIENTS: dict[str, Client] = {"aiperf": aiperf, "guidellm": guidellm}
#: The yardstick, which needs no program.
PLAIN = "plain"


def measure(client: str, program: Path | None, server: Server, load: Load, folder: Path) -> Seen:
    if program is None:
        return plain(server, load)
    return CLIENTS[client](program, server, load, folder)
