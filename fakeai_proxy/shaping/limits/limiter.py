"""Who may ask now, and who must wait. A request is entered in every account it belongs to (key,
project, organization; model), in all of them or in none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from email.utils import formatdate
from functools import lru_cache
from hashlib import blake2b

from fakeai_proxy import errors
from fakeai_proxy.clock import Clock
from fakeai_proxy.exchange import Exchange, Request
from fakeai_proxy.profiles.limits import LimitsProfile, Scope, load_limits
from fakeai_proxy.providers import credential, provider_of
from fakeai_proxy.shaping.limits.account import Account, standing_of, standings
from fakeai_proxy.shaping.limits.charge import Charge
from fakeai_proxy.shaping.limits.demand import Demand
from fakeai_proxy.shaping.limits.ledger import Quota
from fakeai_proxy.shaping.limits.permit import FREE, Permit
from fakeai_proxy.shaping.limits.rules import Entry, Rules
from fakeai_proxy.shaping.limits.settings import LimitSettings
from fakeai_proxy.shaping.limits.standing import Refusal
from fakeai_proxy.shaping.limits.vendor import vendor_of

ORGANIZATION = "org-fakeai"
PROJECT = "default"
#: Hex digits by which a key is called.
KEY_NAME_DIGITS = 8
#: Rows of a status page.
STATUS_ROWS_MAX = 1000


class Limiter:
    """`admit` is the one thing on a request's way; the rest is for those who watch and steer."""

    def __init__(self, settings: LimitSettings, clock: Clock) -> None:
        self._settings = settings
        self.clock = clock
        self._rules: dict[str, Rules] = {}
        self._default: Rules | None = None
        #: The share of every limit that is granted.
        self.factor = 1.0
        #: Keys by their names.
        self.exhausted: set[str] = set()
        self.use([spec for spec in settings.limits if spec != "none"])

    def use(self, specs: Sequence[str]) -> None:
        """Put these limits in force, each NAME[:TIER] or a file. Raises ConfigError."""
        self.replace([load_limits(spec) for spec in specs])

    def replace(self, profiles: Sequence[tuple[LimitsProfile, str]]) -> None:
        """Put these profiles, each with its tier, in force; everybody starts afresh. A vendor's
        requests follow its own profile, all others the first. Raises ConfigError."""
        epoch_s = self.clock.wall() - self.clock.now()
        made = [Rules(profile, tier, self._settings, epoch_s) for profile, tier in profiles]
        for rules in made:
            rules.scale(self.factor, self.clock.now())
        self._default = made[0] if made else None
        self._rules = {rules.profile.vendor: rules for rules in reversed(made)}

    @property
    def has_limits(self) -> bool:
        return self._default is not None

    def lay_over(self, profiles: Sequence[tuple[LimitsProfile, str]]) -> Callable[[], None]:
        """As `replace`, for a while: what it gives back puts the former ones back in force, where
        everybody stands as before, unless others have come since."""
        before = self._default, self._rules
        self.replace(profiles)
        laid = self._rules

        def lift() -> None:
            if self._rules is laid:
                self._default, self._rules = before
                for rules in self._in_force():
                    rules.scale(self.factor, self.clock.now())

        return lift

    def scale(self, factor: float) -> None:
        """Grant this share of every limit, from above 0 to 1."""
        if not 0 < factor <= 1:
            raise ValueError("a share of the limits is above 0 and at most 1")
        self.factor = factor
        for rules in self._in_force():
            rules.scale(factor, self.clock.now())

    def exhaust(self, key: str = "*") -> None:
        """The key, given itself or by its name in `status`, has no quota left, until `restore`;
        `*` is every key."""
        self.exhausted.add(_key_name(key))

    def restore(self, key: str = "*") -> None:
        self.exhausted.discard(_key_name(key))

    def admit(self, exchange: Exchange) -> Permit:
        """A context manager: entered, the request counts; left, what it held is given back. Raises
        429 on entering."""
        if self._default is None and not self.exhausted:
            return FREE
        return Permit(self, exchange)

    def rules_for(self, provider: str) -> Rules | None:
        return self._rules.get(provider) or self._default

    def enter(
        self, request: Request, rules: Rules | None, demand: Demand, charge: Charge
    ) -> list[Account]:
        """Take the charge from every account of the request, or raise 429 and take nothing."""
        if self.exhausted and self._has_no_quota(request):
            provider = provider_of(request)
            raise vendor_of(provider.name).quota_exceeded(self.clock.wall())
        if rules is None:
            return []
        now = self.clock.now()
        accounts = self._accounts(request, rules.entries(demand.model))
        worst: tuple[float, Quota, Account] | None = None
        for account in accounts:
            ledger, row = account.ledger, account.ledger.row(account.owner, now)
            for quota, place in account.quotas:
                wait_s = quota.meter.wait_s(ledger.state, row + quota.at, charge[place], now)
                if wait_s > 0.0 and (worst is None or wait_s > worst[0]):
                    worst = wait_s, quota, account
        if worst is not None:
            raise self._refused(request, demand, charge, accounts, worst, now)
        for account in accounts:
            account.take(charge, now)
        return accounts

    def enqueue(self, request: Request, model: str, tokens: float) -> None:
        """The tokens of a batch wait from here on. Raises 429 when the queue would be too long."""
        self._queue(request, model, tokens)

    def dequeue(self, request: Request, model: str, tokens: float) -> None:
        self._queue(request, model, -tokens)

    def status(self) -> list[dict[str, object]]:
        """How everybody stands who has used anything."""
        return [row for row, _ in zip(self._standings(), range(STATUS_ROWS_MAX), strict=False)]

    def _standings(self) -> Iterator[dict[str, object]]:
        now = self.clock.now()
        for rules in self._in_force():
            for ledger in rules.ledgers():
                for owner, row in ledger.rows():
                    for quota in ledger.quotas:
                        one = standing_of(quota, ledger, row, now)
                        reset_s = one.reset_s
                        yield {
                            "profile": rules.profile.name,
                            "tier": rules.tier,
                            "scope": ledger.scope,
                            "owner": _shown_owner(ledger.scope, owner),
                            "model": ledger.model,
                            "amount": quota.name,
                            "limit": one.shown_limit,
                            "remaining": one.remaining,
                            "reset_s": round(reset_s, 3) if math.isfinite(reset_s) else None,
                        }

    def _in_force(self) -> list[Rules]:
        known = list(self._rules.values())
        return known if self._default is None or self._default in known else [self._default, *known]

    def _queue(self, request: Request, model: str, tokens: float) -> None:
        rules = self.rules_for(provider_of(request).name)
        if rules is None:
            return
        now = self.clock.now()
        accounts = self._accounts(request, rules.queues(model))
        charge = Charge(tokens=tokens)
        for account in accounts:
            row = account.ledger.row(account.owner, now)
            for quota, _ in account.quotas:
                if tokens > 0 and quota.meter.wait_s(
                    account.ledger.state, row + quota.at, tokens, now
                ):
                    raise errors.batch_queue_full(
                        model, organization_of(request), int(quota.meter.limit)
                    )
        for account in accounts:
            account.take(charge, now)

    def _accounts(self, request: Request, entries: Sequence[Entry]) -> list[Account]:
        owners: dict[Scope, bytes] = {}
        accounts = []
        for ledger, quotas in entries:
            scope = ledger.scope
            if scope not in owners:
                owners[scope] = _OWNERS[scope](request)
            accounts.append(Account(ledger, owners[scope], quotas))
        return accounts

    def _has_no_quota(self, request: Request) -> bool:
        name = _key_name(credential(request))
        return "*" in self.exhausted or name in self.exhausted

    def _refused(
        self,
        request: Request,
        demand: Demand,
        charge: Charge,
        accounts: Sequence[Account],
        worst: tuple[float, Quota, Account],
        now: float,
    ) -> errors.ApiError:
        wait_s, quota, account = worst
        organization = organization_of(request)
        row = account.ledger.row(account.owner, now)
        refusal = Refusal(
            name=quota.name,
            standing=standing_of(quota, account.ledger, row, now),
            requested=getattr(charge, quota.measure),
            wait_s=wait_s,
            model=demand.model or "unknown",
            operation=demand.operation,
            organization=organization,
            path=request.path,
            query=request.query,
            deployment=demand.model if "/deployments/" in request.path else "",
        )
        provider = provider_of(request)
        epoch_s = self.clock.wall()
        vendor = vendor_of(provider.name)
        error = vendor.refusal(refusal, epoch_s)
        error.headers["date"] = _http_date(int(epoch_s))
        error.headers.update(
            (name.decode(), value.decode())
            for name, value in vendor.headers(standings(accounts, now), epoch_s)
        )
        if provider.name == "openai":
            error.headers |= {"openai-organization": organization, "openai-version": "2020-10-01"}
        if request.header(b"origin") is not None:  # a page in a browser must see it to obey it
            error.headers |= {
                "access-control-allow-origin": "*",
                "access-control-expose-headers": "*",
            }
        return error


def organization_of(request: Request) -> str:
    """By the header, or on Azure by the resource that is addressed; one for all the rest."""
    named = request.header(b"openai-organization")
    if named is not None:
        return named.decode("latin-1")[:128]
    if request.origin is not None and request.origin.host.endswith(".azure.com"):
        return request.origin.host.partition(".")[0]
    return ORGANIZATION


def _project(request: Request) -> bytes:
    project = request.text_header(b"openai-project")[:128] or PROJECT
    return f"{organization_of(request)}/{project}".encode("latin-1", "replace")


def _organization(request: Request) -> bytes:
    return organization_of(request).encode("latin-1", "replace")


def _key(request: Request) -> bytes:
    """Never the key itself."""
    return _digest(credential(request))


def _digest(key: str) -> bytes:
    return blake2b(key.encode("utf-8", "replace"), digest_size=16, person=b"limits").digest()


_OWNERS = {"organization": _organization, "project": _project, "key": _key}


def _key_name(key: str) -> str:
    return key if key == "*" or _is_key_name(key) else "key-" + _digest(key).hex()[:KEY_NAME_DIGITS]


def _is_key_name(key: str) -> bool:
    return key.startswith("key-") and len(key) == 4 + KEY_NAME_DIGITS


def _shown_owner(scope: Scope, owner: bytes) -> str:
    if scope == "key":
        return "key-" + owner.hex()[:KEY_NAME_DIGITS]
    return owner.decode("latin-1")


@lru_cache(maxsize=2)
def _http_date(epoch_s: int) -> str:
    return formatdate(epoch_s, usegmt=True)
