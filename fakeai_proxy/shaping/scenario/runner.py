"""Puts a scenario on: one timer, set to the next change, and levers that are pulled when it fires."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from fakeai_proxy.clock import Clock, Timer
from fakeai_proxy.profiles.scenario import Part, Phase
from fakeai_proxy.shaping.scenario.levers import Lever
from fakeai_proxy.shaping.scenario.plan import Plan, Wanted
from fakeai_proxy.shaping.scenario.timeline import Place, Timeline

#: Checks that a phase finds what it changes; gives what is missing, or raises ConfigError.
Check = Callable[[Plan, int, Phase], set[Part]]


class Runner:
    """One scenario at a time. `began` are told of each phase, and of the time between two."""

    def __init__(self, clock: Clock, levers: Sequence[Lever], check: Check) -> None:
        self._clock = clock
        self._levers = levers
        self._check = check
        self._timer: Timer | None = None
        self._timeline: Timeline | None = None
        self._zero_at = 0.0
        #: When something changes next, in seconds since the scenario's zero.
        self._next_s = math.inf
        self.plan: Plan | None = None
        #: As if from when on it has been on.
        self.begun_at = 0.0
        self.wanted = Wanted()
        self.place: Place | None = None
        self.began: list[Callable[[Plan, Place], None]] = []

    def start(self, plan: Plan, at: float | None = None, mark: str = "") -> None:
        """Instead of the one that is on, as if from `at` on, if that is given. `mark` is what other
        processes that put it on call this start. Raises ConfigError, and then nothing has changed;
        needs a running event loop."""
        plan = self.check(plan)
        now = self._clock.now()
        at = now if at is None else at
        timeline = plan.timeline(self._clock.wall() - (now - at))
        self.stop()
        plan.mark = mark
        self.begun_at = at
        self.plan, self._timeline = plan, timeline
        self._zero_at = at - timeline.skipped_s
        self._timer = self._clock.timer(self._fire)
        self._pull(now - self._zero_at)

    def check(self, plan: Plan) -> Plan:
        """The plan, less what is missing and optional. Raises ConfigError for what is not."""
        return plan.without(lambda index, phase: self._check(plan, index, phase))

    def stop(self) -> None:
        """All changes are taken back."""
        if self._timer is not None:
            self._timer.close()
        if self.plan is not None:
            self._set(Wanted())
        self.plan = self._timeline = self.place = self._timer = None
        self._next_s = math.inf

    @property
    def elapsed_s(self) -> float:
        """Since the scenario's zero."""
        return self._clock.now() - self._zero_at

    def _fire(self) -> None:
        # The difference of two instants may fall short of a third by a rounding.
        self._pull(max(self.elapsed_s, self._next_s))

    def _pull(self, elapsed_s: float) -> None:
        plan, timeline, timer = self.plan, self._timeline, self._timer
        assert plan is not None
        assert timeline is not None
        assert timer is not None
        before, self.place = self.place, timeline.place(elapsed_s)
        self._next_s = plan.changes_at(self.place, elapsed_s)
        if self._next_s < math.inf:
            timer.at(self._zero_at + self._next_s)
        self._set(plan.wanted(self.place, elapsed_s))
        if before is None or before.began_s != self.place.began_s:
            for tell in self.began:
                tell(plan, self.place)

    def _set(self, wanted: Wanted) -> None:
        assert self.plan is not None
        self.wanted = wanted
        for lever in self._levers:
            lever.set(self.plan, wanted)
