"""When the chunks of an exchange left: kept small, and told as a timeline and as gaps.

What is kept is bytes: seconds since the arrival as single floats, exact to microseconds within a
minute. Chunks that left together are one instant: that is what a client sees.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

#: Instants kept of one exchange; of longer ones, that many spread evenly over it.
KEPT_MAX = 256
#: Gaps of which quantiles are taken; of more, every so manieth.
_SORTED_MAX = 20_000


class Gaps(NamedTuple):
    """Seconds from one chunk to the next."""

    p50: float
    p90: float
    p99: float
    most: float

    def in_ms(self) -> dict[str, float]:
        p50, p90, p99, most = (round(gap * 1000, 3) for gap in self)
        return {"p50": p50, "p90": p90, "p99": p99, "max": most}


class Kept(NamedTuple):
    """`gaps` only where they cannot be computed from what is left in `offsets`."""

    offsets: bytes = b""
    gaps: tuple[float, ...] = ()


def kept(instants: Sequence[float], arrived_at: float) -> Kept:
    """A tenth of a microsecond for each instant, and as many bytes as there is room for."""
    if len(instants) == 1:  # most answers are whole
        return Kept(array("f", (instants[0] - arrived_at,)).tobytes())
    distinct = list(dict.fromkeys(instants))
    if len(distinct) <= KEPT_MAX:
        return Kept(array("f", [at - arrived_at for at in distinct]).tobytes())
    gaps = gaps_of(distinct)
    last = len(distinct) - 1
    chosen = [distinct[k * last // (KEPT_MAX - 1)] for k in range(KEPT_MAX)]
    offsets = array("f", [at - arrived_at for at in chosen]).tobytes()
    return Kept(offsets, () if gaps is None else tuple(gaps))


def offsets_of(kept_bytes: bytes) -> array[float]:
    """Seconds since the arrival."""
    return array("f", kept_bytes)


def gaps_of(instants: Sequence[float]) -> Gaps | None:
    """None of fewer than two."""
    if len(instants) < 2:
        return None
    gaps = [after - before for before, after in pairwise(instants)]
    most = max(gaps)
    gaps = sorted(gaps[:: len(gaps) // _SORTED_MAX + 1])
    p50, p90, p99 = (gaps[math.ceil(share * len(gaps)) - 1] for share in (0.5, 0.9, 0.99))
    return Gaps(p50, p90, p99, most)
