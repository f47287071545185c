"""How many workers serve in a pool, and that they are as it is: more start cold, too many drain and leave,
and those that it asks for no more leave as others have started in their place.
"""

from __future__ import annotations

from collections.abc import Callable

from fakeai_proxy.fleet.roster import Roster
from fakeai_proxy.fleet.worker import Worker
from fakeai_proxy.profiles.fleet import Pool


class Staffing:
    """`start` adds a worker at an instant, to be ready at another; `part` lets one leave that is retiring,
    when nobody needs it."""

    def __init__(
        self,
        roster: Roster,
        start: Callable[[Pool, float, float], None],
        part: Callable[[Worker, float], None],
    ) -> None:
        self._roster = roster
        self._start = start
        self._part = part

    def scale(self, name: str, replicas: int, at: float) -> None:
        """The last to join are the first to leave. The dead do not count. Raises KeyError for an unknown
        pool."""
        pool = self._roster.pools[name]
        present = [each for each in self._living(pool) if each.pool is pool]
        for _ in range(replicas - len(present)):
            self._start(pool, at, at + pool.cold_start_s)
        for worker in reversed(present[replicas:]):
            self._retire(worker, at)
        self.relieve(name, at)

    def relieve(self, name: str, at: float) -> None:
        """Who is not as the pool is leaves, as far as others have started; who still starts, first."""
        pool = self._roster.pools[name]
        living = self._living(pool)
        starting = [each for each in living if each.pool is pool and each.life == "starting"]
        outdated = [each for each in living if each.pool is not pool]
        replaced = max(0, len(outdated) - len(starting))
        for worker in sorted(outdated, key=lambda each: each.life == "ready")[:replaced]:
            self._retire(worker, at)
        if replaced == len(outdated):
            self._roster.settled(pool)

    def _living(self, pool: Pool) -> list[Worker]:
        return [each for each in self._roster.of(pool) if each.life in ("starting", "ready")]

    def _retire(self, worker: Worker, at: float) -> None:
        worker.life, worker.retiring = "draining", True
        self._part(worker, at)
