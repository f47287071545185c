"""The fleet as JSON: pools, and of each worker what it does and what its GPUs show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from fakeai_proxy.fleet.metrics import Reading
from fakeai_proxy.fleet.sample import Sample
from fakeai_proxy.fleet.site import Site
from fakeai_proxy.fleet.worker import Worker


def fleet_view(
    site: Site, workers: Sequence[Worker], gpus: Sequence[Sequence[Sample]]
) -> dict[str, Any]:
    """`gpus` are those of each worker; a dead one may have none."""
    readings = site.metrics.readings(workers, site.now, histograms=False)
    return {
        "profile": site.profile.name,
        "server": site.profile.server,
        "router": site.profile.router.policy,
        "now_s": round(site.now, 6),
        "pools": [
            {
                "name": pool.name,
                "model": pool.model,
                "role": pool.role,
                "gpu": pool.gpu,
                "gpus_per_worker": pool.gpus,
                "workers": [each.name for each in workers if each.pool.name == pool.name],
            }
            for pool in site.profile.pool
        ],
        "workers": [_worker(site, *each) for each in zip(workers, readings, gpus, strict=True)],
    }


def joined(views: Sequence[dict[str, Any]]) -> dict[str, object]:
    """One, of what several processes tell of their shares of a fleet."""
    workers = sorted(
        (worker for view in views for worker in view["workers"]),
        key=lambda worker: worker["number"],
    )
    names: dict[str, list[str]] = {}
    for worker in workers:
        names.setdefault(worker["pool"], []).append(worker["name"])
    first = views[0]
    pools = [{**pool, "workers": names.get(pool["name"], [])} for pool in first["pools"]]
    return {**first, "pools": pools, "workers": workers}


def _worker(
    site: Site, worker: Worker, reading: Reading, samples: Sequence[Sample]
) -> dict[str, object]:
    until_ready_s = worker.ready_at - site.now if worker.life == "starting" else 0.0
    return {
        "name": worker.name,
        "number": worker.number,
        "pool": worker.pool.name,
        "life": worker.life,
        "died_of": worker.died_of or None,
        "ready_in_s": round(max(0.0, until_ready_s), 3) if math.isfinite(until_ready_s) else None,
        "running": reading.running,
        "waiting": reading.waiting,
        "kv_usage": round(reading.kv_usage, 4),
        "kv_blocks": reading.kv_blocks,
        "cached_blocks": reading.cached_blocks,
        "hit_rate": round(reading.hit_rate, 4),
        "preemptions": reading.counts.preemptions,
        "tokens_per_second": round(reading.tokens_s, 3),
        "prompt_tokens_per_second": round(reading.prompt_tokens_s, 3),
        "generation_tokens": reading.counts.generation_tokens,
        "prompt_tokens": reading.counts.prompt_tokens,
        "ended": dict(reading.counts.ended),
        "slowdown": round(worker.engine.slowdown, 4),
        "gpu": _gpus(samples) if samples else None,
    }


def _gpus(samples: Sequence[Sample]) -> dict[str, object]:
    return {
        "nodes": sorted({sample.device.hostname for sample in samples}),
        "utilization": round(fmean(sample.busy for sample in samples), 4),
        "power_w": round(sum(sample.power_w for sample in samples), 1),
        "energy_j": round(sum(sample.energy_j for sample in samples), 3),
        "temperature_c": round(max(sample.temperature_c for sample in samples), 1),
        "xid": next((sample.xid for sample in samples if sample.xid), 0),
        "lost": sum(sample.lost for sample in samples),
    }
