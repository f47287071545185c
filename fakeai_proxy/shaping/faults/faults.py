"""All rules in force, and the choice of faults for a request.

An exchange that no rule matches is not touched at all: `choose` gives nothing, and the pipeline goes its
usual way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fakeai_proxy.body import Body
from fakeai_proxy.clock import Clock
from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import ConfigError, FakeAIError, bad_request, fault_refused
from fakeai_proxy.exchange import Exchange, Origin, Request
from fakeai_proxy.roles import Client, Observer, Source
from fakeai_proxy.shaping.faults.settings import FaultSettings
from fakeai_proxy.shaping.scheduler import Scheduler
from fakeai_proxy.shared.commons import Counting

if TYPE_CHECKING:
    from fakeai_proxy.shaping.faults.injection import Injection
    from fakeai_proxy.shaping.faults.rule import Look, Rule

ASKED = b"x-fakeai-fault"
#: Bodies above this are not read before a source asks for them.
_READ_BYTES_MAX = 1 << 20


class Faults:
    def __init__(
        self,
        settings: FaultSettings,
        scheduler: Scheduler,
        clock: Clock,
        dice: Dice,
        mode: str = "",
        observers: Sequence[Observer] = (),
        counting: Counting | None = None,
    ) -> None:
        """`counting` is where several processes count attempts together. Raises ConfigError."""
        self.settings = settings
        self.scheduler = scheduler
        self.clock = clock
        self.dice = dice
        self._mode = mode
        self._observers = observers
        self._counting = counting
        self._visit = ""
        self._ids, self._visits = count(1), count(1)
        self._rules: tuple[Rule, ...] = ()
        self._doors: tuple[Rule, ...] = ()
        self._reads_body = False
        self._glance: Callable[[Request, float, str], Look] | None = None
        self._began_at = 0.0
        self._phase = ""
        #: Those that a file has.
        self._of_file: tuple[Rule, ...] = ()
        if settings.fault:
            self.replace(settings.fault)
        if settings.faults is not None:
            self.renew(settings.faults)

    # --- rules

    @property
    def rules(self) -> tuple[Rule, ...]:
        return (*self._rules, *self._doors)

    def replace(self, given: Iterable[Any]) -> tuple[Rule, ...]:
        """These rules instead of all others: texts, tables or rules. Raises ConfigError."""
        from fakeai_proxy.shaping.faults.parsing import rules_of

        rules = rules_of(given)
        self._settle(rules)
        return rules

    def add(self, given: Any, rule_id: str = "") -> Rule:
        """One more rule, after the others, under an id of its own unless one is given. Raises
        ConfigError."""
        from fakeai_proxy.shaping.faults.parsing import rule_of

        rule = rule_of(given)
        rule.id = rule_id or rule.id
        self._settle((*self.rules, rule))
        return rule

    def renew(self, file: Path) -> None:
        """The file's rules instead of those that it had before; rules that it still has go on as they
        are, and so do all others. Raises ConfigError."""
        from fakeai_proxy.shaping.faults.parsing import read_file

        before = [rule for rule in self._of_file if rule in self.rules]
        left = {rule.text: rule for rule in before}
        found = tuple([left.pop(rule.text, rule) for rule in read_file(file)])
        rules = list(self.rules)
        place = rules.index(before[0]) if before else len(rules)
        ahead = [rule for rule in rules[:place] if rule not in before]
        behind = [rule for rule in rules[place:] if rule not in before]
        self._settle((*ahead, *found, *behind))
        self._of_file = found

    def remove(self, rule_id: str) -> bool:
        """Whether there was such a rule."""
        left = [rule for rule in self.rules if rule.id != rule_id]
        found = len(left) < len(self.rules)
        if found:
            self._settle(left)
        return found

    def list(self) -> list[dict[str, object]]:
        """The rules, for people and programs."""
        return [self.told(rule) for rule in self.rules]

    @staticmethod
    def told(rule: Rule) -> dict[str, object]:
        return {
            "id": rule.id,
            "rule": rule.text,
            "fault": rule.fault.name,
            "parameters": rule.params.model_dump(exclude_unset=True),
            "conditions": rule.conditions.model_dump(exclude_unset=True),
            "applied": rule.applied,
        }

    def _settle(self, rules: Iterable[Rule]) -> None:
        rules = tuple(rules)
        seen: dict[str, int] = {}
        for rule in rules:
            nth = seen[rule.text] = seen.get(rule.text, 0) + 1
            if not rule.settled:
                rule.id = rule.id or f"fault-{next(self._ids)}"
                rule.compile(self.dice, self._mode, str(nth))
        self._rules = tuple([rule for rule in rules if not rule.fault.at_door])
        self._doors = tuple([rule for rule in rules if rule.fault.at_door])
        self._reads_body = any(rule.reads_body for rule in self._rules)

    # --- the run

    @property
    def phase(self) -> str:
        """The name of the phase, "" outside of scenarios."""
        return self._phase

    def begin(self, phase: str = "", visit: str = "") -> None:
        """A phase begins, by name; conditions ask for it, and attempts are counted anew. `visit` is
        what all processes call it, this time."""
        self._phase, self._visit = phase, visit
        self._glance = None

    def restart(self) -> None:
        """Seconds of the run count from now."""
        self._began_at = self.clock.now()

    def _look(self, request: Request) -> Look:
        if self._glance is None:
            from fakeai_proxy.shaping.faults.rule import Counts, glance

            self._glance = glance(Counts(f"attempt/{self._visit}"))
        return self._glance(request, self.clock.now() - self._began_at, self._phase)

    # --- a request

    def concern(self, request: Request) -> bool:
        """Whether there is anything to choose from."""
        return bool(self._rules) or request.header(ASKED) is not None

    async def choose(self, exchange: Exchange, client: Client, source: Source) -> Injection | None:
        """What is in store for this exchange. Raises 400 and 403 where its header asks in vain."""
        request = exchange.request
        body = request.body
        wanted = request.header(ASKED)
        if (
            self._reads_body
            and body.in_memory is None
            and (body.length or _READ_BYTES_MAX + 1) <= _READ_BYTES_MAX
        ):
            await body.read(_READ_BYTES_MAX)
        look = self._look(request)
        if wanted is not None:
            rules = self._asked(request, wanted)
        elif self._counting is None:
            rules = _first(self._rules, look)
        else:
            rules = await self._first_counted(look, self._counting)
        if not rules:
            return None
        from fakeai_proxy.shaping.faults.injection import Injection

        for rule in rules:
            rule.applied += 1
        return Injection(self, rules, look, exchange, client, source)

    async def _first_counted(self, look: Look, counting: Counting) -> Sequence[Rule]:
        """The same where others count: what a test has to know is asked for, and all are tried
        again. What is left to chance is keyed by the attempt, so that is known afterwards."""
        from fakeai_proxy.shaping.faults.rule import Uncounted

        look.counted = counted = {}
        while True:
            try:
                rules = _first(self._rules, look)
                if rules:
                    _ = look.attempt
                return rules
            except Uncounted as missing:
                try:
                    counted[missing.key] = await counting.next(missing.key)
                except FakeAIError:  # nobody to count with: by ourselves, then
                    look.counted = None
                    return _first(self._rules, look)

    def _asked(self, request: Request, wanted: bytes) -> Sequence[Rule]:
        from fakeai_proxy.shaping.faults.parsing import asked

        allowed = self.settings.fault_header
        if allowed == "off" or (allowed == "loopback" and not _is_loopback(request.client)):
            raise fault_refused()
        try:
            return asked(wanted.decode("latin-1"))
        except ConfigError as error:
            raise bad_request(f"Header x-fakeai-fault: {error}") from None

    # --- a connection

    def at_door(
        self, names: Sequence[str], client: str, host: str = "", named: bool | None = None
    ) -> Rule | None:
        """The first of the faults in `names` that a rule has for a connection; of those rules alone that
        ask for a host (`named`) or do not."""
        if not self._doors:
            return None
        # There is no request yet: all that is known stands in for one, for the dice too.
        origin = Origin("https", host, 443) if host else None
        request = Request("CONNECT", host, (), Body(client.encode()), origin, client)
        look = self._look(request)
        for rule in self._doors:
            if named is not None and named is (rule.conditions.host is None):
                continue
            if rule.fault.name in names and rule.matches(look):
                self._tell(rule, request)
                return rule
        return None

    def _tell(self, rule: Rule, request: Request) -> None:
        """Observers hear of a connection's faults as of an exchange that came to nothing."""
        rule.applied += 1
        now = self.clock.now()
        ended = Exchange(f"door_{next(self._visits)}", request, now, finished_at=now)
        ended.faults, ended.phase, ended.end = (rule.name,), self._phase, "cut"
        for observer in self._observers:
            observer.finished(ended)


def _first(rules: Iterable[Rule], look: Look) -> list[Rule]:
    """The rules that match, up to the first that is enough."""
    chosen = []
    for rule in rules:
        if rule.matches(look):
            chosen.append(rule)
            if not rule.conditions.also:
                break
    return chosen


@lru_cache(maxsize=1024)
def _is_loopback(client: str) -> bool:
    try:
        address = ip_address(client)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
