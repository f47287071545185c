"""Puts the cluster on the clock: one timer for the whole fleet, set to its next event; a fleet with
nothing to do sets none. Knows no sockets: who waits for tokens is told of each step.

Simulated instants are those of the clock times `speed`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any, Protocol

from fakeai_proxy.clock import Clock, Timer
from fakeai_proxy.exchange import Workload
from fakeai_proxy.fleet.cluster import Cluster
from fakeai_proxy.fleet.job import Job
from fakeai_proxy.fleet.sequence import State
from fakeai_proxy.fleet.step import Step
from fakeai_proxy.fleet.worker import Worker

#: How long one turn of the event loop may be spent on the fleet; what is left follows in the next
#: one, after requests that came in between.
TURN_S = 0.004
#: Prompts above this are hashed in a thread.
INLINE_HASH_TOKENS = 4096


class Follower(Protocol):
    """Whoever waits for a job's tokens. Instants are the clock's: `at` when the tokens were there,
    `now` when this is told."""

    def reached(self, given: int, at: float, now: float) -> None:
        """The job may have more tokens: `given` have left the server."""

    def ended(self, at: float, now: float) -> None:
        """It has its last token."""

    def broke(self, reason: str) -> None:
        """It will get no more."""


class FleetDriver:
    def __init__(self, cluster: Cluster, clock: Clock, speed: float = 1.0) -> None:
        self.cluster = cluster
        self.clock = clock
        self._speed = speed
        self._timer: Timer | None = None
        self._armed_at = math.inf
        self._followers: dict[Job, Follower] = {}
        self._unended: set[Job] = set()
        #: The end of the last step told.
        self._reached_at = 0.0
        self._now = 0.0
        cluster.listeners.append(self)

    @property
    def simulated_at(self) -> float:
        """The cluster's now."""
        return self.clock.now() * self._speed

    async def prepare(self, workload: Workload, arrived_at: float) -> Job:
        """A job that arrived at that instant of the clock. Raises Refusal, as `submit`."""
        job = Job(workload, self._stamp(arrived_at))
        if workload.prompt_tokens > INLINE_HASH_TOKENS:
            with self.clock.hold():
                job.hashes = await asyncio.to_thread(self.cluster.hashes, job)
        else:
            job.hashes = self.cluster.hashes(job)
        return job

    def submit(self, job: Job) -> None:
        """Raises Refusal."""
        self.cluster.submit(job)
        self._unended.add(job)
        self._arm()

    def follow(self, job: Job, follower: Follower) -> None:
        """Tell it from the next event on; at once where there is none to come."""
        self._followers[job] = follower
        if job not in self._unended:
            self._tell_end(job)

    def cancel(self, job: Job) -> None:
        """Nobody waits any more: what it holds is free at once. Nothing for a job that has ended."""
        self._followers.pop(job, None)
        if job in self._unended:
            self._unended.remove(job)
            self.cluster.cancel(job)
            self._arm()

    def change(self, act: Callable[[float], None]) -> None:
        """Do something to the cluster at its now, which it is given."""
        self._now = self.clock.now()
        act(self.simulated_at)
        self.wake()

    def wake(self) -> None:
        """The cluster was changed from outside: look at it again."""
        self._arm()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.close()
            self._timer = None

    # The timer

    def _stamp(self, arrived_at: float) -> float:
        """No engine is asked to do something before what it has told already: what an upstream or
        we ourselves took longer than the modelled front end counts as the client's."""
        front_s = self.cluster.profile.frontend.latency_ms / 1000
        return max(arrived_at * self._speed, self._reached_at - front_s)

    def _arm(self) -> None:
        due = self.cluster.next_at / self._speed
        if due >= self._armed_at:
            return
        if self._timer is None:
            self._timer = self.clock.timer(self._fire, awaited=True)
        self._armed_at = due
        self._timer.at(due)

    def _fire(self) -> None:
        clock, cluster = self.clock, self.cluster
        self._armed_at = math.inf
        self._now = now = clock.now()
        # A deadline that was divided by the speed and comes back must not be missed by a rounding.
        goal = now * self._speed * (1 + 1e-15)
        while (at := cluster.next_at) <= goal:
            cluster.advance(at)
            if clock.now() - now > TURN_S:
                break
        if cluster.next_at < math.inf:
            due = max(cluster.next_at / self._speed, now + clock.spacing_s)
            if due < self._armed_at:
                assert self._timer is not None
                self._armed_at = due
                self._timer.at(due)

    # What the cluster tells

    def stepped(self, worker: Worker, step: Step) -> None:
        self._reached_at = max(self._reached_at, step.ended_at)
        followers = self._followers
        if not followers:
            return
        at, now = step.ended_at / self._speed, self._now
        get, decodes = followers.get, State.DECODE
        ticks, interval = worker.engine.decoding.ticks, worker.engine.limits.stream_interval
        # Tens of thousands of tokens a second pass here, so a job of one sample is not asked.
        for sequence in worker.engine.running:
            if sequence.state is not decodes:
                continue
            job: Any = sequence.owner
            follower = get(job)
            if follower is None:
                continue
            if len(job.sequences) == 1:
                given = ticks - sequence.joined_tick
                given = sequence.after(given) if sequence.leaps else sequence.emitted + given
                follower.reached(given if interval == 1 else given - given % interval, at, now)
            else:
                follower.reached(job.shown, at, now)
        for sequence in step.finished:  # which may go on elsewhere
            job = sequence.owner
            follower = get(job)
            if follower is not None:
                follower.reached(job.shown, at, now)

    def finished(self, job: Job, at: float) -> None:
        self._unended.discard(job)
        self._tell_end(job)

    def failed(self, job: Job, at: float) -> None:
        self._unended.discard(job)
        self._tell_end(job)

    def _tell_end(self, job: Job) -> None:
        follower = self._followers.pop(job, None)
        if follower is None:
            return
        if job.failed:
            follower.broke(job.failed)
        else:
            at = self.simulated_at if job.finished_at is None else job.finished_at
            follower.ended(at / self._speed, self._now)
