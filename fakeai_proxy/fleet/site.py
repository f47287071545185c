"""A fleet as its operator has it: workers on the clock, what they count and what their GPUs show, and
what can be done to them.
"""

from __future__ import annotations

from collections.abc import Mapping

from fakeai_proxy.dice import Dice
from fakeai_proxy.fleet.cost import StepModel
from fakeai_proxy.fleet.driver import FleetDriver
from fakeai_proxy.fleet.faults import Fault, Xid
from fakeai_proxy.fleet.instruments import Instruments
from fakeai_proxy.fleet.metrics import FleetMetrics, Reading
from fakeai_proxy.fleet.telemetry import Telemetry
from fakeai_proxy.fleet.worker import Worker
from fakeai_proxy.profiles.fleet import FleetProfile


class Site:
    def __init__(self, driver: FleetDriver, dice: Dice) -> None:
        self.driver = driver
        self.cluster = driver.cluster
        self.metrics = FleetMetrics()
        self.instruments = Instruments(self.profile, dice, self.cluster.workers)
        self.cluster.listeners += [self.metrics, self.instruments]
        self.cluster.worker_listeners.append(self.instruments)
        self.cluster.departures.append(self.metrics.left)

    @property
    def profile(self) -> FleetProfile:
        return self.cluster.profile

    @property
    def now(self) -> float:
        return self.driver.simulated_at

    @property
    def workers(self) -> list[Worker]:
        return self.cluster.workers

    def worker(self, name: str) -> Worker | None:
        return self.cluster.worker(name)

    @property
    def own_workers(self) -> list[Worker]:
        """Those that this process simulates, where several share the fleet."""
        return [worker for worker in self.workers if worker.here]

    def readings(self, histograms: bool = True) -> list[Reading]:
        """Of its own workers, and of those that it has stood in for."""
        self.metrics.forget_all_but(self.workers)
        workers = [each for each in self.workers if each.here or self.metrics.has_worked(each)]
        return self.metrics.readings(workers, self.now, histograms)

    @property
    def own_telemetries(self) -> list[Telemetry]:
        """Of its own workers, and of GPUs that one of these has left."""
        return self.instruments.telemetries_of(self.cluster.roster.share)

    @property
    def known_blocks(self) -> int:
        """Different KV blocks that the routers know to be somewhere."""
        models = {pool.model: pool for pool in self.profile.pool}
        return sum(len(self.cluster.roster.router(pool).cached) for pool in models.values())

    # What an operator does

    def kill(self, worker: Worker, reason: str = "") -> None:
        self.driver.change(lambda at: self.cluster.kill(worker, at, reason))

    def drain(self, worker: Worker) -> None:
        self.driver.change(lambda at: self.cluster.drain(worker, at))

    def resume(self, worker: Worker) -> None:
        self.driver.change(lambda at: self.cluster.resume(worker, at))

    def restart(self, worker: Worker) -> None:
        """With GPUs that are as good as new."""
        self.heal(worker)
        self.driver.change(lambda at: self.cluster.restart(worker, at))

    def slow(self, worker: Worker, factor: float) -> None:
        """Every step takes so many times as long as its GPUs need; 1 is what they need."""
        self.instruments.slow(worker, factor)

    def scale(self, pool: str, replicas: int) -> None:
        """Raises KeyError for an unknown pool."""
        self.driver.change(lambda at: self.cluster.scale(pool, replicas, at))

    def models_of(self, profile: FleetProfile) -> dict[str, StepModel]:
        """What `renew` needs; a moment's work, in any thread. Raises ConfigError."""
        return self.cluster.roster.models_of(profile)

    def renew(self, profile: FleetProfile, models: Mapping[str, StepModel]) -> None:
        self.driver.change(lambda at: self.cluster.renew(profile, models, at))

    def inject(self, worker: Worker, fault: Fault) -> None:
        """What a process cannot survive ends the worker. Raises ValueError where the worker has no
        such GPU."""
        telemetry = self.instruments.last_of(worker)
        if telemetry is None:
            raise ValueError(f"worker {worker.name} is dead, and its GPUs are another one's")
        telemetry.inject(fault, self.now)
        if telemetry.dead:
            said = f"XID {fault.code}: {fault.kind.text}" if isinstance(fault, Xid) else "GPU lost"
            self.kill(worker, f"{said} on worker {worker.name}")

    def heal(self, worker: Worker) -> None:
        """Take back all faults; a dead worker stays dead until it is restarted."""
        telemetry = self.instruments.last_of(worker)
        if telemetry is not None:
            telemetry.clear(self.now)
