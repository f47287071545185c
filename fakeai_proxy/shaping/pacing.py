"""When each chunk of a reply may leave: as recorded, by the profile, or at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field

from fakeai_proxy.clock import Clock
from fakeai_proxy.dice import Dice
from fakeai_proxy.exchange import BATCH, HIT, LIVE, Chunk, Exchange, Reply, Workload
from fakeai_proxy.fleet.driver import FleetDriver
from fakeai_proxy.profiles import Gaps, HostedProfile
from fakeai_proxy.roles import Client
from fakeai_proxy.shaping.fleet_pacing import FleetPacing
from fakeai_proxy.shaping.live_workload import live_workload
from fakeai_proxy.shaping.scheduler import Scheduler
from fakeai_proxy.shaping.timed_pacing import TimedPacing

#: Beyond what live requests ask for themselves, of which lower ones go first.
BATCH_PRIORITY = 1_000_000


class PacingSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    timing: Literal["recorded", "profile", "none"] = Field(
        "recorded",
        description="When bytes leave: as recorded (synthesized answers follow the profile), "
        "everything by the profile, or at once.",
    )
    speed: float = Field(
        1.0, gt=0, allow_inf_nan=False, description="How many times faster than the timing says."
    )


class Pacing(Protocol):
    """The timing of one reply. A context manager, because it may hold a place in an engine."""

    async def __aenter__(self) -> Self:
        """Raises ApiError where the back end refuses the work."""

    async def __aexit__(self, *failure: object) -> None: ...

    async def play(self, chunks: Sequence[Chunk], client: Client) -> None:
        """Send a scripted reply, head and tail included. Raises ConnectionError when the client
        has gone, ApiError when the back end fails before the head is out, and StreamCut after."""

    async def due(self, chunk: Chunk) -> None:
        """Wait until a live chunk may leave: one from a recording at its age, one from an upstream
        as it comes, unless the profile says otherwise."""


class Pacer:
    """Chooses the pacing of one exchange. A back end is a hosted profile, a fleet, or nothing."""

    def __init__(
        self,
        settings: PacingSettings,
        profile: HostedProfile | None,
        scheduler: Scheduler,
        clock: Clock,
        dice: Dice,
        fleet: FleetDriver | None = None,
    ) -> None:
        self.settings = settings
        self.profile = profile
        self.scheduler = scheduler
        self.clock = clock
        self.dice = dice
        self.fleet = fleet
        #: How many times faster than the timing says; of a stream, when it begins.
        self.speed = settings.speed

    def admit(self, exchange: Exchange, reply: Reply) -> Pacing:
        workload = self._workload(exchange, reply)
        if workload is not None and exchange.tier == BATCH:
            workload = _behind(workload)
        if self.fleet is not None and workload is not None:
            return FleetPacing(exchange, reply, workload, self.fleet, self.scheduler)
        return TimedPacing(
            exchange,
            reply,
            self.scheduler,
            self.clock,
            recorded=self.settings.timing == "recorded",
            gaps=None if workload is None else self._gaps(exchange, workload),
            speed=self.speed,
        )

    def _workload(self, exchange: Exchange, reply: Reply) -> Workload | None:
        """The work that the back end is timed by; None where something else, or nothing, sets the
        time."""
        timing = self.settings.timing
        if timing == "none" or (self.fleet is None and self.profile is None):
            return None
        if timing == "profile" and reply.provenance == LIVE and reply.workload is None:
            return live_workload(exchange.request, reply)
        if timing == "recorded" and (reply.provenance == HIT or _has_ages(reply)):
            return None
        return reply.workload

    def _gaps(self, exchange: Exchange, workload: Workload) -> Gaps | None:
        if self.profile is None:
            return None
        rng = self.dice.roll(exchange.dice_key, "latency")
        return self.profile.for_model(workload.model).draw(rng, workload.prompt_tokens)


def _behind(workload: Workload) -> Workload:
    """The same for an engine that has live requests first."""
    return replace(
        workload,
        priority=workload.priority + BATCH_PRIORITY,
        parts=[_behind(part) for part in workload.parts],
    )


def _has_ages(reply: Reply) -> bool:
    script = reply.script or ()
    return len(script) > 0 and script[0].age_s is not None
