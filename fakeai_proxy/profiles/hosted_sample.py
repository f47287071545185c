"""Measured streams, and as many of them as are worth keeping of any number."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

#: Of the streams, one in so many is kept to judge the fit by.
HELD_OUT = 5
#: Of one model; then those whose ids have the smallest hashes, so that their order does not matter.
STREAMS_KEPT = 2000
#: Of one stream.
GAPS_KEPT = 500


class Timing(NamedTuple):
    """One measured stream: seconds to its first read with tokens, then from each such read to the
    next, and the tokens of each; where nobody has counted them, each read is one."""

    id: str
    model: str
    prompt_tokens: int
    ttft_s: float
    gaps_s: Sequence[float]
    tokens: Sequence[int] = ()

    @property
    def held_out(self) -> bool:
        return crc32(self.id.encode()) % HELD_OUT == 0


class Sample:
    """Of one model's streams."""

    def __init__(self) -> None:
        self.seen = 0
        self._heap: list[tuple[int, int, Timing]] = []

    def add(self, timing: Timing) -> None:
        self.seen += 1
        # Another hash than that which holds streams out.
        place = -crc32(b"kept " + timing.id.encode())
        if len(self._heap) == STREAMS_KEPT and place < self._heap[0][0]:
            return
        if len(timing.gaps_s) > GAPS_KEPT:
            timing = timing._replace(
                gaps_s=timing.gaps_s[:GAPS_KEPT], tokens=timing.tokens[: GAPS_KEPT + 1]
            )
        entry = place, -self.seen, timing
        if len(self._heap) < STREAMS_KEPT:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heapreplace(self._heap, entry)

    @property
    def kept(self) -> list[Timing]:
        """In the order in which they came."""
        return [timing for _, _, timing in sorted(self._heap, key=lambda entry: -entry[1])]
