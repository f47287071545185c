"""The control API's rows of the clock: what time it is, and a virtual one moved on."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field

from fakeai_proxy import errors
from fakeai_proxy.clock import Clock, VirtualClock
from fakeai_proxy.observe.pages import CONTROL, Answer, Call, Route

#: Ten years: what expires later is not what a test waits for.
_SECONDS_MAX = 10 * 366 * 86_400


class Advance(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seconds: float = Field(ge=0, le=_SECONDS_MAX, description="How far.")


def clock_routes(clock: Clock) -> tuple[Route, ...]:
    def told() -> Answer:
        wall = datetime.fromtimestamp(clock.wall(), UTC)
        return Answer(
            {
                "clock": "virtual" if isinstance(clock, VirtualClock) else "real",
                "now_s": round(clock.now(), 6),
                "wall": wall.isoformat(timespec="microseconds"),
            }
        )

    async def advance(call: Call) -> Answer:
        if not isinstance(clock, VirtualClock):
            raise errors.clock_is_real()
        await clock.pass_by(call.body.seconds)
        return told()

    path = f"{CONTROL}clock"
    return (
        Route("GET", path, lambda call: told(), "What time it is here."),
        Route("POST", f"{path}/advance", advance,
              "Move a virtual clock (--clock virtual); whatever falls due on the way happens.",
              body=Advance, reach="here"),
    )  # fmt: skip
