"""A fitted row held against measured streams that the fit did not use: the two-sample test."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

from fakeai_proxy.profiles.hosted_fit import Fit
from fakeai_proxy.profiles.quantiles import ks_distance, ks_limit, quantile_at

SHARES = (0.5, 0.9, 0.99)
#: What chance does not explain, but no load test notices either.
NEAR_ENOUGH = 0.05
#: For each stream that was measured: chance of ours shall not hide what differs.
_DRAWS = 4


class Check(NamedTuple):
    """Quantiles of `SHARES` of what was measured and of what the row makes of the same prompts, and the
    Kolmogorov-Smirnov distance of the two samples. It passes up to `limit`: the 1 % critical value of
    as many streams, because the gaps of a stream belong together, or `NEAR_ENOUGH`."""

    model: str
    what: str
    measured: tuple[float, ...]
    fitted: tuple[float, ...]
    distance: float
    limit: float

    @property
    def passes(self) -> bool:
        return self.distance <= self.limit


class Samples(NamedTuple):
    """Of one side: TTFT in ms, gaps between reads in ms, tokens a read."""

    ttft_ms: array[float]
    gap_ms: array[float]
    read_tokens: array[float]

    @classmethod
    def empty(cls) -> Samples:
        return cls(array("d"), array("d"), array("d"))

    def add(self, ttft_s: float, gaps_s: Sequence[float], tokens: Sequence[int]) -> None:
        self.ttft_ms.append(ttft_s * 1000)
        self.gap_ms.extend([gap_s * 1000 for gap_s in gaps_s])
        # The last read has what is left, on either side.
        self.read_tokens.extend(tokens[:-1] or tokens)


#: What is compared, as it is named to people.
_WHAT = (("ttft_ms", "TTFT, ms"), ("gap_ms", "gap, ms"), ("read_tokens", "tokens a read"))


def samples_of(fit: Fit, roll: Callable[[str], Random]) -> tuple[Samples, Samples]:
    """What was measured, and draws for the same prompts and as many tokens; `roll` gives a generator
    for each stream."""
    measured, drawn = Samples.empty(), Samples.empty()
    for each in fit.judged:
        tokens = each.tokens or [1] * (len(each.gaps_s) + 1)
        measured.add(each.ttft_s, each.gaps_s, tokens)
        for number in range(_DRAWS):
            gaps = fit.latency.draw(roll(f"{number} {each.id}"), each.prompt_tokens)
            offsets = gaps.offsets_s([1] * sum(tokens))
            drawn.add(offsets[0], *reads_of(offsets))
    return measured, drawn


def reads_of(offsets_s: Sequence[float], same_s: float = 0.0) -> tuple[list[float], list[int]]:
    """Gaps between reads and tokens of each, of instants of single tokens; those that are apart by no
    more than `same_s` came in one read."""
    gaps, tokens = [], [1]
    last = offsets_s[0]
    for at_s in offsets_s[1:]:
        if at_s - last <= same_s:
            tokens[-1] += 1
        else:
            gaps.append(at_s - last)
            tokens.append(1)
            last = at_s
    return gaps, tokens


def check(model: str, measured: Samples, fitted: Samples) -> list[Check]:
    """A row for each thing that was measured."""
    found = []
    for name, what in _WHAT:
        one, other = sorted(getattr(measured, name)), sorted(getattr(fitted, name))
        if not one or not other:
            continue
        was, became = (tuple(quantile_at(side, share) for share in SHARES) for side in (one, other))
        limit = max(ks_limit(len(measured.ttft_ms), len(fitted.ttft_ms)), NEAR_ENOUGH)
        found.append(Check(model, what, was, became, ks_distance(one, other), limit))
    return found
