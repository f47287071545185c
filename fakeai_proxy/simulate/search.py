"""Several runs, to find something out: how latency grows with load, how many workers are enough."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass

from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.fleet.cluster import Cluster
from fakeai_proxy.fleet.instruments import Instruments
from fakeai_proxy.profiles.fleet import FleetProfile
from fakeai_proxy.simulate.load import Load
from fakeai_proxy.simulate.outcome import Outcome
from fakeai_proxy.simulate.run import Run
from fakeai_proxy.simulate.slo import Objective, attained

#: More replicas than this are no answer to a load.
WORKERS_MAX = 1024
#: What is swept besides the parameters of the load.
WORKERS = "workers"


@dataclass(frozen=True)
class Scene:
    """A fleet, a model of it and a load."""

    profile: FleetProfile
    model: str
    load: Load
    seed: int = 0

    def play(self, progress: Callable[[int], None] = lambda ended: None) -> Outcome:
        dice = Dice(self.seed)
        cluster = Cluster(self.profile, dice)
        instruments = Instruments(self.profile, dice, cluster.workers)
        cluster.listeners.append(instruments)
        cluster.worker_listeners.append(instruments)
        # Nothing here makes cycles: the collector would only walk over every request again and again.
        gc.disable()
        try:
            outcome = Run(cluster, self.load, self.model, self.seed).run(progress)
        finally:
            gc.enable()
        outcome.energy_j = instruments.energy_j(outcome.seconds)
        return outcome

    def changed(self, name: str, value: float) -> Scene:
        """With another value of the load's parameter, or another number of workers."""
        if name != WORKERS:
            load = self.load.changed(name, value)
            return Scene(self.profile, self.model, load, self.seed)
        return Scene(self._sized(int(value)), self.model, self.load, self.seed)

    @property
    def workers(self) -> int:
        return sum(pool.replicas for pool in self.profile.pools_for(self.model))

    @property
    def gpus(self) -> int:
        return sum(pool.replicas * pool.gpus for pool in self.profile.pools_for(self.model))

    def _sized(self, workers: int) -> FleetProfile:
        """Pools that share a model (prefill and decode) keep their proportion."""
        pools = self.profile.pools_for(self.model)
        if workers < len(pools):
            raise ConfigError(
                f"--sweep: {self.model} needs a worker in each of {len(pools)} pools, not {workers}"
            )
        left, before = workers, self.workers
        sizes = {}
        for place, pool in enumerate(pools):
            others = len(pools) - place - 1
            share = left if not others else round(workers * pool.replicas / before)
            sizes[pool.name] = min(max(share, 1), left - others)
            left -= sizes[pool.name]
        return self.profile.model_copy(
            update={
                "pool": tuple(
                    pool.model_copy(update={"replicas": sizes.get(pool.name, pool.replicas)})
                    for pool in self.profile.pool
                )
            }
        )


@dataclass(frozen=True)
class Trial:
    """One run of several: what was tried, and whether it was good enough."""

    name: str
    value: float
    scene: Scene
    outcome: Outcome
    attained: bool


def sweep(
    scene: Scene,
    name: str,
    values: tuple[float, ...],
    objectives: tuple[Objective, ...],
    tell: Callable[[str], Callable[[int], None]],
) -> list[Trial]:
    return [_try(scene, name, value, objectives, tell) for value in values]


def fewest_workers(
    scene: Scene,
    objectives: tuple[Objective, ...],
    tell: Callable[[str], Callable[[int], None]],
) -> tuple[Trial | None, list[Trial]]:
    """The fewest workers that meet the objectives, and all that was tried. None where no number
    does: a single request is too slow."""
    trials: dict[int, Trial] = {}

    def enough(workers: int) -> bool:
        if workers not in trials:
            trials[workers] = _try(scene, WORKERS, workers, objectives, tell)
        return trials[workers].attained

    low = len(scene.profile.pools_for(scene.model))
    high = low
    while not enough(high):
        if high >= WORKERS_MAX or _hopeless(trials, high):
            return None, [trials[key] for key in sorted(trials)]
        low, high = high + 1, min(high * 2, WORKERS_MAX)
    while low < high:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle + 1
    return trials[high], [trials[key] for key in sorted(trials)]


def _hopeless(trials: dict[int, Trial], workers: int) -> bool:
    """Twice as many workers changed nothing: nobody waits for one, and it is still too slow."""
    before = trials.get(workers // 2)
    if before is None:
        return False
    here, there = trials[workers].outcome.spreads, before.outcome.spreads
    return all(
        abs(now - then) <= 0.001 * then
        for metric, spread in here.items()
        for now, then in zip(spread, there[metric], strict=True)
    )


def _try(
    scene: Scene,
    name: str,
    value: float,
    objectives: tuple[Objective, ...],
    tell: Callable[[str], Callable[[int], None]],
) -> Trial:
    tried = scene.changed(name, value)
    outcome = tried.play(tell(f"{name}={value:g}"))
    return Trial(name, value, tried, outcome, attained(objectives, outcome))
