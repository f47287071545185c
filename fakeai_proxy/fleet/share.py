"""Which workers of a fleet one process simulates, where several share it. Each knows them all and what
is done to them, and computes those of its own.
"""

from __future__ import annotations

from typing import NamedTuple

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.profiles.fleet import FleetProfile


class Share(NamedTuple):
    """Every `of`-th worker of each pool, from the `number`-th on."""

    number: int = 0
    of: int = 1

    def has(self, place: int) -> bool:
        """Whether it has the worker that was the `place`-th to join its pool, from 0."""
        return place % self.of == self.number

    def has_named(self, worker: str) -> bool:
        return self.has(int(worker.rpartition("-")[2]))


WHOLE = Share()


def shared_out(profile: FleetProfile, processes: int, grows: bool) -> FleetProfile:
    """The fleet that so many processes simulate. Each needs a worker of each pool: where there are too
    few, a fleet that `grows` has more. Raises ConfigError."""
    for pool in profile.pool:
        if pool.replicas < processes and not grows:
            raise ConfigError(
                f"workers: {processes} processes cannot share the {pool.replicas} workers of the pool "
                f"{pool.name} in the fleet {profile.name}. Use --workers {pool.replicas}, or a fleet "
                "with more."
            )
    pools = tuple(
        pool.model_copy(update={"replicas": max(pool.replicas, processes)}) for pool in profile.pool
    )
    return profile.model_copy(update={"pool": pools})
