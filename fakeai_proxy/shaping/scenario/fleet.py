"""What a scenario does to a fleet, and takes back: workers killed, drained, slowed, struck by an XID,
pools scaled. The fleet itself is behind a protocol.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from fakeai_proxy.profiles.scenario import (
    Action,
    Drain,
    Kill,
    Restart,
    Scale,
    Slow,
    Workers,
    XidError,
)
from fakeai_proxy.shaping.scenario.plan import Plan, Wanted


class Seen(NamedTuple):
    """A worker: `serves` when it takes requests or will, once started; `dead` until restarted."""

    name: str
    pool: str
    serves: bool = True
    dead: bool = False


class Fleet(Protocol):
    """Workers by name; what is no worker any more is passed over. `pools` has the replicas that
    serve or start."""

    def pools(self) -> dict[str, int]: ...

    def workers(self) -> Sequence[Seen]: ...

    def kill(self, worker: str, reason: str) -> None: ...

    def restart(self, worker: str) -> None: ...

    def drain(self, worker: str) -> None: ...

    def resume(self, worker: str) -> None: ...

    def slow(self, worker: str, factor: float) -> None:
        """Its steps take `factor` times as long, until told otherwise."""

    def strike(self, worker: str, xid: int, gpu: int) -> None: ...

    def heal(self, worker: str, xid: int, gpu: int) -> None:
        """The error is cleared, and the worker started again if it died of that."""

    def scale(self, pool: str, replicas: int) -> None: ...


Undo = Callable[[], None]


class FleetLever:
    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._visit = Wanted().visit
        #: What is so, each with what takes it back.
        self._done: dict[Action, Undo] = {}
        self._slowed: set[str] = set()

    def set(self, plan: Plan, wanted: Wanted) -> None:
        lasting = [action for action in wanted.fleet if not isinstance(action, Slow)]
        for action in [action for action in self._done if action not in lasting]:
            self._done.pop(action)()
        for action in lasting:
            if action not in self._done:
                self._done[action] = _ACTS[type(action)](self._fleet, action)
        if wanted.visit != self._visit:
            self._visit = wanted.visit
            for action in wanted.events:
                _ACTS[type(action)](self._fleet, action)
        self._slow(wanted)

    def _slow(self, wanted: Wanted) -> None:
        """A slower timing slows all workers; what else slows them is multiplied."""
        living = [seen.name for seen in self._fleet.workers() if not seen.dead]
        factors = dict.fromkeys(living, 1 / wanted.speed)
        for action in wanted.fleet:
            if isinstance(action, Slow):
                for name in chosen(self._fleet, action, lambda seen: not seen.dead):
                    factors[name] *= action.factor
        for name, factor in factors.items():
            # Again, too: a worker that was started again since has forgotten it.
            if factor != 1.0 or name in self._slowed:
                self._fleet.slow(name, factor)
        self._slowed = {name for name, factor in factors.items() if factor != 1.0}


def chosen(
    fleet: Fleet, who: Workers, fit: Callable[[Seen], bool] = lambda seen: seen.serves
) -> list[str]:
    """The names, in the order in which they joined the fleet."""
    found = [
        seen.name
        for seen in fleet.workers()
        if fit(seen)
        and fnmatch.fnmatchcase(seen.pool, who.pool)
        and fnmatch.fnmatchcase(seen.name, who.worker)
    ]
    if who.share is not None:
        return found[: math.ceil(len(found) * who.share)]
    return found[: who.count]


def _kill(fleet: Fleet, action: Kill) -> Undo:
    names = chosen(fleet, action)
    for name in names:
        fleet.kill(name, f"worker {name} was killed")

    def undo() -> None:
        dead = {seen.name for seen in fleet.workers() if seen.dead}
        for name in names:
            if name in dead:
                fleet.restart(name)

    return undo


def _drain(fleet: Fleet, action: Drain) -> Undo:
    names = chosen(fleet, action)
    for name in names:
        fleet.drain(name)

    def undo() -> None:
        for name in names:
            fleet.resume(name)

    return undo


def _restart(fleet: Fleet, action: Restart) -> Undo:
    for name in chosen(fleet, action, lambda seen: True):
        fleet.restart(name)
    return lambda: None


def _strike(fleet: Fleet, action: XidError) -> Undo:
    names = chosen(fleet, action)
    for name in names:
        fleet.strike(name, action.code, action.gpu)

    def undo() -> None:
        for name in names:
            fleet.heal(name, action.code, action.gpu)

    return undo


def _scale(fleet: Fleet, action: Scale) -> Undo:
    before = {
        name: replicas
        for name, replicas in fleet.pools().items()
        if fnmatch.fnmatchcase(name, action.pool)
    }
    for name, replicas in before.items():
        wanted = action.replicas
        if wanted is None:
            wanted = round(replicas * (action.factor or 0.0))
        fleet.scale(name, wanted)

    def undo() -> None:
        for name, replicas in before.items():
            fleet.scale(name, replicas)

    return undo


_ACTS: dict[type, Callable[..., Undo]] = {
    Kill: _kill,
    Drain: _drain,
    Restart: _restart,
    XidError: _strike,
    Scale: _scale,
}
