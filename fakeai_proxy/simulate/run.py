"""One load on one fleet, from the first arrival to the last token."""

from __future__ import annotations

import heapq
import itertools
import math
from array import array
from collections.abc import Callable, Iterator

from fakeai_proxy.dice import Dice
from fakeai_proxy.exchange import Workload
from fakeai_proxy.fleet.cluster import Cluster
from fakeai_proxy.fleet.job import Job
from fakeai_proxy.fleet.refusals import Refusal
from fakeai_proxy.fleet.step import Step
from fakeai_proxy.fleet.worker import Worker
from fakeai_proxy.simulate.arrivals import Arrival
from fakeai_proxy.simulate.load import Load
from fakeai_proxy.simulate.outcome import Moment, Outcome, Request

#: Moments of a run that are kept for pictures; their spacing doubles when there are more.
MOMENTS_MAX = 512


class Run:
    """Listens to the cluster. `progress` is told the requests that have ended, now and then."""

    def __init__(self, cluster: Cluster, load: Load, model: str, seed: int) -> None:
        self._cluster = cluster
        self._load = load
        self._model = model
        self._block_tokens = cluster.profile.pools_for(model)[0].engine.block_size
        self._rng = Dice(seed).roll("arrivals")
        self._arrivals: list[tuple[float, int, Arrival]] = []
        self._serial = itertools.count()
        self._left = math.inf
        self._requests: list[Request] = []
        self._gaps_s, self._gap_counts = array("d"), array("q")
        self._refused = self._failed = self._tokens = self._steps = 0
        self._moments: list[Moment] = []
        self._spacing_s = 0.25
        self._now = 0.0
        cluster.listeners.append(self)

    def run(self, progress: Callable[[int], None] = lambda ended: None) -> Outcome:
        coming = self._begin()
        arrival = next(coming, None)
        cluster, waiting = self._cluster, self._arrivals
        ended = 0
        while True:
            if arrival is not None and (not waiting or arrival.at <= waiting[0][0]):
                heapq.heappush(waiting, (arrival.at, next(self._serial), arrival))
                arrival = next(coming, None)
                continue
            at, next_at = waiting[0][0] if waiting else math.inf, cluster.next_at
            if at == next_at == math.inf:
                break
            self._look(min(at, next_at))
            if at <= next_at:
                self._submit(heapq.heappop(waiting)[2])
            else:
                cluster.advance(next_at)
            if len(self._requests) - ended >= 100:
                ended = len(self._requests)
                progress(ended)
        progress(len(self._requests))
        cluster.listeners.remove(self)
        return self._outcome()

    # What the cluster tells

    def stepped(self, worker: Worker, step: Step) -> None:
        self._steps += 1
        self._now = step.ended_at
        for gap_s, count in step.gaps:
            self._gaps_s.append(gap_s)
            self._gap_counts.append(count)
            self._tokens += count

    def finished(self, job: Job, at: float) -> None:
        firsts = [s.first_token_at for s in job.sequences if s.first_token_at is not None]
        shown = [s.shown_at for s in job.sequences if s.shown_at is not None]
        self._tokens += len(firsts)
        self._requests.append(
            Request(
                job.arrived_at, min(shown), at, job.workload.prompt_tokens,
                job.workload.output_tokens, job.cached_tokens, job.queue_s, min(firsts),
            )
        )  # fmt: skip
        self._next_of_closed(at)

    def failed(self, job: Job, at: float) -> None:
        self._failed += 1
        self._next_of_closed(at)

    # What it does

    def _begin(self) -> Iterator[Arrival]:
        if not self._load.is_closed:
            return self._load.open_loop(self._rng)
        self._left = self._load.requests_max or math.inf
        for _ in range(int(self._load.parameters["concurrency"])):
            self._next_of_closed(0.0, think=False)
        return iter(())

    def _next_of_closed(self, at: float, think: bool = True) -> None:
        """In a closed loop an answer leads to the next request."""
        if not self._load.is_closed or self._left <= 0:
            return
        at += self._load.parameters["think"] if think else 0.0
        if self._load.duration_s is not None and at > self._load.duration_s:
            return
        self._left -= 1
        arrival = self._load.lengths.draw(self._rng, at)
        heapq.heappush(self._arrivals, (at, next(self._serial), arrival))

    def _submit(self, arrival: Arrival) -> None:
        workload = Workload(self._model, range(arrival.prompt_tokens), arrival.output_tokens)
        job = Job(workload, arrival.at)
        job.hashes = arrival.hashes(self._block_tokens)
        try:
            self._cluster.submit(job)
        except Refusal:
            self._refused += 1
            # Who is refused comes back a second later, or not at all.
            self._next_of_closed(arrival.at + 1.0)

    def _look(self, at: float) -> None:
        """Note how things stand, at even distances."""
        while at >= len(self._moments) * self._spacing_s:
            workers = self._cluster.workers
            self._moments.append(
                Moment(
                    len(self._moments) * self._spacing_s,
                    sum(len(worker.engine.running) for worker in workers),
                    sum(worker.engine.queued for worker in workers),
                    sum(worker.engine.cache.used for worker in workers)
                    / sum(worker.engine.cache.blocks for worker in workers),
                    self._tokens,
                )
            )
            if len(self._moments) >= MOMENTS_MAX:
                del self._moments[1::2]
                self._spacing_s *= 2

    def _outcome(self) -> Outcome:
        workers = self._cluster.workers
        return Outcome(
            requests=self._requests,
            refused=self._refused,
            failed=self._failed,
            gaps_s=self._gaps_s,
            gap_counts=self._gap_counts,
            moments=self._moments,
            seconds=self._now,
            gpus=sum(worker.pool.gpus for worker in workers),
            steps=self._steps,
            preemptions=sum(worker.engine.preemptions for worker in workers),
            prefix_queries=sum(worker.engine.prefix_queries for worker in workers),
            prefix_hits=sum(worker.engine.prefix_hits for worker in workers),
        )
