"""From what a request asks for to what it counts for, by the policy in force, and from the work that
an answer was to what it should have counted for."""

from __future__ import annotations

from typing import NamedTuple

from fakeai_proxy.profiles.limits import ChargePolicy, LimitsProfile
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


def charge_of(demand: Demand, profile: LimitsProfile, policy: ChargePolicy) -> Charge:
    """`estimate`: the prompt's characters / 4 plus the tokens that the answer may have. `max_tokens`:
    the larger of the two. `input`: the prompt alone. `actual`: nothing yet."""
    read, written = demand.input_tokens, demand.output_tokens
    if written is None:  # images and audio are not counted in tokens
        written = profile.default_output_tokens * demand.answers if read else 0
    if policy == "actual":
        return Charge(1, images=demand.images)
    if policy == "input":
        written = 0
    total = max(read, written) if policy == "max_tokens" else read + written
    price = profile.price_of(demand.model) if profile.price else None
    usd = price.usd(read, written) if price else 0.0
    return Charge(1, total, read, written, demand.images, usd)


def actual_charge(before: Charge, usage: Usage, demand: Demand, profile: LimitsProfile) -> Charge:
    """What it turned out to be. Tokens that the prompt cache gave count for nothing, and cost less."""
    read, cached, written = usage
    fresh = read - cached
    price = profile.price_of(demand.model) if profile.price else None
    usd = price.usd(read, written, cached) if price else 0.0
    return before._replace(
        tokens=fresh + written, input_tokens=fresh, output_tokens=written, usd=usd
    )
