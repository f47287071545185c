"""What the rows of a hosted profile amount to: quantiles and histograms."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from fakeai_proxy.cli.columns import Row, columns
from fakeai_proxy.profiles import HostedProfile, Latency

_SHARES = (0.5, 0.9, 0.99)
#: A histogram has this many bins between these quantiles, and bars of this length.
_BINS, _FROM, _TO, _BAR_CHARS = 8, 0.005, 0.995, 40


def hosted_figures(profile: HostedProfile) -> Iterator[str]:
    for row in profile.latency:
        yield ""
        yield f"# {row.model}: {_speed(row)}"
        for line in columns(_quantiles(row)):
            yield f"#   {line}"
        for title, quantile in (("TTFT", row.ttft_ms), ("gaps", row.itl_ms)):
            for line in _histogram(title, quantile):
                yield f"#   {line}"


def _speed(row: Latency) -> str:
    if not row.itl_ms(0.5):
        return "comes whole"
    return f"{row.tokens_per_s:.0f} tokens/s"


def _quantiles(row: Latency) -> list[Row]:
    return [
        ("", *(f"P{share * 100:g}" for share in _SHARES)),
        ("TTFT, ms", *(f"{row.ttft_ms(share):.0f}" for share in _SHARES)),
        ("gap, ms", *(f"{row.itl_ms(share):.1f}" for share in _SHARES)),
    ]


def _histogram(title: str, quantile: Callable[[float], float]) -> Iterator[str]:
    """Bars of the share of draws in bins of equal width; nothing where all draws are equal."""
    low, high = quantile(_FROM), quantile(_TO)
    if high - low < 1e-9:
        return
    counts = [0] * _BINS
    for k in range(1000):
        value = quantile(_FROM + (_TO - _FROM) * (k + 0.5) / 1000)
        counts[min(int((value - low) / (high - low) * _BINS), _BINS - 1)] += 1
    for place, count in enumerate(counts):
        start = low + (high - low) * place / _BINS
        bar = "#" * math.ceil(count / max(counts) * _BAR_CHARS)
        yield f"{title} {start:8.1f} ms and up  {bar}"
