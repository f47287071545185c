"""A trial: one thing that goes wrong, where, and what a good client does then. A course is a list of them,
in TOML (`profiles/resilience/*.toml`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.profiles import reading

KIND = "resilience"
SHIPPED = "course"

#: What a good client does: answer | wait and ask again | see that the answer is broken, and ask again or
#: stop | lose patience, and ask again or stop | not ask again, and stop | ask a few times, and stop |
#: carry on as if nothing were | notice that the model was cut short.
Expected = Literal[
    "answer", "retry", "notice", "time_out", "no_retry", "give_up", "endure", "notice_length"
]
#: Which requests it happens to, and so which programs it concerns.
Concerned = Literal["all", "streams", "tool_results", "anthropic"]


class Trial(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    meaning: str
    expected: Expected
    concerns: Concerned = "all"
    #: Rules as --fault has them.
    fault: tuple[str, ...] = ()
    #: Seconds that the fault tells clients to wait.
    wait_s: float | None = Field(None, gt=0)

    @field_validator("fault")
    @classmethod
    def _calm_is_calm(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not rule.strip() for rule in value):
            raise ValueError("a fault is NAME:PARAMETER=VALUE,...")
        return value


class Course(BaseModel):
    """The first trial is the one in which nothing goes wrong."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    trial: tuple[Trial, ...] = Field(min_length=1)

    @field_validator("trial")
    @classmethod
    def _begins_calmly(cls, value: tuple[Trial, ...]) -> tuple[Trial, ...]:
        if value[0].expected != "answer" or value[0].fault:
            raise ValueError('the first has expected = "answer" and no fault')
        if len({trial.name for trial in value}) < len(value):
            raise ValueError("two have the same name")
        return value

    @property
    def calm(self) -> Trial:
        return self.trial[0]

    def chosen(self, only: Iterable[str], skip: Iterable[str]) -> tuple[Trial, ...]:
        """The trials to run; the calm one always, because the others are compared with it. Raises
        ConfigError."""
        only, skip = set(only), set(skip)
        known = [trial.name for trial in self.trial]
        for flag, names in (("--only", only), ("--skip", skip)):
            if unknown := sorted(names - set(known)):
                raise ConfigError(
                    f"{flag}: there is no trial '{unknown[0]}'. There are {', '.join(known)}."
                )
        return tuple(
            [
                trial for trial in self.trial
                if trial is self.calm
                or (trial.name not in skip and (not only or trial.name in only))
            ]
        )  # fmt: skip


def load_course(name: str = SHIPPED) -> Course:
    """By name or file. Raises ConfigError."""
    return reading.load(Course, KIND, name)
