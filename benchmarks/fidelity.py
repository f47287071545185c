"""How true the simulated fleet is to measured ones: constants fitted to a part of what was measured,
errors on the rest.

    python benchmarks/fidelity.py DATA              in about four minutes
    python benchmarks/fidelity.py DATA --shipped    no fit: the profiles as they are shipped
    python benchmarks/fidelity.py DATA --leave-out  fits that never saw a model or a GPU
    python benchmarks/fidelity.py DATA --json FILE  every figure
    python benchmarks/fidelity.py DATA --write      fit to all of DATA and put that into profiles/

DATA is a folder with step_time_grid.csv, e2e_agg.csv, e2e_disagg.csv, nim_70b.csv and
vllm_rtxpro6000_*_requests.csv.
What is held out is a third of the configurations (GPU, model, engine, layout and number format
together), by a hash: with a configuration go all its loads and lengths. Loops run through a fleet's
profile, as `fakeai-proxy simulate` does. Left out of the bars, and counted: loops that verified drafts,
models that do not fit into the memory which the rows give them, tokens faster than memory, and sizes of
tensor parallelism that do not divide the model's heads (several workers told as one). Exits with 1 if a
bar is missed.

    dense TPOT MAPE <= 12 %, MoE TPOT MAPE <= 18 %, mean TTFT of dense models under vLLM median error
    <= 20 % (TensorRT-LLM's stream interval differs from run to run, and no row tells it); a vLLM server's
    log replayed: mean TTFT within 10 %, median error of an answer <= 5 %, gauges correlate >= 0.95 (the
    scale from the first 100 of 300 requests, the errors on the others); a service's saturation at the
    measured concurrency, and not without the KV limit.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from measured import disaggregated, servers
from measured.fitting import LOOPED, STEPPED, fit_all
from measured.generalizing import LeftOut, leave_each_out
from measured.loops import predicted_s
from measured.shipping import ship
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.fleet.calibration import ClosedLoop, Observation, Profiles, Step, errors, mape
from fakeai_proxy.fleet.measurements import held_out, read_observations
from fakeai_proxy.profiles import shipped

_LOG_USED = slice(0, 100)
_LOG_SCORED = slice(100, None)


class Figure(NamedTuple):
    name: str
    value: float
    bar: float | None
    rows: int
    higher_is_better: bool = False

    @property
    def missed(self) -> bool:
        if self.bar is None:
            return False
        return self.value < self.bar if self.higher_is_better else not self.value <= self.bar


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--shipped", action="store_true")
    parser.add_argument("--leave-out", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = [
        row
        for name in ("step_time_grid.csv", "e2e_agg.csv")
        for row in read_observations(given.data / name)
    ]
    with Progress(console=Console(stderr=True), transient=True) as progress:
        told = _telling(progress)
        if given.write:
            _write(rows, given.data, told)
            return 0
        if given.leave_out:
            _show_left_out(leave_each_out(rows, told))
            return 0
        used = [row for row in rows if not held_out(row)]
        profiles = Profiles.of(rows)
        if not given.shipped:
            fitted = fit_all(used, told)
            for kind in ("gpus", "models", "serving"):
                getattr(profiles, kind).update(getattr(fitted, kind))
        scored = rows if given.shipped else [row for row in rows if held_out(row)]
        figures, groups = _loops(profiles, scored, told, given.shipped)
        figures += _steps(profiles, scored)
        figures += _servers(profiles, given.data, told)
        if given.shipped:
            figures += _apart(given.data, told)
    _show(figures, groups)
    if given.json:
        said = {"figures": [{**f._asdict(), "missed": f.missed} for f in figures], "groups": groups}
        given.json.write_text(json.dumps(said, indent=1))
    return 1 if any(figure.missed for figure in figures) else 0


def _telling(progress: Progress) -> Callable[[str], Callable[[int, int], None]]:
    task = progress.add_task("reading", total=None)

    def told(phase: str) -> Callable[[int, int], None]:
        progress.update(task, description=phase, total=None, completed=0)
        return lambda done, of: progress.update(task, completed=done, total=of)

    return told


def _loops(
    profiles: Profiles,
    rows: Sequence[Observation],
    told: Callable[[str], Callable[[int, int], None]],
    as_shipped: bool,
) -> tuple[list[Figure], list[dict[str, object]]]:
    loops = [row for row in rows if isinstance(row.work, ClosedLoop)]
    possible = [row for row in loops if _possible(profiles, row)]
    plain = [row for row in possible if not row.drafted]
    constants = None if as_shipped else profiles
    said_s = np.array(predicted_s(constants, plain, told("simulating loops")))
    logs = np.log(said_s / np.array([row.measured_s for row in plain]))
    fits = ~np.isnan(logs)
    first = np.array([row.work.measures == "ttft" for row in plain])  # type: ignore[union-attr]
    mixture = np.array([profiles.models[row.model].experts is not None for row in plain])
    vllm = np.array([row.serving.startswith("vllm") for row in plain])
    median = lambda some: float(np.median(np.abs(np.exp(some) - 1)))  # noqa: E731
    lent = np.array([row.gpu not in (*LOOPED, *STEPPED) for row in plain])
    figures = []
    for name, mask, measure, bar in (
        ("dense TPOT, mean error", ~mixture & ~first & ~lent, mape, 0.12),
        ("MoE TPOT, mean error", mixture & ~first & ~lent, mape, 0.18),
        ("MoE TPOT, median error", mixture & ~first, median, None),
        ("dense TTFT, median error", ~mixture & first, median, None),
        ("dense TTFT of vLLM, median error", ~mixture & first & vllm, median, 0.20),
        ("MoE TTFT, median error", mixture & first, median, None),
        ("MoE TTFT of vLLM, median error", mixture & first & vllm, median, None),
        ("TTFT of all, median error", first, median, None),
        ("TPOT on GPUs with borrowed constants, mean error", lent & ~first, mape, None),
    ):
        some = logs[mask & fits]
        if len(some):
            figures.append(Figure(name, measure(some), bar, len(some)))
    figures.append(
        Figure("loops with drafts, left out", math.nan, None, len(possible) - len(plain))
    )
    figures.append(Figure("loops too fast or too wide to be so, left out", math.nan, None,
                          len(loops) - len(possible)))  # fmt: skip
    figures.append(Figure("loops that do not fit, left out", math.nan, None, int((~fits).sum())))
    return figures, _groups(plain, logs)


def _possible(profiles: Profiles, row: Observation) -> bool:
    """Whether a token's time would do to read, at the full bandwidth, the weights and the caches of all
    clients that fit. Else the server let fewer run at a time, and the row does not say how many."""
    work = row.work
    assert isinstance(work, ClosedLoop)
    worker = profiles.roofline(row)
    if worker.model.heads % row.layout.tp:
        return False
    context = work.prompt_tokens + work.output_tokens / 2
    try:
        running = min(work.concurrency, int(worker.kv_capacity_tokens / context))
    except ConfigError:
        return True  # is counted with those that do not fit
    read_bytes = worker.cost((), running, int(running * context)).hbm_bytes
    return work.measures == "ttft" or row.measured_s >= read_bytes / (worker.gpu.hbm_tb_s * 1e12)


def _groups(rows: Sequence[Observation], logs: np.ndarray) -> list[dict[str, object]]:
    found: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for row, error in zip(rows, logs, strict=True):
        if not math.isnan(error):
            work = row.work
            assert isinstance(work, ClosedLoop)
            found[work.measures, row.model, row.gpu, row.serving, row.layout.quantization].append(
                error
            )
    return [
        {"of": list(key), "rows": len(some), "bias": float(np.exp(np.mean(some)) - 1),
         "mape": mape(np.array(some))}
        for key, some in sorted(found.items())
    ]  # fmt: skip


def _steps(profiles: Profiles, rows: Sequence[Observation]) -> list[Figure]:
    steps = [row for row in rows if isinstance(row.work, Step)]
    logs = errors(profiles, steps)
    figures = []
    for form in sorted({row.layout.quantization for row in steps}):
        for kind in ("decode", "prefill"):
            mask = [
                row.layout.quantization == form and (kind == "prefill") == bool(row.work.chunks)  # type: ignore[union-attr]
                for row in steps
            ]
            some = logs[np.array(mask)]
            figures.append(Figure(f"{form} steps, {kind}, mean error", mape(some), None, len(some)))
    return figures


def _servers(
    profiles: Profiles, data: Path, told: Callable[[str], Callable[[int, int], None]]
) -> list[Figure]:
    told("replaying a server's log")
    requests = servers.load_log(data)
    gpu, serving = profiles.gpus["rtx-pro-6000"], profiles.serving["vllm"]
    scale = servers.fit_scale(requests, gpu, serving, _LOG_USED)
    said = servers.replay(requests, gpu, serving, scale, _LOG_SCORED)
    scored = len(requests[_LOG_SCORED])
    told("finding the knee")
    knee = servers.knees(data, profiles)
    free = servers.knees(data, profiles, kv_limit=False)
    return [
        Figure("log: mean TTFT, error", abs(said.ttft_error), 0.10, scored),
        Figure("log: median error of an answer", said.e2e_median_error, 0.05, scored),
        Figure("log: correlation of running", said.running_correlation, 0.95, scored, True),
        Figure("log: correlation of waiting", said.waiting_correlation, 0.95, scored, True),
        Figure("knee: off the measured concurrency by", abs(knee.said - knee.measured), 0, 1),
        Figure("knee: tokens below it, median error", knee.itl_error, None, knee.rows),
        Figure("knee without the KV limit: off by", abs(free.said - free.measured), 1, 1, True),
    ]


def _apart(data: Path, told: Callable[[str], Callable[[int, int], None]]) -> list[Figure]:
    found = disaggregated.run(data / "e2e_disagg.csv", told("simulating prefill and decode apart"))
    figures = []
    for server in sorted({each.server for each in found}):
        fits = [a for a in found if a.server == server and not math.isnan(a.said_tpot_s)]
        first = [a for a in fits if a.is_first_scored]
        for name, errors_of, some in (
            ("TPOT", [a.said_tpot_s / a.tpot_s - 1 for a in fits], fits),
            ("TTFT", [a.said_ttft_s / a.ttft_s - 1 for a in first], first),
        ):
            if some:
                error = float(np.median(np.abs(errors_of)))
                figures.append(
                    Figure(f"apart, {server}: {name}, median error", error, None, len(some))
                )
    return figures


def _show_left_out(found: Sequence[LeftOut]) -> None:
    table = Table("without", "TPOT, mean error", "TTFT, median error", "rows")
    for each in found:
        table.add_row(
            f"{each.kind} {each.name}",
            f"{each.tpot_error:.3f}",
            "" if math.isnan(each.ttft_error) else f"{each.ttft_error:.3f}",
            str(each.rows),
        )
    Console().print(table)


def _show(figures: Sequence[Figure], groups: Sequence[dict[str, object]]) -> None:
    console = Console()
    table = Table("figure", "value", "bar", "rows")
    for figure in figures:
        value = "" if math.isnan(figure.value) else f"{figure.value:.3f}"
        bar = "" if figure.bar is None else f"{figure.bar:g}"
        table.add_row(
            figure.name, value + (" MISSED" if figure.missed else ""), bar, str(figure.rows)
        )
    console.print(table)
    detail = Table("loops", "rows", "bias", "mean error")
    for group in groups:
        name = " ".join(map(str, group["of"]))  # type: ignore[call-overload]
        detail.add_row(name, str(group["rows"]), f"{group['bias']:+.3f}", f"{group['mape']:.3f}")
    console.print(detail)


def _write(
    rows: Sequence[Observation], data: Path, told: Callable[[str], Callable[[int, int], None]]
) -> None:
    profiles = fit_all(rows, told)
    requests = servers.load_log(data)
    gpu, serving = profiles.gpus["rtx-pro-6000"], profiles.serving["vllm"]
    scale = servers.fit_scale(requests, gpu, serving, _LOG_USED) * gpu.calibration_scale
    ship(profiles, scale, Path(str(shipped("profiles"))))


if __name__ == "__main__":
    sys.exit(main())
