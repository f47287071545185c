"""How Azure's content filter sees a text: severities by category, attacks on a prompt, known code.

Severities are the moderator's scores in four steps; what is blocked is a matter of the policy. Source of
the shapes: learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter and its page on
annotations.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from fakeai_proxy.generate.judgement import judge

Severity = Literal["safe", "low", "medium", "high"]
Policy = Literal["off", "low", "medium", "high"]
Results = dict[str, object]

SEVERITIES: tuple[Severity, ...] = ("safe", "low", "medium", "high")
#: The moderator's categories that each of Azure's stands for.
_CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "hate": ("hate", "hate/threatening"),
    "self_harm": ("self-harm", "self-harm/intent", "self-harm/instructions"),
    "sexual": ("sexual", "sexual/minors"),
    "violence": ("violence", "violence/graphic", "illicit/violent"),
}
#: Where each severity begins, by score; the moderator flags from the second on.
_FROM: tuple[float, ...] = (0.2, 0.5, 0.9)

#: Words by which a user tries to talk a model out of its instructions.
_ATTACK = re.compile(
    r"\b(?:ignore|disregard|forget|override)\s+(?:all\s+|any\s+)?(?:of\s+)?(?:the\s+|your\s+|my\s+)?"
    r"(?:previous|prior|above|earlier|initial|system)\s+(?:instructions?|prompts?|rules|guidelines|messages?)"
    r"|\bdo\s+anything\s+now\b"
    r"|\bdeveloper\s+mode\s+(?:enabled|output|activated)\b"
    r"|\b(?:pretend|act\s+as\s+if|imagine)\s+(?:that\s+)?you\s+(?:have|had)\s+no\s+"
    r"(?:rules|restrictions|filters?|limits|guidelines)"
    r"|\byou\s+are\s+(?:now\s+)?(?:free\s+from|not\s+bound\s+by)\s+(?:all\s+|any\s+)?"
    r"(?:rules|restrictions|guidelines|policies)"
    r"|\b(?:reveal|print|repeat|show)\s+(?:me\s+)?your\s+(?:hidden\s+)?(?:system\s+prompt|initial\s+instructions)"
    r"|\bignoriere\s+(?:alle\s+)?(?:vorherigen|bisherigen)\s+(?:anweisungen|regeln)"
    r"|\bignora\s+(?:todas\s+)?las\s+instrucciones\s+anteriores"
    r"|\bignore[zr]?\s+(?:toutes\s+)?les\s+instructions\s+pr\u00e9c\u00e9dentes",
    re.IGNORECASE,
)
#: Code that says under which licence it is.
_LICENCE = re.compile(
    r"SPDX-License-Identifier:\s*([\w.+-]{2,40})|(GNU (?:Affero |Lesser )?General Public License)",
    re.I,
)
_LICENCE_URL = "https://spdx.org/licenses/"


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen in a text."""

    severities: tuple[tuple[str, Severity], ...]
    attack: bool = False
    licence: str = ""

    def blocks(self, policy: Policy) -> bool:
        if policy == "off":
            return False
        return self.attack or any(_is_blocked(severity, policy) for _, severity in self.severities)

    def harms(self, policy: Policy) -> Results:
        return {
            name: {"filtered": _is_blocked(severity, policy), "severity": severity}
            for name, severity in self.severities
        }

    def of_prompt(self, policy: Policy, shielded: bool = True) -> Results:
        """`shielded`: with attacks, which older versions of the API do not tell."""
        results = self.harms(policy)
        if shielded:
            blocked = self.attack and policy != "off"
            results["jailbreak"] = {"filtered": blocked, "detected": self.attack}
        return dict(sorted(results.items()))

    def of_answer(self, policy: Policy, shielded: bool = True) -> Results:
        results = self.harms(policy)
        if shielded:
            # Annotated only, as the vendor's default has it.
            code: Results = {"filtered": False, "detected": bool(self.licence)}
            if self.licence:
                code["citation"] = {"license": self.licence, "URL": _LICENCE_URL + self.licence}
            results["protected_material_code"] = code
        return dict(sorted(results.items()))


def _is_blocked(severity: Severity, policy: Policy) -> bool:
    return policy != "off" and SEVERITIES.index(severity) >= SEVERITIES.index(policy)


@lru_cache(maxsize=128)
def seen(text: str, by_user: str = "") -> Sight:
    """Of a text; attacks are looked for in what the user said. Takes 0.5 ms for each thousand
    characters."""
    scores = judge(text)
    severities = tuple(
        [
            (name, _severity(max([scores[each] for each in categories])))
            for name, categories in _CATEGORIES.items()
        ]
    )
    licence = _LICENCE.search(text)
    named = "" if licence is None else licence[1] or licence[2]
    return Sight(severities, bool(by_user and _ATTACK.search(by_user)), named)


def _severity(score: float) -> Severity:
    return SEVERITIES[sum([score >= start for start in _FROM])]
