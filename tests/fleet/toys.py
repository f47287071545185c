"""A fleet whose times can be told by hand: 10 ms a step, 1 ms a prompt token."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fakeai_proxy.dice import Dice
from fakeai_proxy.exchange import Workload
from fakeai_proxy.fleet.cluster import Cluster
from fakeai_proxy.fleet.cost import Chunk, Cost
from fakeai_proxy.fleet.job import Job
from fakeai_proxy.fleet.step import Step
from fakeai_proxy.fleet.worker import Worker
from fakeai_proxy.profiles.fleet import FleetProfile

#: Tokens of a block.
BLOCK = 4


class Toy:
    kv_bytes_per_token = 1000.0
    kv_capacity_tokens = 4000
    context_tokens = 0

    def cost(self, chunks: Sequence[Chunk], decodes: int, kv_tokens: int) -> Cost:
        seconds = 0.010 + 0.001 * sum(chunk.tokens for chunk in chunks)
        return Cost(seconds, seconds)


class Diary:
    """A listener that writes everything down."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, float]] = []
        self.done: list[Job] = []
        self.lost: list[Job] = []

    def stepped(self, worker: Worker, step: Step) -> None:
        self.lines.append(("step", worker.name, step.ended_at))

    def finished(self, job: Job, at: float) -> None:
        assert job not in self.done
        self.done.append(job)
        self.lines.append(("finished", job.worker.name if job.worker else "", at))

    def failed(self, job: Job, at: float) -> None:
        assert job not in self.lost
        self.lost.append(job)
        self.lines.append(("failed", job.failed, at))


def a_pool(**settings: object) -> dict[str, object]:
    engine = {
        "max_num_batched_tokens": 64,
        "max_num_seqs": 8,
        "block_size": BLOCK,
        **settings.pop("engine", {}),  # type: ignore[dict-item]  # a dict where it is given
    }
    defaults = {
        "name": "pool", "model": "toy", "gpu": "toy", "num_gpu_blocks": 100, "jitter_sigma": 0,
        "stall_p": 0, "cold_start_s": 5,
    }  # fmt: skip
    return {**defaults, **settings, "engine": engine}


def a_fleet(
    *pools: dict[str, object], seed: int = 1, toy: type[Toy] = Toy, **settings: object
) -> tuple[Cluster, Diary]:
    profile = FleetProfile.model_validate(
        {
            "name": "toys",
            "description": "For tests",
            "source": "made up here",
            "frontend": {"latency_ms": 0},
            "pool": list(pools) or [a_pool()],
            **settings,
        }
    )
    diary = Diary()
    return Cluster(profile, Dice(seed), (diary,), lambda pool, server: toy()), diary


def a_job(
    cluster: Cluster,
    prompt: int | Sequence[int] = 20,
    answer: int = 3,
    at: float = 0.0,
    model: str = "toy",
    **settings: object,
) -> Job:
    """Put in the queue. A number for a prompt makes one that shares nothing with others."""
    tokens = (
        prompt if not isinstance(prompt, int) else [hash((at, k)) & 0xFFFF for k in range(prompt)]
    )
    job = Job(Workload(model, tokens, answer, **settings), at)  # type: ignore[arg-type]  # of Workload
    job.hashes = cluster.hashes(job)
    cluster.submit(job)
    return job


def run(cluster: Cluster, until: float = math.inf) -> None:
    while cluster.next_at < math.inf and cluster.next_at <= until:
        cluster.advance(cluster.next_at)
        cluster.check()
    cluster.advance(until)


def all_is_free(cluster: Cluster) -> None:
    for worker in cluster.workers:
        assert worker.engine.cache.used == 0
        assert not worker.sequences
        assert not worker.engine.held
