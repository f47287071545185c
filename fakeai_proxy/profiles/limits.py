"""Rate limits: what a vendor grants, by tier and model, how it charges a request, and its prices."""

from __future__ import annotations

import fnmatch
from typing import Literal, Self

from pydantic import Field, model_validator

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.profiles import reading

#: Whose limit it is.
Scope = Literal["organization", "project", "key"]
#: What a request counts for before its answer is known.
ChargePolicy = Literal["estimate", "max_tokens", "input", "actual"]

#: Beyond this a number is a slip.
_AMOUNT_MAX = 10**12

Amount = Field(None, gt=0, le=_AMOUNT_MAX)


class Limit(reading.Data):
    """One row of a tier. The models that fit `model` share the amounts, unless `each` gives every
    model its own. For each scope and amount the first row that fits and names it counts."""

    model: str = Field("*", min_length=1, description="Pattern of the model names it applies to.")
    each: bool = False
    scope: Scope = "organization"
    source: str = ""
    rpm: float | None = Amount
    rpd: float | None = Amount
    tpm: float | None = Amount
    tpd: float | None = Amount
    itpm: float | None = Amount
    otpm: float | None = Amount
    ipm: float | None = Amount
    concurrent: int | None = Field(None, gt=0, le=10**9, description="Requests under way.")
    batch_queue_tokens: float | None = Amount
    usd_per_month: float | None = Amount
    burst_s: float | None = Field(
        None, gt=0, le=86_400, description="Requests are granted in portions of so many seconds."
    )
    rpm_window_s: float | None = Field(
        None, gt=0, le=60, description="Requests are counted in a sliding window of this length."
    )
    tpm_counter: bool = Field(
        False, description="Tokens are counted up for a minute and then forgotten, all at once."
    )

    @property
    def amounts(self) -> dict[str, float]:
        return {name: value for name in AMOUNTS if (value := getattr(self, name)) is not None}

    @model_validator(mode="after")
    def _grants_something(self) -> Self:
        if not self.amounts:
            raise ValueError(f"a limit names at least one of {', '.join(AMOUNTS)}")
        return self


#: Everything that can be limited.
AMOUNTS = ("rpm", "rpd", "tpm", "tpd", "itpm", "otpm", "ipm", "concurrent", "batch_queue_tokens",
           "usd_per_month")  # fmt: skip


class Tier(reading.Data):
    name: str = Field(min_length=1)
    source: str = ""
    limit: tuple[Limit, ...] = Field(min_length=1)


class Price(reading.Data):
    """US dollars per million tokens."""

    model: str = Field(min_length=1)
    source: str = ""
    input_usd: float = Field(ge=0, le=10_000)
    cached_usd: float | None = Field(None, ge=0, le=10_000, description="As input where not given.")
    output_usd: float = Field(0.0, ge=0, le=10_000)

    def usd(self, input_tokens: float, cached_tokens: float, output_tokens: float) -> float:
        """`input_tokens` includes the cached ones."""
        cached_usd = self.input_usd if self.cached_usd is None else self.cached_usd
        return (
            (input_tokens - cached_tokens) * self.input_usd
            + cached_tokens * cached_usd
            + output_tokens * self.output_usd
        ) / 1e6


class LimitsProfile(reading.Data):
    """`profiles/limits/*.toml`. `limit` rows outside the tiers belong to all of them."""

    name: str = Field(min_length=1)
    description: str = Field(min_length=1)
    source: str = Field(min_length=8)
    vendor: str = Field("", description="Whose requests it applies to: a provider's name, or all.")
    default_tier: str = ""
    charge: ChargePolicy = "estimate"
    true_up: bool = Field(
        False, description="Whether the difference to the actual tokens is settled afterwards."
    )
    default_output_tokens: int = Field(
        16, ge=0, le=10**6, description="What a request without max_tokens is taken to ask for."
    )
    tier: tuple[Tier, ...] = ()
    limit: tuple[Limit, ...] = ()
    price: tuple[Price, ...] = ()

    @model_validator(mode="after")
    def _has_limits(self) -> Self:
        if not self.tier and not self.limit:
            raise ValueError("tier: a limits profile has [[tier]] or [[limit]] rows")
        names = [tier.name for tier in self.tier]
        if self.default_tier and self.default_tier not in names:
            raise ValueError(f"default_tier: there is no tier '{self.default_tier}'")
        return self

    def rows(self, tier: str = "") -> tuple[Limit, ...]:
        """Those of a tier, the default one unless named. Raises ConfigError."""
        wanted = tier or self.default_tier or (self.tier[0].name if self.tier else "")
        for one in self.tier:
            if one.name.lower() == wanted.lower():
                return one.limit + self.limit
        if wanted:
            known = ", ".join(one.name for one in self.tier) or "it has none"
            raise ConfigError(f"limits {self.name}: there is no tier '{wanted}'. Known: {known}.")
        return self.limit

    def price_of(self, model: str) -> Price | None:
        """The first row whose pattern fits."""
        for row in self.price:
            if fnmatch.fnmatchcase(model, row.model):
                return row
        return None


def limits_names() -> list[str]:
    return reading.names("limits")


def load_limits(spec: str) -> tuple[LimitsProfile, str]:
    """The profile that NAME[:TIER] or FILE.toml[:TIER] names, and the tier. Raises ConfigError."""
    name, tier = spec, ""
    before, colon, after = spec.rpartition(":")
    if colon and (before in limits_names() or before.endswith(".toml")):
        name, tier = before, after
    return reading.load(LimitsProfile, "limits", name, "limits"), tier
