"""What can be set of Azure's dialect."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class AzureSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    azure_content_filter: Literal["off", "low", "medium", "high"] = Field(
        "medium",
        description="Lowest severity at which Azure's content filter blocks a prompt or an answer; "
        "off only annotates them.",
    )
