"""The control API's row of the rate limits: how everybody stands, and how to change it while it runs."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel, ConfigDict, Field

from fakeai_proxy import errors
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.observe.pages import CONTROL, Answer, Call, Parameter, Route
from fakeai_proxy.profiles.limits import LimitsProfile, limits_names, load_limits
from fakeai_proxy.shaping.limits import Limiter

_ROWS = Parameter("limit", "At most so many rows.", "integer", 100, 1, 1000)

#: As the setting has it.
_NONE = "none"


class LimitsChange(BaseModel):
    """What is not named stays as it is."""

    model_config = ConfigDict(extra="forbid")

    limits: tuple[str, ...] | None = Field(
        None,
        description="NAME[:TIER] of shipped limits, in place of those in force; none, or [], for none.",
    )
    own: LimitsProfile | None = Field(
        None, description="Limits of your own, as in a TOML file, before those in `limits`."
    )
    scale: float | None = Field(None, gt=0, le=1, description="Grant this share of every limit.")
    exhaust: tuple[str, ...] = Field((), description="Keys whose quota is used up; * is every key.")
    restore: tuple[str, ...] = Field((), description="Keys whose quota is there again.")


def limits_routes(limiter: Limiter) -> tuple[Route, ...]:
    async def overview(call: Call) -> Answer:
        return Answer(await _overview(limiter, call.query["limit"]))

    async def change(call: Call) -> Answer:
        wanted: LimitsChange = call.body
        if wanted.limits is not None or wanted.own is not None:
            try:
                with limiter.clock.hold():
                    profiles = await asyncio.to_thread(_profiles, wanted)
                limiter.replace(profiles)
            except ConfigError as error:
                raise errors.bad_parameter("limits", "invalid_value", str(error)) from None
        if wanted.scale is not None:
            limiter.scale(wanted.scale)
        for key in wanted.exhaust:
            limiter.exhaust(key)
        for key in wanted.restore:
            limiter.restore(key)
        return Answer(await _overview(limiter, int(_ROWS.default or 0)))

    path = f"{CONTROL}limits"
    return (
        Route("GET", path, overview, "Rate limits in force, and how everybody stands.", (_ROWS,)),
        Route("PUT", path, change, "Change the rate limits while it runs.", body=LimitsChange),
    )


def _profiles(wanted: LimitsChange) -> list[tuple[LimitsProfile, str]]:
    own = [(wanted.own, "")] if wanted.own is not None else []
    return own + [_shipped(spec) for spec in wanted.limits or () if spec != _NONE]


def _shipped(spec: str) -> tuple[LimitsProfile, str]:
    """Files are for those who start the program. Raises 400 and ConfigError."""
    if spec.partition(":")[0] not in limits_names():
        raise errors.invalid_value("limits", spec, (*limits_names(), _NONE))
    return load_limits(spec)


async def _overview(limiter: Limiter, rows: int) -> dict[str, object]:
    return {
        "limits": limiter.in_force,
        "scale": limiter.factor,
        "exhausted": sorted(limiter.exhausted),
        "data": await limiter.status_of_all(rows),
    }
