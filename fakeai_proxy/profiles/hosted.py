"""Hosted back ends: how long they take, as distributions. What stands behind them is unknown."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Iterable
from functools import cached_property
from random import Random
from statistics import NormalDist

from pydantic import BaseModel, ConfigDict, Field

from fakeai_proxy.profiles import reading

#: Quantiles of the token gap, walked in a random order: a draw costs an addition, not a logarithm.
_QUANTILES = 1024

#: Beyond these a number is a slip of the unit.
_TTFT_MS_MAX = 600_000
_ITL_MS_MAX = 60_000
_SIGMA_MAX = 3


class Latency(BaseModel):
    """How a hosted model answers: log-normal around medians.

    A stream's first token comes at `ttft_p50_ms` (times a log-normal factor of `ttft_sigma`) plus
    `prompt_ms_per_token` for each prompt token; the gaps between tokens are `itl_p50_ms` times one
    factor for the stream (`stream_sigma`) and one for the gap (`itl_sigma`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: str = Field("*", min_length=1, description="Pattern of the model names it applies to.")
    ttft_p50_ms: float = Field(ge=0, le=_TTFT_MS_MAX)
    ttft_sigma: float = Field(ge=0, le=_SIGMA_MAX)
    prompt_ms_per_token: float = Field(0.0, ge=0, le=1000)
    itl_p50_ms: float = Field(ge=0, le=_ITL_MS_MAX)
    itl_sigma: float = Field(0.0, ge=0, le=_SIGMA_MAX)
    stream_sigma: float = Field(0.0, ge=0, le=_SIGMA_MAX)

    def ttft_ms(self, share: float, prompt_tokens: int = 0) -> float:
        """The quantile `share` of the time to the first token."""
        factor = math.exp(self.ttft_sigma * NormalDist().inv_cdf(share))
        return self.ttft_p50_ms * factor + self.prompt_ms_per_token * prompt_tokens

    def itl_ms(self, share: float) -> float:
        """The quantile `share` of the gap between two tokens, over all streams."""
        sigma = math.hypot(self.itl_sigma, self.stream_sigma)
        return self.itl_p50_ms * math.exp(sigma * NormalDist().inv_cdf(share))

    @property
    def tokens_per_s(self) -> float:
        """Of the median stream."""
        mean_gap_ms = self.itl_p50_ms * math.exp(self.itl_sigma**2 / 2)
        return 1000 / mean_gap_ms if mean_gap_ms else math.inf

    @cached_property
    def gaps_s(self) -> list[float]:
        normal = NormalDist()
        return [
            self.itl_p50_ms
            / 1000
            * math.exp(self.itl_sigma * normal.inv_cdf((k + 0.5) / _QUANTILES))
            for k in range(_QUANTILES)
        ]

    def draw(self, rng: Random, prompt_tokens: int) -> Gaps:
        ttft_ms = self.ttft_p50_ms * rng.lognormvariate(0.0, self.ttft_sigma)
        ttft_ms += self.prompt_ms_per_token * prompt_tokens
        factor = rng.lognormvariate(0.0, self.stream_sigma)
        # An odd stride visits every quantile once before any comes again.
        return Gaps(
            ttft_ms / 1000,
            factor,
            self.gaps_s,
            rng.randrange(_QUANTILES),
            rng.randrange(1, 512) * 2 + 1,
        )


class Gaps:
    """The token times of one stream."""

    __slots__ = ("_at_s", "_factor", "_gaps_s", "_place", "_stride", "_tokens")

    def __init__(
        self, ttft_s: float, factor: float, gaps_s: list[float], start: int, stride: int
    ) -> None:
        self._at_s, self._tokens = ttft_s, 1
        self._factor, self._gaps_s, self._place, self._stride = factor, gaps_s, start, stride

    def offset_s(self, tokens: int) -> float:
        """Seconds from arrival to the `tokens`-th token; asked with rising numbers. The first
        token's instant is also that of everything before it."""
        return self.offsets_s((tokens,))[0]

    def offsets_s(self, tokens_each: Iterable[int]) -> list[float]:
        """The same for a row of chunks worth so many tokens each, in one go."""
        gaps_s, factor, stride = self._gaps_s, self._factor, self._stride
        at_s, place, reached = self._at_s, self._place, self._tokens
        offsets, total = [], 0
        for tokens in tokens_each:
            total += tokens
            while reached < total:
                reached += 1
                place = (place + stride) % _QUANTILES
                at_s += gaps_s[place] * factor
            offsets.append(at_s)
        self._at_s, self._place, self._tokens = at_s, place, reached
        return offsets


class HostedProfile(BaseModel):
    """`profiles/hosted/*.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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
