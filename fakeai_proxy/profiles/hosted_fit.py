"""From measured streams to a hosted profile: what `Latency` would have to be."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple
from zlib import crc32

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.profiles.hosted import Latency

#: Of the streams, one in so many is kept to judge the fit by.
HELD_OUT = 5
#: A spread cannot be told from fewer.
STREAMS_MIN = 5
#: Gaps below this are those of tokens that came in one piece.
_GAP_MIN_S = 1e-5
_SLOPES = 64


class Timing(NamedTuple):
    """One measured stream: seconds to its first token, then from each token to the next."""

    id: str
    model: str
    prompt_tokens: int
    ttft_s: float
    gaps_s: tuple[float, ...]

    @property
    def held_out(self) -> bool:
        return crc32(self.id.encode()) % HELD_OUT == 0


class Fit(NamedTuple):
    """One model's row. Errors are medians over streams that the fit did not use, as shares; None
    where there are none."""

    latency: Latency
    streams: int
    held_out: int
    ttft_error: float | None
    tpot_error: float | None


def fit_hosted(timings: Iterable[Timing]) -> list[Fit]:
    """A row for each model with enough streams, the most measured last, because the last row is for
    models that none fits. Raises ConfigError."""
    by_model: defaultdict[str, list[Timing]] = defaultdict(list)
    for timing in timings:
        by_model[timing.model].append(timing)
    fits = [_fit(model, found) for model, found in by_model.items() if len(found) >= STREAMS_MIN]
    if not fits:
        most = max(map(len, by_model.values()), default=0)
        raise ConfigError(
            f"there is too little to fit: {most} streams of one model, and a spread takes at least "
            f"{STREAMS_MIN}"
        )
    return sorted(fits, key=lambda fit: fit.streams)


def _fit(model: str, timings: Sequence[Timing]) -> Fit:
    used = [timing for timing in timings if not timing.held_out]
    judged = [timing for timing in timings if timing.held_out]
    if len(used) < STREAMS_MIN:
        used, judged = list(timings), []
    slope_s = _slope(used)
    bases = [max(each.ttft_s - slope_s * each.prompt_tokens, 1e-4) for each in used]
    paces = [pace for each in used if (pace := _pace(each)) is not None]
    within = [
        math.log(max(gap_s, _GAP_MIN_S) / pace)
        for each in used
        if (pace := _pace(each)) is not None
        for gap_s in each.gaps_s
    ]
    latency = Latency(
        model=model,
        ttft_p50_ms=round(median(bases) * 1000, 2),
        ttft_sigma=round(_sigma([math.log(base) for base in bases]), 3),
        prompt_ms_per_token=round(slope_s * 1000, 4),
        itl_p50_ms=round(median(paces) * 1000, 3) if paces else 0.0,
        itl_sigma=round(_sigma(within), 3),
        stream_sigma=round(_sigma([math.log(pace) for pace in paces]), 3),
    )
    return Fit(latency, len(timings), len(judged), *_errors(latency, judged))


def _pace(timing: Timing) -> float | None:
    """Seconds a token, of one stream: the mean, because tokens may come several at a time."""
    if not timing.gaps_s:
        return None
    return max(sum(timing.gaps_s) / len(timing.gaps_s), _GAP_MIN_S)


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


def _sigma(logs: Sequence[float]) -> float:
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
        abs(latency.ttft_ms(0.5, each.prompt_tokens) / 1000 - each.ttft_s) / each.ttft_s
        for each in judged
    ])  # fmt: skip
    mean_s = 1 / latency.tokens_per_s
    paces = [pace for each in judged if (pace := _pace(each)) is not None]
    tpot = median([abs(mean_s - pace) / pace for pace in paces]) if paces else None
    return ttft, tpot


def hosted_toml(fits: Sequence[Fit], description: str, source: str) -> str:
    """A profile file of the rows."""
    lines = [
        f"description = {_quoted(description)}",
        f"source = {_quoted(source)}",
        "illustrative = false",
    ]
    for place, fit in enumerate(fits):
        values = fit.latency.model_dump()
        values["model"] = "*" if place == len(fits) - 1 else values["model"]
        lines += ["", f"# {fit.latency.model}: {fit.streams} streams", "[[latency]]"]
        lines += [
            f"{key} = {_quoted(value) if isinstance(value, str) else value}"
            for key, value in values.items()
        ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'
