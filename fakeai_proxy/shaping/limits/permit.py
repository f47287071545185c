"""What one request holds while it is under way: its entries in the ledgers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import BATCH, SYNTH, Exchange, Reply
from fakeai_proxy.providers import provider_of
from fakeai_proxy.shaping.limits.account import Account, standings
from fakeai_proxy.shaping.limits.charge import Charge, charge_of, difference
from fakeai_proxy.shaping.limits.demand import (
    CHARACTERS_PER_TOKEN,
    Demand,
    endpoint_of,
)
from fakeai_proxy.shaping.limits.reading import demand_at_once, demand_in, is_socket
from fakeai_proxy.shaping.limits.rules import Plan, Rules, together
from fakeai_proxy.shaping.limits.usage import Usage, Watched, usage_of
from fakeai_proxy.shaping.limits.vendor import Vendor, vendor_of

if TYPE_CHECKING:
    from fakeai_proxy.shaping.limits.limiter import Limiter

#: A request that is refused for its key has not been made by anybody.
_NOBODYS = 401


class Permit:
    """A context manager around an exchange. Inside, it has the entries that were made for it."""

    __slots__ = (
        "_accounts",
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
        self._accounts: list[Account] | None = None
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
            limiter.check_quota(request, self._vendor)
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
        self._accounts = limiter.enter(request, plan, demand, self._charge)
        return self

    async def __aexit__(self, kind: object, failure: object, trace: object) -> None:
        accounts = self._accounts
        if accounts is None:
            return
        if isinstance(failure, ApiError):
            if failure.status == _NOBODYS:
                self._cancel(accounts)
                return
            failure.headers.update(
                (name.decode(), value.decode()) for name, value in self._headers(accounts)
            )
        plan, rules = self._plan, self._rules
        if plan.holding or plan.spending or rules.settles:
            self._settle(accounts, plan, rules)

    def stamp(self, reply: Reply) -> None:
        """Give the reply the headers that tell how its sender stands, in place of an upstream's."""
        accounts = self._accounts
        if accounts is None:
            return
        if reply.status == _NOBODYS:
            self._cancel(accounts)
            return
        kept = reply.headers
        if reply.provenance != SYNTH:
            prefix = self._vendor.prefix
            kept = tuple(one for one in kept if not one[0].lower().startswith(prefix))
        reply.headers = (*kept, *self._headers(accounts))
        if reply.workload is None and not isinstance(reply.chunks, Sequence):
            self._watched = reply.chunks = Watched(reply.chunks)

    def _headers(self, accounts: list[Account]) -> list[tuple[bytes, bytes]]:
        clock, vendor = self._clock, self._vendor
        return vendor.headers(standings(accounts, vendor.told, clock.now()), clock.wall)

    def _cancel(self, accounts: list[Account]) -> None:
        now = self._clock.now()
        for account in accounts:
            account.give_back(self._charge, now)
        self._accounts = None

    def _settle(self, accounts: list[Account], plan: Plan, rules: Rules) -> None:
        now = self._clock.now()
        for place, quota in plan.holding:
            accounts[place].take(quota, -1, now)
        if self._exchange.reply is None:
            return
        usage = self._usage()
        if rules.settles and usage is not None:
            missing = difference(self._charge, usage)
            for account in accounts:
                account.add(missing, now)
        if plan.spending and plan.price is not None:
            usd = plan.price.usd(*(usage or self._estimate()))
            for place, quota in plan.spending:
                accounts[place].take(quota, usd, now)

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
