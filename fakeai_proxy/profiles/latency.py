"""How long one hosted model takes: by log-normals around medians, or by quantiles that were measured."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import cached_property
from random import Random
from statistics import NormalDist
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fakeai_proxy.profiles.quantiles import quantile_at, quantiles_of

#: Quantiles of the token gap, walked in a random order: a draw costs an addition, not a logarithm.
_QUANTILES = 1024
#: Of the distribution over all streams, for those who ask.
_SHOWN_QUANTILES = 2001

#: Beyond these a number is a slip of the unit.
_TTFT_MS_MAX = 600_000
_ITL_MS_MAX = 60_000
_SIGMA_MAX = 3
_FACTOR_MAX = 1000
_READ_TOKENS_MAX = 100_000
#: A prompt shorter than those measured costs at least this share of the shortest's time.
_TTFT_SHARE_MIN = 0.2

_Ms = Annotated[float, Field(ge=0, le=_TTFT_MS_MAX)]
_GapMs = Annotated[float, Field(ge=0, le=_TTFT_MS_MAX)]
_Factor = Annotated[float, Field(gt=0, le=_FACTOR_MAX)]
_Tokens = Annotated[int, Field(ge=1, le=_READ_TOKENS_MAX)]


class Ttft(BaseModel):
    """Quantiles of the time to the first token at equal steps, at this length of the prompt."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False)

    prompt_tokens: int = Field(ge=0)
    ms: tuple[_Ms, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _rises(self) -> Self:
        _check_rising("ms", self.ms)
        return self


class Latency(BaseModel):
    """How a hosted model answers.

    By log-normals: a stream's first token comes at `ttft_p50_ms` (times a factor of `ttft_sigma`) plus
    `prompt_ms_per_token` for each prompt token; the gaps between tokens are `itl_p50_ms` times one
    factor for the stream (`stream_sigma`) and one for the gap (`itl_sigma`).

    By quantiles at equal steps: `ttft` at some lengths of the prompt, between which it is interpolated;
    `gap_ms` within a stream of median pace, of which `stall_share` are of `stall_ms` instead;
    `stream_factors` of the streams' paces. `read_tokens` are the shares of the numbers of tokens that
    come at once; a gap is the time from one such read to the next.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False)

    model: str = Field("*", min_length=1, description="Pattern of the model names it applies to.")
    ttft_p50_ms: float = Field(0.0, ge=0, le=_TTFT_MS_MAX)
    ttft_sigma: float = Field(0.0, ge=0, le=_SIGMA_MAX)
    prompt_ms_per_token: float = Field(0.0, ge=0, le=1000)
    itl_p50_ms: float = Field(0.0, ge=0, le=_ITL_MS_MAX)
    itl_sigma: float = Field(0.0, ge=0, le=_SIGMA_MAX)
    stream_sigma: float = Field(0.0, ge=0, le=_SIGMA_MAX)
    ttft: tuple[Ttft, ...] = ()
    gap_ms: tuple[_GapMs, ...] = ()
    stall_share: float = Field(0.0, ge=0, lt=1)
    stall_ms: tuple[_GapMs, ...] = ()
    stream_factors: tuple[_Factor, ...] = ()
    read_tokens: dict[_Tokens, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _says_each_thing_once(self) -> Self:
        given = self.model_fields_set
        for measured, needed, others in _EITHER:
            if getattr(self, measured):
                twice = sorted(given & {*needed, *others})
                if twice:
                    raise ValueError(f"{measured} is given, so {', '.join(twice)} cannot be")
            elif missing := [name for name in needed if name not in given]:
                raise ValueError(f"{missing[0]}: is required, unless there is {measured}")
        for name in ("gap_ms", "stall_ms", "stream_factors"):
            _check_rising(name, getattr(self, name))
        lengths = [row.prompt_tokens for row in self.ttft]
        if lengths != sorted(set(lengths)):
            raise ValueError("ttft: prompt_tokens must rise from row to row")
        if bool(self.stall_share) != bool(self.stall_ms):
            raise ValueError("stall_share and stall_ms belong together")
        if self.read_tokens and not 0.99 < sum(self.read_tokens.values()) < 1.01:
            raise ValueError("read_tokens: the shares must add up to 1")
        return self

    # --- figures -----------------------------------------------------------------------------------

    def ttft_ms(self, share: float, prompt_tokens: int = 0) -> float:
        """The quantile `share` of the time to the first token."""
        if self.ttft:
            return _between(self.ttft, share, prompt_tokens)
        factor = math.exp(self.ttft_sigma * NormalDist().inv_cdf(share))
        return self.ttft_p50_ms * factor + self.prompt_ms_per_token * prompt_tokens

    def itl_ms(self, share: float) -> float:
        """The quantile `share` of the gap between two reads, over all streams."""
        if self.gap_ms or self.stream_factors:
            return quantile_at(self._all_gaps_ms, share)
        sigma = math.hypot(self.itl_sigma, self.stream_sigma)
        return self.itl_p50_ms * math.exp(sigma * NormalDist().inv_cdf(share))

    @property
    def tokens_per_s(self) -> float:
        """Of the median stream."""
        mean_gap_s = sum(self.gaps_s) / _QUANTILES
        if not self.gap_ms:
            mean_gap_s = self.itl_p50_ms / 1000 * math.exp(self.itl_sigma**2 / 2)
        return self.tokens_per_read / mean_gap_s if mean_gap_s else math.inf

    @property
    def tokens_per_read(self) -> float:
        return sum(count * share for count, share in self.read_tokens.items()) or 1.0

    @cached_property
    def _all_gaps_ms(self) -> tuple[float, ...]:
        factors = self.stream_factors or [
            math.exp(self.stream_sigma * NormalDist().inv_cdf((k + 0.5) / 32)) for k in range(32)
        ]
        some_s = self.gaps_s[:: _QUANTILES // 256]
        every = [gap_s * factor * 1000 for gap_s in some_s for factor in factors]
        return quantiles_of(every, _SHOWN_QUANTILES)

    # --- draws -------------------------------------------------------------------------------------

    @cached_property
    def gaps_s(self) -> list[float]:
        stalls = round(self.stall_share * _QUANTILES)
        usual = _QUANTILES - stalls
        return [self._gap_ms((k + 0.5) / usual) / 1000 for k in range(usual)] + [
            quantile_at(self.stall_ms, (k + 0.5) / stalls) / 1000 for k in range(stalls)
        ]

    def _gap_ms(self, share: float) -> float:
        if self.gap_ms:
            return quantile_at(self.gap_ms, share)
        return self.itl_p50_ms * math.exp(self.itl_sigma * NormalDist().inv_cdf(share))

    @cached_property
    def reads(self) -> list[int]:
        """Numbers of tokens as they are walked; empty where each comes alone."""
        if not self.read_tokens or set(self.read_tokens) == {1}:
            return []
        counts: list[int] = []
        reached = 0.0
        for count, share in sorted(self.read_tokens.items()):
            reached += share
            counts += [count] * (round(min(reached, 1) * _QUANTILES) - len(counts))
        return counts + [counts[-1]] * (_QUANTILES - len(counts))

    def draw(self, rng: Random, prompt_tokens: int) -> Gaps:
        if self.ttft:
            ttft_ms = _between(self.ttft, rng.random(), prompt_tokens)
        else:
            ttft_ms = self.ttft_p50_ms * rng.lognormvariate(0.0, self.ttft_sigma)
            ttft_ms += self.prompt_ms_per_token * prompt_tokens
        if self.stream_factors:
            factor = quantile_at(self.stream_factors, rng.random())
        else:
            factor = rng.lognormvariate(0.0, self.stream_sigma)
        walk = _walk(rng)
        return Gaps(
            ttft_ms / 1000,
            factor,
            self.gaps_s,
            *walk,
            reads=self.reads,
            reads_walk=_walk(rng) if self.reads else (0, 1),
        )


#: What is measured, and what else says the same: what is needed without it, and what is not.
_EITHER = (
    ("ttft", ("ttft_p50_ms", "ttft_sigma"), ("prompt_ms_per_token",)),
    ("gap_ms", ("itl_p50_ms",), ("itl_sigma",)),
    ("stream_factors", (), ("stream_sigma",)),
)


def _check_rising(name: str, row: Sequence[float]) -> None:
    if row and (len(row) < 2 or list(row) != sorted(row)):
        raise ValueError(f"{name}: quantiles are at least two, the smaller first")


def _between(rows: Sequence[Ttft], share: float, prompt_tokens: int) -> float:
    return interpolated(
        [(row.prompt_tokens, quantile_at(row.ms, share)) for row in rows], prompt_tokens
    )


def interpolated(points: Sequence[tuple[float, float]], at: float) -> float:
    """On the line through the points; beyond its ends it goes on, but never the other way."""
    if len(points) == 1:
        return points[0][1]
    place = bisect_right(points, at, key=lambda point: point[0])
    place = min(max(place, 1), len(points) - 1)
    (left, low), (right, high) = points[place - 1 : place + 1]
    slope = (high - low) / (right - left)
    if at < left:
        return max(low + (at - left) * max(slope, 0.0), low * _TTFT_SHARE_MIN)
    return high + (at - right) * (max(slope, 0.0) if at > right else slope)


def _walk(rng: Random) -> tuple[int, int]:
    """A start and an odd stride, which visits every quantile once before any comes again."""
    return rng.randrange(_QUANTILES), rng.randrange(1, 512) * 2 + 1


class Gaps:
    """The token times of one stream."""

    __slots__ = ("_at_s", "_factor", "_gaps_s", "_place", "_reads", "_reads_walk", "_stride",
                 "_tokens")  # fmt: skip

    def __init__(
        self,
        ttft_s: float,
        factor: float,
        gaps_s: list[float],
        start: int,
        stride: int,
        reads: list[int] | None = None,
        reads_walk: tuple[int, int] = (0, 1),
    ) -> None:
        self._reads, self._reads_walk = reads, reads_walk
        self._at_s, self._tokens = ttft_s, reads[reads_walk[0]] if reads else 1
        self._factor, self._gaps_s, self._place, self._stride = factor, gaps_s, start, stride

    def offset_s(self, tokens: int) -> float:
        """Seconds from arrival to the `tokens`-th token; asked with rising numbers. The first
        token's instant is also that of everything before it."""
        return self.offsets_s((tokens,))[0]

    def offsets_s(self, tokens_each: Iterable[int]) -> list[float]:
        """The same for a row of chunks worth so many tokens each, in one go."""
        if self._reads:
            return self._in_reads(self._reads, tokens_each)
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

    def _in_reads(self, reads: list[int], tokens_each: Iterable[int]) -> list[float]:
        number, step = self._reads_walk
        offsets, total = [], 0
        for tokens in tokens_each:
            total += tokens
            while self._tokens < total:
                number = (number + step) % _QUANTILES
                self._tokens += reads[number]
                self._place = (self._place + self._stride) % _QUANTILES
                self._at_s += self._gaps_s[self._place] * self._factor
            offsets.append(self._at_s)
        self._reads_walk = number, step
        return offsets
