"""Hosted back ends: how long their models take. What stands behind them is unknown."""

from __future__ import annotations

import fnmatch

from pydantic import BaseModel, ConfigDict, Field

from fakeai_proxy.profiles import reading
from fakeai_proxy.profiles.latency import Gaps, Latency

__all__ = ["Gaps", "HostedProfile", "Latency", "hosted_names", "hosted_text", "load_hosted"]


class HostedProfile(BaseModel):
    """`profiles/hosted/*.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str = Field(min_length=1)
    description: str = Field(min_length=1)
    source: str = Field(min_length=8)
    illustrative: bool = Field(
        description="Whether the numbers are plausible rather than measured."
    )
    latency: tuple[Latency, ...] = Field(min_length=1)

    def for_model(self, model: str) -> Latency:
        """The first row whose pattern fits; the last row where none does."""
        for row in self.latency:
            if fnmatch.fnmatchcase(model, row.model):
                return row
        return self.latency[-1]


def hosted_names() -> list[str]:
    return reading.names("hosted")


def load_hosted(name: str) -> HostedProfile | None:
    """The profile of that name or file; None for `none`. Raises ConfigError."""
    return None if name == "none" else reading.load(HostedProfile, "hosted", name)


def hosted_text(name: str) -> str:
    """The TOML of a profile by its name or file. Raises ConfigError."""
    return reading.text("hosted", name)
