"""From what a request asks for to what it counts for, by the policy in force, and from the work that
an answer was to what it should have counted for."""

from __future__ import annotations

from typing import NamedTuple

from fakeai_proxy.profiles.limits import ChargePolicy
from fakeai_proxy.shaping.limits.demand import Demand
from fakeai_proxy.shaping.limits.usage import Usage


class Charge(NamedTuple):
    """One number for each thing that is counted; `tokens` are input and output together."""

    requests: float = 0
    tokens: float = 0
    input_tokens: float = 0
    output_tokens: float = 0
    images: float = 0
    usd: float = 0


#: Places in a `Charge`, for those who look one up by name.
MEASURES = {name: place for place, name in enumerate(Charge._fields)}


def charge_of(demand: Demand, policy: ChargePolicy, default_output_tokens: int) -> Charge:
    """`estimate`: the prompt's characters / 4 plus the tokens that the answer may have. `max_tokens`:
    the larger of the two. `input`: the prompt alone. `actual`: nothing yet. Money is spent later."""
    read, written = demand.input_tokens, demand.output_tokens
    if policy == "actual":
        return Charge(1, 0, 0, 0, demand.images, 0)
    if policy == "input":
        written = 0
    elif written is None:  # images and audio are not counted in tokens
        written = default_output_tokens * demand.answers if read else 0
    total = max(read, written) if policy == "max_tokens" else read + written
    return Charge(1, total, read, written, demand.images, 0)


def difference(charged: Charge, usage: Usage) -> Charge:
    """What is to be added to what was charged. Tokens that the prompt cache gave count for nothing."""
    read, cached, written = usage
    fresh = read - cached
    return Charge(
        tokens=fresh + written - charged.tokens,
        input_tokens=fresh - charged.input_tokens,
        output_tokens=written - charged.output_tokens,
    )
