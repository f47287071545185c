"""Which workers of a fleet one process simulates, where several share it. Each knows them all and what
is done to them, and computes those of its own.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.profiles import FleetProfile, HostedProfile, load_back_end


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


def load_shared(
    name: str, processes: int, settings_given: Collection[str]
) -> HostedProfile | FleetProfile | None:
    """The back end that so many processes simulate together. Each needs a worker of each pool: where
    there are too few, the fleet by default has more, and one that was asked for is refused. Raises
    ConfigError."""
    profile = load_back_end(name)
    if not isinstance(profile, FleetProfile) or processes == 1:
        return profile
    for pool in profile.pool:
        if pool.replicas < processes and "profile" in settings_given:
            raise ConfigError(
                f"workers: {processes} processes cannot share the pool {pool.name} of the fleet "
                f"{profile.name}, which has {pool.replicas}. Use --workers {pool.replicas}, or a fleet "
                "with more."
            )
    pools = tuple(
        pool.model_copy(update={"replicas": max(pool.replicas, processes)}) for pool in profile.pool
    )
    return profile.model_copy(update={"pool": pools})
