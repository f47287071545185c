"""The control API's rows of the profile: who sets the pace, another one in its place, another speed."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from fakeai_proxy import errors
from fakeai_proxy.clock import Clock
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.observe.pages import CONTROL, Answer, Call, Route
from fakeai_proxy.profiles import FleetProfile, HostedProfile, back_end_names, load_back_end
from fakeai_proxy.profiles.hosted import hosted_names
from fakeai_proxy.shaping.pacing import Pacer

_NONE = "none"
_OF_A_FLEET = "Workers, KV caches and their metrics are made when it starts."

_AT_ONCE = "With --timing none everything is answered at once."


class ProfileChange(BaseModel):
    """What is not named stays as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    profile: str | None = Field(
        None, description="The name of a shipped hosted profile, or none. Fleets stay as they are."
    )
    speed: float | None = Field(None, gt=0, description="How many times faster than it says.")


def profile_routes(
    pacer: Pacer, fleet: FleetProfile | None, name: str, has_back_end: bool, clock: Clock
) -> tuple[Route, ...]:
    """`fleet` is the one that is simulated, `name` what was asked for at the start; without a back end
    nothing follows a profile."""
    shown = {"name": name}

    def overview(call: Call) -> Answer:
        return Answer(_told(pacer, fleet, shown["name"], has_back_end))

    async def change(call: Call) -> Answer:
        wanted: ProfileChange = call.body
        if fleet is not None:
            raise errors.profile_fixed(_OF_A_FLEET)
        if wanted.speed is not None and not _speed_changes(pacer, fleet):
            raise errors.profile_fixed(_AT_ONCE)
        if wanted.profile is not None:
            with clock.hold():
                hosted = await asyncio.to_thread(_hosted, wanted.profile, has_back_end)
            pacer.profile, shown["name"] = hosted, wanted.profile
        if wanted.speed is not None:
            pacer.speed = wanted.speed
        return overview(call)

    path = f"{CONTROL}profile"
    return (
        Route("GET", path, overview, "Who sets the pace of answers, and how fast."),
        Route("PUT", path, change,
              "Another hosted profile, or another speed, for answers that begin from here on.",
              body=ProfileChange),
    )  # fmt: skip


def _hosted(name: str, has_back_end: bool) -> HostedProfile | None:
    """Files are for those who start the program. Raises 400 and 409."""
    if not has_back_end:
        raise errors.profile_fixed("Nothing here follows a profile: answers are as recorded.")
    if name != _NONE and name not in back_end_names():
        raise errors.invalid_value("profile", name, (*hosted_names(), _NONE))
    try:
        found = load_back_end(name)
    except ConfigError as error:
        raise errors.bad_parameter("profile", "invalid_value", str(error)) from None
    if isinstance(found, FleetProfile):
        raise errors.profile_is_a_fleet(name, (*hosted_names(), _NONE))
    return found


def _speed_changes(pacer: Pacer, fleet: FleetProfile | None) -> bool:
    """Whether another speed can be set, and means anything."""
    return fleet is None and pacer.settings.timing != "none"


def _told(
    pacer: Pacer, fleet: FleetProfile | None, name: str, has_back_end: bool
) -> dict[str, Any]:
    found = fleet or pacer.profile
    kind = "none" if found is None else "hosted" if fleet is None else "fleet"
    return {
        "profile": name,
        "kind": kind,
        "followed": has_back_end and pacer.settings.timing != "none",
        "description": "" if found is None else found.description,
        "source": "" if found is None else found.source,
        "models": sorted({pool.model for pool in fleet.pool}) if fleet is not None else [],
        "timing": pacer.settings.timing,
        "speed": pacer.speed,
        "choices": [*hosted_names(), _NONE] if fleet is None and has_back_end else [],
        "speed_changes": _speed_changes(pacer, fleet),
    }
