"""How the sender stands in the limits, from the headers that tell it, as `rate_limits.updated` does."""

from __future__ import annotations

import re
from typing import Any

from fakeai_proxy.exchange import Headers, header

_SPAN = re.compile(r"([\d.]+)(ms|h|m|s)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def rate_limits(headers: Headers) -> list[dict[str, Any]]:
    """Empty where nothing is limited."""
    found = []
    for name in ("requests", "tokens"):
        limit, remaining, reset = [
            (header(headers, f"x-ratelimit-{what}-{name}".encode()) or b"").decode("latin-1")
            for what in ("limit", "remaining", "reset")
        ]
        if limit.isdigit() and remaining.isdigit():
            found.append(
                {
                    "name": name,
                    "limit": int(limit),
                    "remaining": int(remaining),
                    "reset_seconds": _seconds(reset),
                }
            )
    return found


def _seconds(span: str) -> float:
    """Of a Go duration, 1m6.4s; of a bare number, too."""
    total = sum([float(number) * _UNIT_S[unit] for number, unit in _SPAN.findall(span)])
    return round(total or (float(span) if span.isdigit() else 0.0), 3)
