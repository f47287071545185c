"""Numbers within the bounds of a JSON Schema, near what is usual for a field of that name."""

from __future__ import annotations

import math
from decimal import Decimal, InvalidOperation
from random import Random
from typing import Any

from fakeai_proxy.generate.plausible import range_for
from fakeai_proxy.generate.strict_schema import SchemaError

#: Integers beyond it are written as floats, which JSON does not tell apart.
_INTEGER_MAX = 2**53


def number(rng: Random, node: dict[str, Any], name: str, integer: bool) -> int | float:
    """A number within the bounds of `node`. Raises SchemaError where there is none."""
    low = max(node.get("minimum", -math.inf), node.get("exclusiveMinimum", -math.inf))
    high = min(node.get("maximum", math.inf), node.get("exclusiveMaximum", math.inf))
    low_open = node.get("exclusiveMinimum") == low
    high_open = node.get("exclusiveMaximum") == high
    if low > high or (low == high and (low_open or high_open)):
        raise SchemaError((), f"no number lies between {low} and {high}.")
    usual_low, usual_high = range_for(name)
    too_high = usual_low >= high if high_open else usual_low > high
    too_low = usual_high <= low if low_open else usual_high < low
    if too_high or too_low:
        usual_low, usual_high = -math.inf, math.inf
    near, far = max(low, usual_low), min(high, usual_high)
    if near == -math.inf:
        near = min(0.0, far - 100.0) if far < math.inf else 0.0
    if far == math.inf:
        far = near + max(100.0, abs(near) / 8)
    step = node.get("multipleOf", 1 if integer else None)
    if step is not None:
        if integer and step % 1:
            step = _whole_multiple(step)
        return _multiple(rng, step, (low, low_open, near), (high, high_open, far))
    return _between(rng, (low, low_open, near), (high, high_open, far))


_Bound = tuple[float, bool, float]


def _multiple(rng: Random, step: float, lower: _Bound, upper: _Bound) -> int | float:
    """A multiple of `step`: within the usual range, or within the bounds where that holds none."""
    unit = Decimal(repr(step))
    for side in (2, 0):
        (low, low_open, _), (high, high_open, _) = lower, upper
        start, end = lower[side], upper[side]
        if not (math.isfinite(start) and math.isfinite(end)):
            start, end = (
                (low, low + 2 * float(step))
                if math.isfinite(low)
                else (high - 2 * float(step), high)
            )
        try:
            first = math.ceil(Decimal(repr(start)) / unit)
            last = math.floor(Decimal(repr(end)) / unit)
        except (InvalidOperation, OverflowError, ValueError):
            break
        if low_open and Decimal(repr(low)) == first * unit:
            first += 1
        if high_open and Decimal(repr(high)) == last * unit:
            last -= 1
        if first <= last:
            exact = rng.randint(first, last) * unit
            whole = exact == exact.to_integral_value()
            return int(exact) if whole and abs(exact) <= _INTEGER_MAX else float(exact)
    raise SchemaError((), f"no multiple of {step} lies between {lower[0]} and {upper[0]}.")


def _whole_multiple(step: float) -> int:
    """The smallest whole number that is a multiple of `step`."""
    return Decimal(repr(step)).as_integer_ratio()[0]


def _between(rng: Random, lower: _Bound, upper: _Bound) -> float:
    (low, low_open, near), (high, high_open, far) = lower, upper
    share = rng.random()
    value = near * (1 - share) + far * share
    for candidate in (round(value, 2), value, (low + high) / 2, low, high):
        above = low < candidate or (low == candidate and not low_open)
        below = candidate < high or (candidate == high and not high_open)
        if above and below and math.isfinite(candidate):
            return candidate
    inside = math.nextafter(low, math.inf)
    if low < inside < high:
        return inside
    raise SchemaError((), f"no number lies between {low} and {high}.")
