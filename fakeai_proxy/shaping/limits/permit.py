"""What one request holds while it is under way: its entries in the ledgers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import SYNTH, Exchange, Reply
from fakeai_proxy.providers import provider_of
from fakeai_proxy.shaping.limits.account import Account, standings
from fakeai_proxy.shaping.limits.charge import Charge, charge_of, difference
from fakeai_proxy.shaping.limits.demand import (
    CHARACTERS_PER_TOKEN,
    Demand,
    endpoint_of,
)
from fakeai_proxy.shaping.limits.reading import demand_at_once, demand_in
from fakeai_proxy.shaping.limits.rules import Plan, Rules
from fakeai_proxy.shaping.limits.usage import Usage, Watched, usage_of
from fakeai_proxy.shaping.limits.vendor import Vendor, vendor_of

if TYPE_CHECKING:
    from fakeai_proxy.shaping.limits.limiter import Limiter

#: A request that is refused for its key has not been made by anybody.
_NOBODYS = 401


class Permit:
    """A context manager around an exchange."""

    __slots__ = ("_exchange", "_held", "_limiter", "_vendor", "_watched")

    def __init__(self, limiter: Limiter, exchange: Exchange) -> None:
        self._limiter = limiter
        self._exchange = exchange
        self._held: _Held | None = None
        self._watched: Watched | None = None

    async def __aenter__(self) -> Permit:
        request = self._exchange.request
        endpoint = endpoint_of(request.path) if request.method == "POST" else None
        if endpoint is None:
            return self
        limiter = self._limiter
        provider = provider_of(request).name
        self._vendor: Vendor = vendor_of(provider)
        rules = limiter.rules_for(provider)
        if limiter.exhausted:
            limiter.check_quota(request, self._vendor)
        if rules is not None:
            demand = demand_at_once(request, endpoint)
            if demand is None:
                demand = await demand_in(request, endpoint, limiter.clock)
            self._held = _Held(self._limiter, self._exchange, rules, demand)
        return self

    async def __aexit__(self, kind: object, failure: object, trace: object) -> None:
        held = self._held
        if held is None:
            return
        if isinstance(failure, ApiError):
            if failure.status == _NOBODYS:
                self._cancel(held)
                return
            failure.headers.update(
                (name.decode(), value.decode()) for name, value in self._headers(held)
            )
        held.leave(self._watched)

    def stamp(self, reply: Reply) -> None:
        """Give the reply the headers that tell how its sender stands, in place of an upstream's."""
        held = self._held
        if held is None:
            return
        if reply.status == _NOBODYS:
            self._cancel(held)
            return
        kept = reply.headers
        if reply.provenance != SYNTH:
            prefix = self._vendor.prefix
            kept = tuple(one for one in kept if not one[0].lower().startswith(prefix))
        reply.headers = (*kept, *self._headers(held))
        if reply.workload is None and not isinstance(reply.chunks, Sequence):
            self._watched = reply.chunks = Watched(reply.chunks)

    def _cancel(self, held: _Held) -> None:
        held.cancel()
        self._held = None

    def _headers(self, held: _Held) -> list[tuple[bytes, bytes]]:
        clock, vendor = self._limiter.clock, self._vendor
        return vendor.headers(standings(held.accounts, vendor.told, clock.now()), clock.wall())


class _Held:
    """The entries, from the moment they are made."""

    __slots__ = ("_charge", "_clock", "_demand", "_exchange", "_plan", "_rules", "accounts")

    def __init__(self, limiter: Limiter, exchange: Exchange, rules: Rules, demand: Demand) -> None:
        self._clock, self._exchange, self._rules, self._demand = (
            limiter.clock, exchange, rules, demand
        )  # fmt: skip
        self._plan: Plan = rules.plan(demand.model)
        self._charge: Charge = charge_of(demand, rules.policy, rules.profile.default_output_tokens)
        self.accounts: list[Account] = limiter.enter(
            exchange.request, self._plan, demand, self._charge
        )

    def cancel(self) -> None:
        now = self._clock.now()
        for account in self.accounts:
            account.give_back(self._charge, now)

    def leave(self, watched: Watched | None) -> None:
        plan, rules, accounts = self._plan, self._rules, self.accounts
        now = self._clock.now()
        for place, quota in plan.holding:
            accounts[place].take(quota, -1, now)
        if self._exchange.reply is None or not (plan.spending or rules.settles):
            return
        usage = self._usage(watched)
        if rules.settles and usage is not None:
            missing = difference(self._charge, usage)
            for account in accounts:
                account.add(missing, now)
        if plan.spending and plan.price is not None:
            usd = plan.price.usd(*(usage or self._estimate()))
            for place, quota in plan.spending:
                accounts[place].take(quota, usd, now)

    def _usage(self, watched: Watched | None) -> Usage | None:
        """None where nobody knows, and what was estimated stands."""
        exchange = self._exchange
        reply = exchange.reply
        if reply is not None and reply.workload is not None:
            return usage_of(reply.workload, exchange.admission)
        told = watched.usage() if watched is not None else None
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
