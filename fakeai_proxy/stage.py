"""What the scenarios of an App have to play with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakeai_proxy.shaping.scenario.fleet import FleetLever
from fakeai_proxy.shaping.scenario.levers import FaultLever, Lever, LimitLever, PaceLever
from fakeai_proxy.shaping.scenario.missing import Present
from fakeai_proxy.shaping.scenario.runner import Runner
from fakeai_proxy.shaping.scenario.site import SiteFleet

if TYPE_CHECKING:
    from fakeai_proxy.app import App


def stage_of(app: App) -> Runner:
    fleet = None if app.site is None else SiteFleet(app.site, app.exporters.grow)
    levers: list[Lever] = [
        FaultLever(app.faults),
        LimitLever(app.limiter),
        PaceLever(app.pacer),
        *([] if fleet is None else [FleetLever(fleet)]),
    ]
    present = Present(app.limiter, fleet, app.config.is_timed)
    return Runner(app.clock, levers, present.check)
