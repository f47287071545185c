"""From measured streams to a hosted profile: what `Latency` would have to be, and how near it comes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.profiles.hosted_sample import Sample, Timing
from fakeai_proxy.profiles.latency import Latency, Ttft, interpolated
from fakeai_proxy.profiles.quantiles import quantiles_of

__all__ = ["Fit", "Timing", "fit_hosted", "sigma_of"]

#: A spread cannot be told from fewer.
STREAMS_MIN = 5
#: From so many streams on their quantiles say more than a log-normal.
QUANTILES_MIN = 40
#: Gaps below this are those of tokens that came in one piece.
_GAP_MIN_S = 1e-5
_SLOPES = 64
#: Lengths of prompts at which the TTFT is told, and streams that one takes.
_LENGTHS_MAX, _LENGTH_STREAMS = 8, 40
#: Quantiles that are written.
_TTFT_ROW, _GAP_ROW, _FACTOR_ROW, _STALL_ROW = 33, 65, 17, 9
#: The longest of the usual gaps and first tokens are not told.
_BEYOND = 0.002
#: A gap is a stall when it is so many times the median one, and longer than this.
_STALL_TIMES, _STALL_S = 10, 0.25
#: Rarer numbers of tokens in a read are counted with their neighbours.
_READ_SHARE = 0.002


class Fit(NamedTuple):
    """One model's row. Errors, as shares, are on streams that the fit did not use, which are `judged`:
    the median one of TTFT, and that of the speed of all together; None where there are none."""

    latency: Latency
    streams: int
    held_out: int
    ttft_error: float | None
    tpot_error: float | None
    judged: Sequence[Timing] = ()


def fit_hosted(timings: Iterable[Timing]) -> list[Fit]:
    """A row for each model with enough streams, the most measured last, because the last row is for
    models that none fits. Of many streams a sample is kept. Raises ConfigError."""
    samples: dict[str, Sample] = {}
    for timing in timings:
        samples.setdefault(timing.model, Sample()).add(timing)
    fits = [_fit(model, each) for model, each in samples.items() if each.seen >= STREAMS_MIN]
    if not fits:
        most = max((each.seen for each in samples.values()), default=0)
        raise ConfigError(
            f"there is too little to fit: {most} streams of one model, and a spread takes at least "
            f"{STREAMS_MIN}"
        )
    return sorted(fits, key=lambda fit: fit.streams)


def _fit(model: str, sample: Sample) -> Fit:
    timings = sample.kept
    used = [timing for timing in timings if not timing.held_out]
    judged = [timing for timing in timings if timing.held_out]
    if len(used) < STREAMS_MIN:
        used, judged = timings, []
    values = {"model": model, **_first_token(used), **_gaps(used), **_reads(used)}
    latency = Latency.model_validate(values)
    return Fit(latency, sample.seen, len(judged), *_errors(latency, judged), judged)


# --- the first token -------------------------------------------------------------------------------


def _first_token(used: Sequence[Timing]) -> dict[str, object]:
    if len(used) >= QUANTILES_MIN:
        return {"ttft": _ttft_rows(used)}
    slope_s = _slope(used)
    bases = [max(each.ttft_s - slope_s * each.prompt_tokens, 1e-4) for each in used]
    return {
        "ttft_p50_ms": round(median(bases) * 1000, 2),
        "ttft_sigma": round(sigma_of([math.log(base) for base in bases]), 3),
        "prompt_ms_per_token": round(slope_s * 1000, 4),
    }


def _ttft_rows(used: Sequence[Timing]) -> list[Ttft]:
    """Quantiles at the median lengths of groups of equal size, within which the trend of the medians
    is taken out."""
    ordered = sorted(used, key=lambda each: (each.prompt_tokens, each.id))
    shortest, longest = ordered[0].prompt_tokens, ordered[-1].prompt_tokens
    count = min(max(len(ordered) // _LENGTH_STREAMS, 1), _LENGTHS_MAX)
    if longest < 2 * max(shortest, 1):
        count = 1
    groups: dict[int, list[Timing]] = {}
    for k in range(count):
        part = ordered[k * len(ordered) // count : (k + 1) * len(ordered) // count]
        groups.setdefault(part[len(part) // 2].prompt_tokens, []).extend(part)
    trend = [(length, median(each.ttft_s for each in group)) for length, group in groups.items()]
    rows = []
    for length, centre_s in trend:
        moved = [
            max(each.ttft_s - interpolated(trend, each.prompt_tokens) + centre_s, 0.0)
            for each in groups[length]
        ]
        ms = tuple(round(value * 1000, 2) for value in quantiles_of(moved, _TTFT_ROW, _BEYOND))
        rows.append(Ttft(prompt_tokens=length, ms=ms))
    return rows


def _slope(timings: Sequence[Timing]) -> float:
    """Seconds that a prompt token adds to the first one's time: that which leaves the least
    relative error. Zero where all prompts are about as long."""
    lengths = [timing.prompt_tokens for timing in timings]
    if max(lengths) < 2 * max(min(lengths), 1):
        return 0.0
    steepest = min(each.ttft_s / each.prompt_tokens for each in timings if each.prompt_tokens)

    def error(slope_s: float) -> float:
        base = median([each.ttft_s - slope_s * each.prompt_tokens for each in timings])
        return sum(
            abs(base + slope_s * each.prompt_tokens - each.ttft_s) / each.ttft_s for each in timings
        )

    return min((steepest * k / _SLOPES for k in range(_SLOPES)), key=error)


# --- what comes after it ---------------------------------------------------------------------------


def _gaps(used: Sequence[Timing]) -> dict[str, object]:
    every = [gap_s for each in used for gap_s in each.gaps_s]
    if not every:
        return {"itl_p50_ms": 0.0}
    stall_s = max(_STALL_TIMES * median(every), _STALL_S)
    paces = _paces(used, stall_s)
    middle = math.exp(median(map(math.log, paces.values()))) if paces else 1.0
    factors = {stream: pace / middle for stream, pace in paces.items()}
    usual: list[float] = []
    stalls: list[float] = []
    for each in used:
        factor = factors.get(each.id, 1.0)
        for gap_s in each.gaps_s:
            (stalls if gap_s >= stall_s else usual).append(gap_s / factor * 1000)
    if len(used) < QUANTILES_MIN:
        logs = [math.log(max(gap_ms, _GAP_MIN_S * 1000)) for gap_ms in usual or stalls]
        found: dict[str, object] = {
            "itl_p50_ms": round(math.exp(median(logs)), 3),
            "itl_sigma": round(sigma_of(logs), 3),
            "stream_sigma": round(sigma_of([math.log(factor) for factor in factors.values()]), 3),
        }
    else:
        found = {"gap_ms": _row(usual, _GAP_ROW, beyond=_BEYOND)}
        found["stream_factors"] = _row(factors.values() or [1.0], _FACTOR_ROW)
    if stalls and usual:
        found["stall_share"] = round(len(stalls) / len(every), 6)
        found["stall_ms"] = _row(stalls, _STALL_ROW)
    return found


def _row(values: Iterable[float], count: int, beyond: float = 0.0) -> tuple[float, ...]:
    return tuple(round(value, 4) for value in quantiles_of(values, count, beyond))


def _paces(used: Sequence[Timing], stall_s: float) -> dict[str, float]:
    """The usual gap of each stream, in seconds: drawn towards that of all by the share of its spread
    that the chance of so few gaps explains."""
    logs: dict[str, tuple[float, float]] = {}
    for each in used:
        found = [math.log(max(gap_s, _GAP_MIN_S)) for gap_s in each.gaps_s if gap_s < stall_s]
        if found:
            mean = sum(found) / len(found)
            spread = sum((one - mean) ** 2 for one in found) / max(len(found) - 1, 1)
            logs[each.id] = mean, spread / len(found)
    if not logs:
        return {}
    centre = sum(mean for mean, _ in logs.values()) / len(logs)
    seen = sum((mean - centre) ** 2 for mean, _ in logs.values()) / len(logs)
    by_chance = sum(chance for _, chance in logs.values()) / len(logs)
    share = math.sqrt(max(1 - by_chance / seen, 0.0)) if seen > 0 else 0.0
    return {
        stream: math.exp(centre + share * (mean - centre)) for stream, (mean, _) in logs.items()
    }


def _reads(used: Sequence[Timing]) -> dict[str, object]:
    counts = Counter(tokens for each in used for tokens in each.tokens)
    whole = sum(counts.values())
    if not whole or set(counts) == {1}:
        return {}
    shares: dict[int, float] = {}
    gathered, weight = 0, 0.0
    for tokens, count in sorted(counts.items()):
        gathered, weight = gathered + count, weight + tokens * count
        if gathered >= _READ_SHARE * whole or tokens == max(counts):
            typical = max(round(weight / gathered), 1)
            shares[typical] = round(shares.get(typical, 0.0) + gathered / whole, 4)
            gathered, weight = 0, 0.0
    return {"read_tokens": shares}


# --- how near it comes -----------------------------------------------------------------------------


def sigma_of(logs: Sequence[float]) -> float:
    """Half the distance between the 16th and the 84th percentile: outliers do not move it."""
    if len(logs) < 2:
        return 0.0
    ordered = sorted(logs)
    low, high = (ordered[round(share * (len(ordered) - 1))] for share in (0.159, 0.841))
    return min((high - low) / 2, 3.0)


def _errors(latency: Latency, judged: Sequence[Timing]) -> tuple[float | None, float | None]:
    if not judged:
        return None, None
    ttft = median([
        abs(latency.ttft_ms(0.5, each.prompt_tokens) / 1000 - each.ttft_s) / max(each.ttft_s, 1e-4)
        for each in judged
    ])  # fmt: skip
    seconds = sum(gap_s for each in judged for gap_s in each.gaps_s)
    tokens = sum(sum(each.tokens[1:]) or len(each.gaps_s) for each in judged)
    if not seconds or not tokens:
        return ttft, None
    return ttft, abs(tokens / seconds / latency.tokens_per_s - 1)
