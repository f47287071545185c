"""What one request holds while it is under way: its entries in the ledgers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import BATCH, SYNTH, Exchange, Reply
from fakeai_proxy.providers import provider_of
from fakeai_proxy.shaping.limits.charge import Charge, charge_of, difference
from fakeai_proxy.shaping.limits.demand import (
    CHARACTERS_PER_TOKEN,
    Demand,
    endpoint_of,
)
from fakeai_proxy.shaping.limits.reading import demand_at_once, demand_in, is_socket
from fakeai_proxy.shaping.limits.rules import Plan, Rules, together
from fakeai_proxy.shaping.limits.tables import Booking, SharedBooking
from fakeai_proxy.shaping.limits.usage import Usage, Watched, usage_of
from fakeai_proxy.shaping.limits.vendor import Vendor, vendor_of

if TYPE_CHECKING:
    from fakeai_proxy.shaping.limits.limiter import Limiter

#: A request that is refused for its key has not been made by anybody.
_NOBODYS = 401


class Permit:
    """A context manager around an exchange. Inside, it has the entries that were made for it."""

    __slots__ = (
        "_booking",
        "_charge",
        "_clock",
        "_demand",
        "_exchange",
        "_limiter",
        "_plan",
        "_rules",
        "_vendor",
        "_watched",
    )
    _vendor: Vendor
    _rules: Rules
    _demand: Demand
    _plan: Plan
    _charge: Charge

    def __init__(self, limiter: Limiter, exchange: Exchange) -> None:
        self._limiter = limiter
        self._clock = limiter.clock
        self._exchange = exchange
        #: None for what is not limited, or not any more.
        self._booking: Booking | SharedBooking | None = None
        self._watched: Watched | None = None

    async def __aenter__(self) -> Permit:
        request = self._exchange.request
        endpoint = None
        if request.method == "POST" or is_socket(request):
            endpoint = endpoint_of(request.path)
        if endpoint is None:
            return self
        limiter = self._limiter
        provider = provider_of(request).name
        self._vendor = vendor_of(provider)
        if limiter.exhausted:
            self._exchange.refused = "quota", 0.0
            limiter.check_quota(request, self._vendor)
            self._exchange.refused = None
        if self._exchange.tier == BATCH:
            return self  # its tokens wait in a queue, which has a limit of its own
        rules, own = limiter.rules_for(provider), limiter.rules_of(self._exchange.project)
        if rules is None:
            rules, own = own, None
        if rules is None:
            return self
        demand = demand_at_once(request, endpoint)
        if demand is None:
            demand = await demand_in(request, endpoint, self._clock)
        self._rules, self._demand = rules, demand
        plan = rules.plan(demand.model)
        if own is not None:
            plan = together(plan, own.plan(demand.model))
        self._plan = plan
        self._charge = charge_of(demand, rules.policy, rules.profile.default_output_tokens)
        try:
            self._booking = await limiter.enter(request, plan, demand, self._charge)
        except ApiError:
            self._exchange.refused = demand.refused
            raise
        return self

    async def __aexit__(self, kind: object, failure: object, trace: object) -> None:
        booking = self._booking
        if booking is None:
            return
        if isinstance(failure, ApiError):
            if failure.status == _NOBODYS:
                self._cancel(booking)
                return
            failure.headers.update(
                (name.decode(), value.decode()) for name, value in self._headers(booking)
            )
        plan, rules = self._plan, self._rules
        if plan.holding or plan.spending or rules.settles:
            self._settle(booking, plan, rules)

    def stamp(self, reply: Reply) -> None:
        """Give the reply the headers that tell how its sender stands, in place of an upstream's."""
        booking = self._booking
        if booking is None:
            return
        if reply.status == _NOBODYS:
            self._cancel(booking)
            return
        kept = reply.headers
        if reply.provenance != SYNTH:
            prefix = self._vendor.prefix
            kept = tuple(one for one in kept if not one[0].lower().startswith(prefix))
        reply.headers = (*kept, *self._headers(booking))
        if reply.workload is None and not isinstance(reply.chunks, Sequence):
            self._watched = reply.chunks = Watched(reply.chunks)

    def _headers(self, booking: Booking | SharedBooking) -> list[tuple[bytes, bytes]]:
        vendor = self._vendor
        return vendor.headers(booking.standings(vendor.told), self._clock.wall)

    def _cancel(self, booking: Booking | SharedBooking) -> None:
        booking.add(Charge(*(-n for n in self._charge)))
        self._booking = None

    def _settle(self, booking: Booking | SharedBooking, plan: Plan, rules: Rules) -> None:
        for place, quota in plan.holding:
            booking.take(place, quota, -1)
        if self._exchange.reply is None:
            return
        usage = self._usage()
        if rules.settles and usage is not None:
            booking.add(difference(self._charge, usage))
        if plan.spending and plan.price is not None:
            usd = plan.price.usd(*(usage or self._estimate()))
            for place, quota in plan.spending:
                booking.take(place, quota, usd)

    def _usage(self) -> Usage | None:
        """None where nobody knows, and what was estimated stands."""
        exchange = self._exchange
        reply = exchange.reply
        if reply is not None and reply.workload is not None:
            return usage_of(reply.workload, exchange.admission)
        told = self._watched.usage() if self._watched is not None else None
        return self._estimate() if told is None and self._rules.postpones else told

    def _estimate(self) -> Usage:
        """Of an answer more tokens than its bytes allow were not made."""
        asked = self._demand.output_tokens
        most = self._exchange.sent_bytes // CHARACTERS_PER_TOKEN
        written = most if asked is None else min(most, asked)
        return Usage(self._demand.input_tokens, 0, written)


class Free:
    """For a request that nobody limits."""

    async def __aenter__(self) -> Free:
        return self

    async def __aexit__(self, *failure: object) -> None:
        return None

    def stamp(self, reply: Reply) -> None: ...


FREE = Free()
