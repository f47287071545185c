"""The setting of scenarios. Kept apart from them, which are loaded when one is put on."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ScenarioSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    scenario: str = Field(
        "",
        description="What goes wrong over time, in phases that begin with the server: NAME of a "
        "shipped scenario, or FILE.toml; `fakeai-proxy scenarios ls` names them all.",
    )
