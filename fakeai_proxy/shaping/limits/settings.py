"""The settings of the limits."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class LimitSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    limits: tuple[str, ...] = Field(
        (),
        description="Rate limits, over any source of answers: NAME[:TIER] (openai:1, azure:S0, "
        "anthropic:2), a TOML file, or none; one for each vendor, where several are.",
    )
    limit_charge: Literal["profile", "estimate", "max_tokens", "input", "actual"] = Field(
        "profile",
        description="What a request counts for before it is answered: as the limits' profile says, "
        "an estimate of the prompt plus the tokens it may be answered with, the larger of the two, "
        "the prompt alone, or nothing. What the last two leave out is counted afterwards.",
    )
    limit_true_up: Literal["profile", "on", "off"] = Field(
        "profile",
        description="Whether the difference between estimated and actual tokens is settled when the "
        "answer is complete. Tokens from the prompt cache then count for nothing.",
    )
