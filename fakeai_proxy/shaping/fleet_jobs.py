"""The jobs of a reply as one thing to wait for: one job, or one for each prompt of its request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fakeai_proxy.clock import turn
from fakeai_proxy.exchange import Workload
from fakeai_proxy.fleet.driver import FleetDriver, Follower
from fakeai_proxy.fleet.job import Job
from fakeai_proxy.fleet.worker import Worker

#: Jobs that are submitted in one turn of the event loop; tens of microseconds each.
_TURN_JOBS = 32


class Progress(Protocol):
    """What is known of a job while it runs."""

    @property
    def shown(self) -> int: ...

    @property
    def worker(self) -> Worker | None: ...

    @property
    def cached_tokens(self) -> int: ...

    @property
    def queue_s(self) -> float: ...


class FleetJobs:
    """`progress` is theirs together."""

    def __init__(self, driver: FleetDriver, jobs: Sequence[Job]) -> None:
        self._driver = driver
        self._jobs = jobs
        self._together = None if len(jobs) == 1 else _Together(jobs)
        self.progress: Progress = self._together or jobs[0]

    @classmethod
    async def submit(cls, driver: FleetDriver, workload: Workload, arrived_at: float) -> FleetJobs:
        """All of them, or none. Raises Refusal."""
        parts = workload.parts or (workload,)
        jobs = [await driver.prepare(part, arrived_at) for part in parts]
        submitted = 0
        try:
            for job in jobs:
                if submitted and submitted % _TURN_JOBS == 0:
                    await turn()
                driver.submit(job)
                submitted += 1
        finally:
            if submitted < len(jobs):
                for job in jobs[:submitted]:
                    driver.cancel(job)
        return cls(driver, jobs)

    def follow(self, follower: Follower) -> None:
        """Tell it of them all; that they have ended when the last has."""
        for k, job in enumerate(self._jobs):
            part = follower if self._together is None else _Part(follower, self._together, k)
            self._driver.follow(job, part)

    def cancel(self) -> None:
        for job in self._jobs:
            self._driver.cancel(job)


class _Together:
    """Several jobs as one. They are counted once for each instant, however many of them tell of it."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.shown = 0
        self.left = len(jobs)
        self._jobs = jobs
        self._seen = [0] * len(jobs)
        self._counted_at = -1.0

    @property
    def worker(self) -> Worker | None:
        return self._jobs[0].worker

    @property
    def cached_tokens(self) -> int:
        return sum([job.cached_tokens for job in self._jobs])

    @property
    def queue_s(self) -> float:
        return max([job.queue_s for job in self._jobs])

    def count(self, k: int, at: float) -> bool:
        """Whether there are more tokens than there were."""
        before, seen = self.shown, self._seen
        for place in range(len(seen)) if at != self._counted_at else (k,):
            shown = self._jobs[place].shown
            self.shown += shown - seen[place]
            seen[place] = shown
        self._counted_at = at
        return self.shown > before


class _Part:
    """Passes on what one of several jobs says, and the end of the last."""

    def __init__(self, follower: Follower, together: _Together, k: int) -> None:
        self._follower = follower
        self._together = together
        self._k = k

    def reached(self, given: int, at: float, now: float) -> None:
        if self._together.count(self._k, at):
            self._follower.reached(self._together.shown, at, now)

    def ended(self, at: float, now: float) -> None:
        self.reached(0, at, now)
        self._together.left -= 1
        if not self._together.left:
            self._follower.ended(at, now)

    def broke(self, reason: str) -> None:
        self._follower.broke(reason)
