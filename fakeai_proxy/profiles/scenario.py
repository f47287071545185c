"""Scenarios: phases over time, and what each of them changes. Which faults and limits there are is not
known here; whoever puts a scenario on looks them up.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from fakeai_proxy.profiles import reading
from fakeai_proxy.profiles.spans import Span, TimeOfDay, instant

KIND = "scenarios"
#: Shorter ones would keep the server busy with nothing but their beginnings; a ramp has ten steps.
DURATION_S_MIN, RAMP_S_MIN = 0.01, 0.1
#: Things that a phase may change, and that may be missing.
Part = Literal["limits", "fleet", "speed"]


def _checked_instant(value: Any) -> Any:
    at = instant(value)
    if isinstance(at, int | float) and not isinstance(at, bool) and not 0 <= at < float("inf"):
        raise ValueError("an instant is not before the beginning")
    return at


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False)


class PhaseLimits(_Data):
    use: tuple[str, ...] = Field((), description="NAME[:TIER] or files, instead of those in force.")
    scale: float | None = Field(None, gt=0, le=1, description="Grant this share of every limit.")
    exhaust: tuple[str, ...] = Field((), description="Keys without quota; * is every key.")


class Workers(_Data):
    """Of those that fit both patterns all, or the first few."""

    pool: str = Field("*", min_length=1, description="Pattern of the pool.")
    worker: str = Field("*", min_length=1, description="Pattern of the worker's name.")
    count: int | None = Field(None, ge=1, description="Only so many of them.")
    share: float | None = Field(None, gt=0, le=1, description="Only this share, at least one.")

    @model_validator(mode="after")
    def _one_number(self) -> Self:
        if self.count is not None and self.share is not None:
            raise ValueError("count or share, not both")
        return self


class Kill(Workers):
    do: Literal["kill"]


class Drain(Workers):
    do: Literal["drain"]


class Restart(Workers):
    """A cold start: a fresh process, which serves when its weights are loaded."""

    do: Literal["restart"]


class Slow(Workers):
    do: Literal["slow"]
    factor: float = Field(ge=1, le=1000, description="How many times as long a step takes.")


class XidError(Workers):
    do: Literal["xid"]
    code: int = Field(ge=1, le=999, description="As NVIDIA's driver reports it; 79: off the bus.")
    gpu: int = Field(0, ge=0, le=1023, description="Which of the worker's GPUs.")


class Scale(_Data):
    do: Literal["scale"]
    pool: str = Field("*", min_length=1, description="Pattern of the pool.")
    replicas: int | None = Field(None, ge=0, le=4096)
    factor: float | None = Field(None, ge=0, le=100, description="Times as many as there are.")

    @model_validator(mode="after")
    def _one_number(self) -> Self:
        if (self.replicas is None) is (self.factor is None):
            raise ValueError("replicas or factor, one of the two")
        return self


Action = Annotated[Kill | Drain | Restart | Slow | XidError | Scale, Field(discriminator="do")]


class Phase(_Data):
    name: str = Field(min_length=1, max_length=64, pattern=r"^[\w. -]+$")
    description: str = ""
    at: Annotated[float | TimeOfDay | None, BeforeValidator(_checked_instant)] = Field(
        None, description="When it begins: a span since the start, or a time of day (12:00). Else "
        "when the phase before ends.",
    )  # fmt: skip
    duration: Span | None = Field(
        None, ge=DURATION_S_MIN, description="Else until the next one begins."
    )
    ramp: Span | None = Field(
        None, ge=RAMP_S_MIN, description="How long its numbers take to get from those of the phase before to "
        "its own: scale, speed, factors of slow, probabilities of faults.",
    )  # fmt: skip
    faults: tuple[Any, ...] = Field((), description="As for --fault, or tables.")
    limits: PhaseLimits = PhaseLimits()
    speed: float = Field(1.0, gt=0, le=1e6, description="Times as fast as the timing says.")
    fleet: tuple[Action, ...] = ()
    optional: tuple[Part, ...] = Field(
        (), description="What is left out where it is missing, rather than refused."
    )

    @model_validator(mode="after")
    def _ramp_fits(self) -> Self:
        if self.ramp is not None and self.duration is not None and self.ramp > self.duration:
            raise ValueError("ramp: it takes longer than the phase")
        return self


class Suggested(_Data):
    """What `scenarios run` starts the server with where nothing else is asked for."""

    profile: str = ""
    limits: tuple[str, ...] = ()


class Scenario(_Data):
    """`profiles/scenarios/*.toml`."""

    name: str = Field(min_length=1)
    description: str = Field(min_length=1)
    source: str = Field(min_length=8)
    illustrative: bool = Field(
        description="Whether the numbers are plausible rather than measured."
    )
    repeat: bool = Field(False, description="Begin again at the end.")
    time_zone: str = Field("", description="Of times of day, as Europe/Paris; the machine's own.")
    suggested: Suggested = Suggested()
    phase: tuple[Phase, ...] = Field(min_length=1, max_length=1000)


def scenario_names() -> list[str]:
    return reading.names(KIND)


def load_scenario(name: str) -> Scenario:
    """By the name it is shipped under, or a file. Raises ConfigError."""
    return reading.load(Scenario, KIND, name, noun="scenario")
