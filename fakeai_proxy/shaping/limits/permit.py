"""What one request holds while it is under way: its entries in the ledgers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import SYNTH, Exchange, Reply
from fakeai_proxy.providers import provider_of
from fakeai_proxy.shaping.limits.account import Account, standings
from fakeai_proxy.shaping.limits.charge import Charge, actual_charge, charge_of
from fakeai_proxy.shaping.limits.demand import (
    CHARACTERS_PER_TOKEN,
    Demand,
    Endpoint,
    endpoint_of,
)
from fakeai_proxy.shaping.limits.reading import demand_in
from fakeai_proxy.shaping.limits.rules import Rules
from fakeai_proxy.shaping.limits.usage import Usage, Watched, usage_of
from fakeai_proxy.shaping.limits.vendor import vendor_of

if TYPE_CHECKING:
    from fakeai_proxy.shaping.limits.limiter import Limiter

#: A request that is refused for its key has not been made by anybody.
_NOBODYS = 401


class Permit:
    """A context manager around an exchange."""

    __slots__ = (
        "_accounts",
        "_charge",
        "_demand",
        "_exchange",
        "_limiter",
        "_rules",
        "_watched",
    )

    def __init__(self, limiter: Limiter | None, exchange: Exchange | None) -> None:
        self._limiter = limiter
        self._exchange = exchange
        self._accounts: list[Account] = []
        self._rules: Rules | None = None
        self._watched: Watched | None = None

    async def __aenter__(self) -> Permit:
        if self._limiter is not None and self._exchange is not None:
            request = self._exchange.request
            endpoint = endpoint_of(request.path) if request.method == "POST" else None
            if endpoint is not None:
                await self._enter(self._limiter, self._exchange, endpoint)
        return self

    async def __aexit__(self, kind: object, failure: object, trace: object) -> None:
        if not self._accounts:
            return
        if isinstance(failure, ApiError):
            if failure.status == _NOBODYS:
                self._cancel()
                return
            failure.headers.update(
                (name.decode(), value.decode()) for name, value in self._headers()
            )
        self._leave()

    def stamp(self, reply: Reply) -> None:
        """Give the reply the headers that tell how its sender stands, in place of an upstream's."""
        if not self._accounts:
            return
        if reply.status == _NOBODYS:
            self._cancel()
            return
        kept = reply.headers
        if reply.provenance != SYNTH:
            prefix = self._prefix()
            kept = tuple(one for one in kept if not one[0].lower().startswith(prefix))
        reply.headers = (*kept, *self._headers())
        if not isinstance(reply.chunks, Sequence) and reply.workload is None:
            self._watched = reply.chunks = Watched(reply.chunks)

    async def _enter(self, limiter: Limiter, exchange: Exchange, endpoint: Endpoint) -> None:
        request = exchange.request
        self._rules = limiter.rules_for(provider_of(request).name)
        demand, charge = Demand(endpoint.operation, endpoint.model), Charge(1)
        if self._rules is not None:
            demand = await demand_in(request, endpoint, limiter.clock)
            charge = charge_of(demand, self._rules.profile, self._rules.policy)
        self._accounts = limiter.enter(request, self._rules, demand, charge)
        self._demand, self._charge = demand, charge

    def _cancel(self) -> None:
        assert self._limiter is not None
        now = self._limiter.clock.now()
        for account in self._accounts:
            account.take(self._charge, now, -1)
        self._accounts = []

    def _leave(self) -> None:
        limiter, exchange, rules = self._limiter, self._exchange, self._rules
        assert limiter is not None
        assert exchange is not None
        assert rules is not None
        now = limiter.clock.now()
        for account in self._accounts:
            account.end(now)
        usage = self._usage(exchange)
        if usage is None:
            return
        actual = actual_charge(self._charge, usage, self._demand, rules.profile)
        difference = Charge(
            *(after - before for after, before in zip(actual, self._charge, strict=True))
        )
        if not rules.settles:  # money is always counted as it was spent
            difference = Charge(usd=difference.usd)
        if any(difference):
            for account in self._accounts:
                account.settle(difference, now)

    def _usage(self, exchange: Exchange) -> Usage | None:
        """None where nobody knows, and what was estimated stands."""
        reply = exchange.reply
        if reply is None:
            return None
        if reply.workload is not None:
            return usage_of(reply.workload, exchange.admission)
        told = self._watched.usage() if self._watched is not None else None
        if told is None and self._rules is not None and self._rules.postpones:
            # Not even estimated so far; more than its bytes it was not.
            demand = self._demand
            most = exchange.sent_bytes // CHARACTERS_PER_TOKEN
            asked = demand.output_tokens
            told = Usage(demand.input_tokens, 0, most if asked is None else min(most, asked))
        return told

    def _headers(self) -> list[tuple[bytes, bytes]]:
        assert self._limiter is not None
        assert self._exchange is not None
        clock = self._limiter.clock
        vendor = vendor_of(provider_of(self._exchange.request).name)
        return vendor.headers(standings(self._accounts, clock.now()), clock.wall())

    def _prefix(self) -> bytes:
        assert self._exchange is not None
        return vendor_of(provider_of(self._exchange.request).name).prefix


#: Of a request that nobody limits.
FREE = Permit(None, None)
