"""How a requester stands with a limit: what headers quote and what a refusal explains."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Standing(NamedTuple):
    limit: float
    used: float
    reset_s: float
    #: What the limit is counted over; 0 where it is over nothing.
    period_s: float = 60.0

    @property
    def shown_limit(self) -> int:
        return int(self.limit + ROUNDING)

    @property
    def remaining(self) -> int:
        """In whole ones, and never less than none."""
        left = self.limit - self.used
        return int(left + ROUNDING) if left > 0 else 0

    @property
    def shown_used(self) -> int:
        return math.ceil(self.used - ROUNDING)


#: Below this a number of things is the rounding of instants.
ROUNDING = 1e-6

#: By the name of the amount: rpm, tpm ...
Standings = Mapping[str, Standing]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not: the amount that takes longest to have room. `wait_s` is infinite where it never will."""

    name: str
    standing: Standing
    requested: float
    wait_s: float
    model: str
    operation: str
    organization: str
    path: str
    query: str
    deployment: str

    @property
    def shown_requested(self) -> int:
        return math.ceil(self.requested - ROUNDING)
