"""Profiles: what back ends are like, as data in `profiles/`. Every number has a unit in its name
and every profile a source; one without does not load.
"""

from __future__ import annotations

import fnmatch
import math
import tomllib
from functools import cached_property
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from random import Random
from statistics import NormalDist

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fakeai_proxy.errors import ConfigError

#: Quantiles of the token gap, walked in a random order: a draw costs an addition, not a logarithm.
_QUANTILES = 1024


class Latency(BaseModel):
    """How a hosted model answers: log-normal around medians.

    A stream's first token comes at `ttft_p50_ms` (times a log-normal factor of `ttft_sigma`) plus
    `prompt_ms_per_token` for each prompt token; the gaps between tokens are `itl_p50_ms` times one
    factor for the stream (`stream_sigma`) and one for the gap (`itl_sigma`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field("*", description="Pattern of the model names it applies to.")
    ttft_p50_ms: float = Field(ge=0)
    ttft_sigma: float = Field(ge=0, le=3)
    prompt_ms_per_token: float = Field(0.0, ge=0)
    itl_p50_ms: float = Field(ge=0)
    itl_sigma: float = Field(0.0, ge=0, le=3)
    stream_sigma: float = Field(0.0, ge=0, le=3)

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
        while self._tokens < tokens:
            self._tokens += 1
            self._place = (self._place + self._stride) % _QUANTILES
            self._at_s += self._gaps_s[self._place] * self._factor
        return self._at_s


class HostedProfile(BaseModel):
    """`profiles/hosted/*.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
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


def shipped(folder: str) -> Traversable:
    """`profiles` or `cassettes`, in the wheel or in the checkout."""
    packed = resources.files("fakeai_proxy") / "_shipped" / folder
    return packed if packed.is_dir() else Path(__file__).resolve().parent.parent / folder


def hosted_names() -> list[str]:
    return sorted(
        entry.name.removesuffix(".toml") for entry in (shipped("profiles") / "hosted").iterdir()
        if entry.name.endswith(".toml")
    )  # fmt: skip


def load_hosted(name: str) -> HostedProfile | None:
    """The profile of that name or file; None for `none`. Raises ConfigError."""
    if name == "none":
        return None
    if name in hosted_names():
        text = (shipped("profiles") / "hosted" / f"{name}.toml").read_text("utf-8")
    elif Path(name).is_file():
        text = Path(name).read_text("utf-8")
    else:
        raise ConfigError(
            f"profile: there is no '{name}'. Known: {', '.join(hosted_names())}, none, or a TOML file."
        )
    try:
        return HostedProfile.model_validate({"name": Path(name).stem, **tomllib.loads(text)})
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"profile {name}: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"profile {name}: {where}: {first['msg']}") from None
