"""The verdict on a trial: which rules look at it, and what they find. What was seen in, findings out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from fakeai_proxy.resilience import endings
from fakeai_proxy.resilience.finding import Finding, Severity, worst
from fakeai_proxy.resilience.pauses import pauses
from fakeai_proxy.resilience.sight import Sight
from fakeai_proxy.resilience.trial import Concerned, Expected, Trial

Rule = Callable[[Sight], Iterable[Finding]]

#: What is expected -> who looks; what they find is told in this order.
RULES: dict[Expected, tuple[Rule, ...]] = {
    "answer": (endings.calm,),
    "retry": (pauses, endings.side_effects, endings.ending),
    "notice": (endings.side_effects, endings.ending),
    "time_out": (endings.timed_out, endings.side_effects, endings.ending),
    "no_retry": (endings.no_retry, endings.ending),
    "give_up": (pauses, endings.ending),
    "endure": (endings.patience,),
    "notice_length": (endings.length,),
}

#: Whom a trial concerns -> what the calm one shows of such programs, and why it is left out of others.
_CONCERNS: dict[Concerned, tuple[Callable[[Sight], bool], str]] = {
    "all": (lambda calm: True, ""),
    "streams": (lambda calm: any(one.streamed for one in calm.attempts), "it asks for no stream"),
    "tool_results": (
        lambda calm: any(one.question.results for one in calm.attempts), "it sends no tool results"),
    "anthropic": (lambda calm: any(one.anthropic for one in calm.attempts), "it does not ask Anthropic"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verdict:
    """`unjudged` says why a trial tells nothing of this program."""

    trial: Trial
    findings: tuple[Finding, ...] = ()
    sight: Sight | None = None
    unjudged: str = ""

    @property
    def severity(self) -> Severity | None:
        return None if self.unjudged else worst(self.findings)

    @property
    def worst_first(self) -> Iterator[Finding]:
        for severity in ("bad", "weak", "good"):
            yield from [one for one in self.findings if one.severity == severity]


def left_out(trial: Trial, calm: Sight) -> Verdict | None:
    """The verdict on a trial that need not be run, None for one that must be."""
    fits, why = _CONCERNS[trial.concerns]
    return None if fits(calm) else Verdict(trial, unjudged=why)


def judge(sight: Sight) -> Verdict:
    if sight.trial.fault and not sight.hit:
        return Verdict(sight.trial, (), sight, "the fault met none of its requests")
    found: dict[str, Finding] = {}
    for rule in RULES[sight.trial.expected]:
        for one in rule(sight):
            found.setdefault(one.code, one)
    return Verdict(sight.trial, tuple(found.values()), sight)
