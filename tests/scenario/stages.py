"""A scenario's whole stage without sockets: real faults, limits and pacing, a fleet of paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.dice import Dice
from fakeai_proxy.profiles.scenario import Scenario
from fakeai_proxy.shaping.faults.faults import Faults
from fakeai_proxy.shaping.faults.settings import FaultSettings
from fakeai_proxy.shaping.limits import Limiter, LimitSettings
from fakeai_proxy.shaping.pacing import Pacer, PacingSettings
from fakeai_proxy.shaping.scenario.fleet import FleetLever, Seen
from fakeai_proxy.shaping.scenario.levers import FaultLever, LimitLever, PaceLever
from fakeai_proxy.shaping.scenario.missing import Present
from fakeai_proxy.shaping.scenario.plan import Plan
from fakeai_proxy.shaping.scenario.runner import Runner
from fakeai_proxy.shaping.scheduler import Scheduler


def scenario(*phases: dict[str, Any], **values: Any) -> Scenario:
    return Scenario.model_validate(
        {
            "name": "test",
            "description": "For tests",
            "source": "A test's own invention",
            "illustrative": True,
            "phase": phases,
            **values,
        }
    )


class PaperFleet:
    """Workers that do at once what they are told, and forget how slow they are when they start."""

    def __init__(self, **pools: int) -> None:
        self.replicas = dict(pools)
        self.life = {f"{pool}-{k}": "ready" for pool, size in pools.items() for k in range(size)}
        self.factor = dict.fromkeys(self.life, 1.0)
        self.errors: set[tuple[str, int, int]] = set()
        self.starts = dict.fromkeys(self.life, 0)

    def pools(self) -> dict[str, int]:
        return dict(self.replicas)

    def workers(self) -> Sequence[Seen]:
        return [
            Seen(name, name.rpartition("-")[0], life == "ready", life == "dead")
            for name, life in self.life.items()
        ]

    def kill(self, worker: str, reason: str) -> None:
        self.life[worker] = "dead"

    def restart(self, worker: str) -> None:
        self.life[worker], self.factor[worker] = "ready", 1.0
        self.starts[worker] += 1

    def drain(self, worker: str) -> None:
        self.life[worker] = "draining"

    def resume(self, worker: str) -> None:
        if self.life[worker] == "draining":
            self.life[worker] = "ready"

    def slow(self, worker: str, factor: float) -> None:
        assert self.life[worker] != "dead", "the dead have no steps"
        self.factor[worker] = factor

    def strike(self, worker: str, xid: int, gpu: int) -> None:
        self.errors.add((worker, xid, gpu))
        self.life[worker] = "dead"

    def heal(self, worker: str, xid: int, gpu: int) -> None:
        self.errors.remove((worker, xid, gpu))
        self.restart(worker)

    def scale(self, pool: str, replicas: int) -> None:
        self.replicas[pool] = replicas


class Stage:
    def __init__(
        self,
        limits: tuple[str, ...] = ("openai:1",),
        fault: tuple[str, ...] = (),
        fleet: PaperFleet | None = None,
        timed: bool = True,
    ) -> None:
        self.clock = VirtualClock(autojump=False)
        dice, scheduler = Dice(0), Scheduler(self.clock)
        self.faults = Faults(FaultSettings(fault=fault), scheduler, self.clock, dice)
        self.limiter = Limiter(LimitSettings(limits=limits), self.clock)
        self.pacer = Pacer(PacingSettings(), None, scheduler, self.clock, dice)
        self.fleet = fleet
        levers = [FaultLever(self.faults), LimitLever(self.limiter), PaceLever(self.pacer)]
        self.runner = Runner(
            self.clock,
            [*levers, FleetLever(fleet)] if fleet else levers,
            Present(self.limiter, fleet, timed).check,
        )

    def start(self, *phases: dict[str, Any], **values: Any) -> None:
        self.runner.start(Plan(scenario(*phases, **values)))

    @property
    def rules(self) -> list[str]:
        return [rule.text for rule in self.faults.rules]
