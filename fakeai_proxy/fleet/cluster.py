"""The fleet as one thing: takes jobs, gives them to workers, tells of every step. Sans-IO: whoever
drives it looks at `next_at` and calls `advance`.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from typing import Protocol

from fakeai_proxy.dice import Dice
from fakeai_proxy.fleet.cost import StepModel
from fakeai_proxy.fleet.job import Job
from fakeai_proxy.fleet.prefix import block_hashes
from fakeai_proxy.fleet.sequence import EngineSequence
from fakeai_proxy.fleet.step import Step
from fakeai_proxy.fleet.step_model import step_model
from fakeai_proxy.fleet.worker import Worker
from fakeai_proxy.profiles.fleet import FleetProfile, Pool, Server


class Listener(Protocol):
    """Told as it happens; several may listen."""

    def stepped(self, worker: Worker, step: Step) -> None:
        """Jobs of this worker may have more tokens."""

    def finished(self, job: Job, at: float) -> None:
        """All its samples have their last token."""

    def failed(self, job: Job, at: float) -> None:
        """It will get no more tokens; `job.failed` says why."""


class Cluster:
    def __init__(
        self,
        profile: FleetProfile,
        dice: Dice,
        listeners: tuple[Listener, ...] = (),
        model: Callable[[Pool, Server], StepModel] = step_model,
    ) -> None:
        self.profile = profile
        self.listeners = list(listeners)
        self.workers: list[Worker] = []
        self._dice = dice
        self._heap: list[tuple[float, int, Worker]] = []
        for pool in profile.pool:
            steps = model(pool, profile.server)
            for _ in range(pool.replicas):
                name = f"{pool.name}-{len(self.workers)}"
                self.workers.append(Worker(name, pool, steps, dice.roll("worker", name)))

    @property
    def next_at(self) -> float:
        return self._heap[0][0] if self._heap else math.inf

    def hashes(self, job: Job) -> list[int]:
        """Names of its KV blocks; for a long prompt a millisecond of work, in any thread."""
        workload = job.workload
        pool = self.profile.pools_for(workload.model)[0]
        tokens = [*workload.prompt, *workload.output]
        return block_hashes(tokens, pool.engine.block_size, workload.lora, workload.cache_salt)

    def submit(self, job: Job) -> None:
        """Queue a job at its `arrived_at`, with its `hashes`."""
        pools = self.profile.pools_for(job.workload.model)
        workers = [worker for worker in self.workers if worker.pool in pools]
        worker = min(workers, key=lambda each: each.load)
        job.worker = worker
        share, rest = divmod(job.workload.output_tokens, job.workload.samples)
        frontend_s = self.profile.frontend.latency_ms / 1000
        for k in range(job.workload.samples):
            sequence = EngineSequence(
                job.workload.prompt_tokens, share + (k < rest), job.hashes,
                owner=job, priority=job.workload.priority, lora=job.workload.lora,
            )  # fmt: skip
            sequence.arrived_at = job.arrived_at
            job.sequences.append(sequence)
            worker.engine.submit(sequence, job.arrived_at + frontend_s)
        self._watch(worker)

    def cancel(self, job: Job) -> None:
        assert job.worker is not None
        for sequence in job.sequences:
            if sequence.finished_at is None:
                job.worker.engine.cancel(sequence)

    def advance(self, now: float) -> None:
        """Everything that happens until `now`, in order."""
        while self._heap and self._heap[0][0] <= now:
            at, _, worker = heapq.heappop(self._heap)
            if at != worker.engine.next_at:
                continue  # it has something else to do before
            step = worker.engine.turn()
            self._watch(worker)
            if step is not None:
                self._tell(worker, step)

    def _watch(self, worker: Worker) -> None:
        if worker.engine.next_at < math.inf:
            entry = (worker.engine.next_at, self.workers.index(worker), worker)
            heapq.heappush(self._heap, entry)

    def _tell(self, worker: Worker, step: Step) -> None:
        for listener in self.listeners:
            listener.stepped(worker, step)
        for sequence in step.finished:
            job = sequence.owner
            assert isinstance(job, Job)
            if all(each.finished_at is not None for each in job.sequences):
                job.finished_at = step.ended_at
                for listener in self.listeners:
                    listener.finished(job, step.ended_at)
