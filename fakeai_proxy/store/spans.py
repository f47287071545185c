"""Which counts of minutes, hours and days make up a stretch of time."""

from __future__ import annotations

from fakeai_proxy.store.encoding import MINUTE_S

#: What is counted at once, so that long stretches are few rows. Each divides the next.
SPANS_S = (MINUTE_S, 3600, 86_400)

#: (length of a span, from, until before), in seconds.
Range = tuple[int, int, int]


def covering(start_at: int, end_at: int, bucket_s: int) -> list[Range]:
    """The longest spans that lie within a bucket each, in order; whole minutes."""
    start, end = start_at // MINUTE_S * MINUTE_S, -(-end_at // MINUTE_S) * MINUTE_S
    return _covering(start, end, [span for span in SPANS_S if bucket_s % span == 0])


def _covering(start: int, end: int, spans: list[int]) -> list[Range]:
    if start >= end or not spans:
        return []
    *shorter, longest = spans
    first, last = -(-start // longest) * longest, end // longest * longest
    if first >= last:
        return _covering(start, end, shorter)
    inner = [(longest, first, last)]
    return _covering(start, first, shorter) + inner + _covering(last, end, shorter)
