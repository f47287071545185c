"""Spans of time and times of day as people write them: `90s`, `1m30s`, `250ms`, `2h`; `12:00`."""

from __future__ import annotations

import re
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[smhd])")
_TIME_OF_DAY = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?")
#: Beyond this a number is a slip of the unit.
_SPAN_S_MAX = 366 * 86_400.0


def span_s(value: Any) -> Any:
    """Seconds; what is no text is left to the shape."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text).strip():
        raise ValueError("a span is a number of seconds or a text such as 90s, 1m30s, 250ms, 2h")
    seconds = sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    if seconds > _SPAN_S_MAX:
        raise ValueError("a span is a year at most")
    return seconds


def shown_span(seconds: float) -> str:
    """To the second from a minute on: 250ms, 1.5s, 1m30s, 2h, 1d2h."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms" if seconds else "0s"
    if seconds < 60:
        return f"{round(seconds, 1):g}s"
    left, text = round(seconds), ""
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, length)
        text += f"{count}{unit}" if count else ""
    return text


class TimeOfDay(NamedTuple):
    seconds: float


def instant(value: Any) -> Any:
    """A time of day, or a span."""
    found = _TIME_OF_DAY.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return span_s(value)
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    if hours > 23 or minutes > 59 or seconds > 59:
        raise ValueError("a time of day is between 00:00 and 23:59:59")
    return TimeOfDay(hours * 3600.0 + minutes * 60 + seconds)


Span = Annotated[float, BeforeValidator(span_s)]
