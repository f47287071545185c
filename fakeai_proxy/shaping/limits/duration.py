"""How vendors write spans of time and instants. What one is told to wait is rounded up: who waits so
long has waited long enough."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import lru_cache


def whole_ms(seconds: float) -> int:
    return math.ceil(seconds * 1000 - 1e-3)


def whole_s(seconds: float) -> int:
    return math.ceil(seconds - 1e-6)


@lru_cache(maxsize=4096)
def _go(ms: int) -> str:
    if ms < 1000:
        return f"{ms}ms" if ms else "0s"
    seconds, rest_ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{rest_ms:03d}".rstrip("0") if rest_ms else ""
    text = f"{seconds}{fraction}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def go_duration(seconds: float) -> str:
    """As Go prints it, to the millisecond: 174ms, 3.89s, 6m0s, 1h12m0s."""
    return _go(whole_ms(seconds))


def nearest_go_duration(seconds: float) -> bytes:
    """As in headers, where 60 s / 3,500 is 17ms."""
    ms = round(seconds * 1000)
    if 0 < ms < 1000:
        return b"%dms" % ms
    if 1000 <= ms < 60_000 and ms % 10:
        return b"%d.%03ds" % divmod(ms, 1000)
    return _go(ms).encode()


@lru_cache(maxsize=256)
def _rfc3339(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc3339(epoch_s: float) -> str:
    """To the second, in UTC."""
    return _rfc3339(whole_s(epoch_s))


def month_end(epoch_s: float) -> float:
    """When the month of an instant is over, in UTC."""
    at = datetime.fromtimestamp(epoch_s, UTC)
    year, month = (at.year + 1, 1) if at.month == 12 else (at.year, at.month + 1)
    return datetime(year, month, 1, tzinfo=UTC).timestamp()
