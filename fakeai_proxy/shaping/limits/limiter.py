"""Who may ask now, and who must wait. A request is entered in every account it belongs to (key,
project, organization; model), in all of them or in none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

from fakeai_proxy import errors
from fakeai_proxy.clock import Clock
from fakeai_proxy.exchange import Exchange, Request
from fakeai_proxy.profiles.limits import LimitsProfile, load_limits
from fakeai_proxy.providers import credential, provider_of
from fakeai_proxy.shaping.limits.account import Account
from fakeai_proxy.shaping.limits.charge import Charge
from fakeai_proxy.shaping.limits.demand import Demand
from fakeai_proxy.shaping.limits.owner import OWNERS, key_name, organization_of, shown_owner
from fakeai_proxy.shaping.limits.permit import FREE, Free, Permit
from fakeai_proxy.shaping.limits.rules import Entry, Plan, Rules
from fakeai_proxy.shaping.limits.settings import LimitSettings
from fakeai_proxy.shaping.limits.sheet import Sheet
from fakeai_proxy.shaping.limits.standing import Refusal, Standing
from fakeai_proxy.shaping.limits.tables import Booking, Seen, SharedBooking, Tables, tightest
from fakeai_proxy.shaping.limits.vendor import Vendor, vendor_of

#: Organizations whose accounts are kept at hand.
KNOWN_MAX = 64
#: Rows of a status page.
STATUS_ROWS_MAX = 1000


class Limiter:
    """`admit` is the one thing on a request's way; the rest is for those who watch and steer."""

    def __init__(self, settings: LimitSettings, clock: Clock, tables: Tables | None = None) -> None:
        """`tables` are where several processes count together; without them this one does alone."""
        self._settings = settings
        self.clock = clock
        self._tables = tables
        self._rules: dict[str, Rules] = {}
        self._default: Rules | None = None
        self._profiles: list[tuple[LimitsProfile, str]] = []
        self.factor = 1.0
        #: What projects have been given for themselves, besides what everybody has.
        self._projects: dict[str, tuple[LimitsProfile, Rules]] = {}
        #: Keys without quota, by name.
        self.exhausted: set[str] = set()
        self._reset_era = self._era
        self.use([spec for spec in settings.limits if spec != "none"])

    @property
    def _era(self) -> str:
        """What a time that begins with this change is called by all who count together."""
        return "" if self._tables is None else self._tables.era

    def use(self, specs: Sequence[str]) -> None:
        """Put these limits in force, each NAME[:TIER] or a file. Raises ConfigError."""
        self.replace([load_limits(spec) for spec in specs])

    def replace(
        self, profiles: Sequence[tuple[LimitsProfile, str]], era: str | None = None
    ) -> None:
        """Put these profiles, each with its tier, in force; everybody starts afresh. A vendor's
        requests follow its own profile, all others the first. `era` is what all processes that
        count together call the time from here on. Raises ConfigError."""
        epoch_s = self.clock.epoch_s
        era = self._era if era is None else era
        made = [Rules(profile, tier, self._settings, epoch_s, era) for profile, tier in profiles]
        self._profiles = list(profiles)
        for rules in made:
            rules.scale(self.factor, self.clock.now())
        self._default = made[0] if made else None
        self._rules = {rules.profile.vendor: rules for rules in reversed(made)}

    def lay_over(
        self, profiles: Sequence[tuple[LimitsProfile, str]], era: str | None = None
    ) -> Callable[[], None]:
        """As `replace`, for a while: what it gives back puts the former ones back in force, where
        everybody stands as before, unless others have come since."""
        before = self._default, self._rules, self._profiles
        self.replace(profiles, era)
        laid = list(profiles)

        def lift() -> None:
            if self._profiles == laid:
                self._default, self._rules, self._profiles = before
                for rules in self._in_force():
                    rules.scale(self.factor, self.clock.now())

        return lift

    def reset(self) -> None:
        """Forget all that has been counted. What projects have for themselves is told again."""
        self._projects.clear()
        self._reset_era = self._era
        self.replace(self._profiles)

    @property
    def in_force(self) -> list[str]:
        """NAME or NAME:TIER."""
        return [
            f"{one.name}:{tier or one.default_tier}".rstrip(":") for one, tier in self._profiles
        ]

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
        self.exhausted.add(key_name(key))

    def restore(self, key: str = "*") -> None:
        self.exhausted.discard(key_name(key))

    def admit(self, exchange: Exchange) -> Permit | Free:
        """A context manager: entered, the request counts; left, what it held is given back. Raises
        429 on entering."""
        if self._default is None and not self.exhausted and not self._projects:
            return FREE
        return Permit(self, exchange)

    def limit_project(self, project: str, limits: Mapping[str, Mapping[str, float]]) -> None:
        """The project has these amounts, by model, for itself. Whoever has the same as before stands
        as before."""
        if not limits:
            self._projects.pop(project, None)
            return
        rows = [{"model": model, **amounts} for model, amounts in sorted(limits.items())]
        profile = LimitsProfile.model_validate(
            {"name": project, "description": "Set for a project", "source": "organization",
             "limit": rows}
        )  # fmt: skip
        before = self._projects.get(project)
        if before is None or before[0] != profile:
            rules = Rules(profile, "", self._settings, self.clock.epoch_s, self._reset_era)
            self._projects[project] = profile, rules

    def rules_of(self, project: str) -> Rules | None:
        found = self._projects.get(project)
        return None if found is None else found[1]

    def rules_for(self, provider: str) -> Rules | None:
        return self._rules.get(provider) or self._default

    async def enter(
        self, request: Request, plan: Plan, demand: Demand, charge: Charge
    ) -> Booking | SharedBooking:
        """Take the charge from every account of the request, or raise 429 and take nothing. Raises
        503 where it cannot be asked whether there is room."""
        accounts = _accounts_of(request, plan)
        if self._tables is not None:
            entered, seen = await self._tables.enter(accounts, charge)
            if not entered:
                raise self._refused(request, demand, charge, accounts, seen)
            return SharedBooking(accounts, self._tables, seen)
        if not self._enter_here(accounts, charge):
            raise self._refused(request, demand, charge, accounts, self._seen(accounts, charge))
        return Booking(accounts, self.clock)

    def _enter_here(self, accounts: Sequence[Account], charge: Charge) -> bool:
        now = self.clock.now()
        taking = []
        for ledger, owner, quotas in accounts:
            row, state = ledger.row(owner, now), ledger.state
            for _, place, meter, at, _ in quotas:
                n = charge[place]
                if meter.wait_s(state, row + at, n, now):
                    return False
                taking.append((meter, state, row + at, n))
        for meter, state, at, n in taking:
            if n:
                meter.take(state, at, n, now)
        return True

    def _seen(self, accounts: Sequence[Account], charge: Charge) -> list[list[Seen]]:
        now = self.clock.now()
        seen = []
        for ledger, owner, quotas in accounts:
            row, state = ledger.row(owner, now), ledger.state
            seen.append(
                [
                    Seen(
                        quota.meter.wait_s(state, row + quota.at, charge[quota.place], now),
                        quota.meter.standing(state, row + quota.at, now),
                    )
                    for quota in quotas
                ]
            )
        return seen

    def check_quota(self, request: Request, vendor: Vendor) -> None:
        """Raises 429 for a key that was exhausted."""
        if self.exhausted & {"*", key_name(credential(request))}:
            raise vendor.quota_exceeded(self.clock.wall())

    async def enqueue(self, request: Request, model: str, tokens: float) -> None:
        """The tokens of a batch wait from here on. Raises 429 when the queue would be too long."""
        accounts = self._queues(request, model)
        charge = Charge(tokens=tokens)
        if not accounts:
            return
        if self._tables is not None:
            entered, seen = await self._tables.enter(accounts, charge)
        else:
            entered, seen = self._enter_here(accounts, charge), self._seen(accounts, charge)
        if not entered:
            full = next(one for each in seen for one in each if one.wait_s)
            raise errors.batch_queue_full(model, organization_of(request), int(full.standing.limit))

    def dequeue(self, request: Request, model: str, tokens: float) -> None:
        accounts, charge = self._queues(request, model), Charge(tokens=-tokens)
        if self._tables is not None:
            self._tables.add(accounts, charge)
        else:
            Booking(accounts, self.clock).add(charge)

    def queue_limit(self, provider: str, model: str) -> float | None:
        """How many tokens of batches may wait for the model, None for any number."""
        rules = self.rules_for(provider)
        entries = () if rules is None else rules.queues(model)
        limits = [quota.meter.limit for entry in entries for quota in entry.quotas]
        return min(limits, default=None)

    def status(self, rows: int = STATUS_ROWS_MAX) -> list[dict[str, object]]:
        """How everybody stands who has used anything here."""
        return list(islice(self._standings(), rows))

    async def status_of_all(self, rows: int = STATUS_ROWS_MAX) -> list[dict[str, object]]:
        """The same of all processes that count together."""
        if self._tables is None:
            return self.status(rows)
        eras = {rules.era for rules in self._in_force()}
        found = await self._tables.rows(eras, rows)
        return [
            _told(row.sheet, row.owner, one.name, standing)
            for row in found
            for one, standing in zip(row.sheet.allowances, row.standings, strict=True)
        ][:rows]

    def _standings(self) -> Iterator[dict[str, object]]:
        now = self.clock.now()
        for rules in self._in_force():
            for ledger in rules.ledgers():
                for owner, row in ledger.rows():
                    for quota in ledger.quotas:
                        one = quota.meter.standing(ledger.state, row + quota.at, now)
                        yield _told(ledger.sheet, owner, quota.name, one)

    def _in_force(self) -> list[Rules]:
        known = list(self._rules.values())
        return known if self._default is None or self._default in known else [self._default, *known]

    def _queues(self, request: Request, model: str) -> list[Account]:
        rules = self.rules_for(provider_of(request).name)
        return [] if rules is None else _accounts(request, rules.queues(model))

    def _refused(
        self,
        request: Request,
        demand: Demand,
        charge: Charge,
        accounts: Sequence[Account],
        seen: Sequence[Sequence[Seen]],
    ) -> errors.ApiError:
        organization = organization_of(request)
        # The first of those that take longest.
        quota, worst = max(
            (
                (quota, one)
                for account, each in zip(accounts, seen, strict=True)
                for quota, one in zip(account.quotas, each, strict=True)
            ),
            key=lambda pair: pair[1].wait_s,
        )
        demand.refused = quota.name, worst.wait_s
        refusal = Refusal(
            name=quota.name,
            standing=worst.standing,
            requested=charge[quota.place],
            wait_s=worst.wait_s,
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
        error.headers.update(
            (name.decode(), value.decode())
            for name, value in vendor.headers(
                tightest(accounts, seen, vendor.told), self.clock.wall
            )
        )
        if request.header(b"origin") is not None:  # a page in a browser must see it to obey it
            error.headers |= {
                "access-control-allow-origin": "*",
                "access-control-expose-headers": "*",
            }
        return error


def _told(sheet: Sheet | None, owner: bytes, amount: str, one: Standing) -> dict[str, object]:
    assert sheet is not None, "rules name their ledgers"
    return {
        "profile": sheet.profile,
        "tier": sheet.tier,
        "scope": sheet.scope,
        "owner": shown_owner(sheet.scope, owner),
        "model": sheet.model,
        "amount": amount,
        "limit": one.shown_limit,
        "remaining": one.remaining,
        "reset_s": round(one.reset_s, 3) if math.isfinite(one.reset_s) else None,
    }


def _accounts_of(request: Request, plan: Plan) -> list[Account]:
    known = plan.known
    if known is None:
        return _accounts(request, plan.entries)
    owner = OWNERS["organization"](request)
    accounts = known.get(owner)
    if accounts is None:
        if len(known) >= KNOWN_MAX:
            known.clear()
        accounts = known[owner] = _accounts(request, plan.entries)
    return accounts


def _accounts(request: Request, entries: Sequence[Entry]) -> list[Account]:
    accounts = []
    scope, owner = "", b""
    for ledger, quotas in entries:  # sorted by scope
        if ledger.scope != scope:
            scope = ledger.scope
            owner = OWNERS[ledger.scope](request)
        accounts.append(Account(ledger, owner, quotas))
    return accounts
