"""What came of a run: every exchange is a HIT, NEW, STALE, LIVE or a MISS, and what nobody
asked for is UNUSED. The words, the counts of one process, and the sum of several; it knows no prices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from fakeai_proxy.cassette.ids import Ids
from fakeai_proxy.cassette.turns import Turn
from fakeai_proxy.exchange import DRIFT, HIT, LIVE, MISS, NEW, SKIPPED, STALE, TEXT

UNUSED = "UNUSED"
#: Each word with what it says, in the order in which they are told.
MEANINGS = {
    HIT: "replayed",
    NEW: "recorded",
    STALE: "recordings that count no more: too old, or to be recorded again",
    LIVE: "asked live, not kept",
    MISS: "not on the cassette",
    UNUSED: "recordings that nobody asked for",
    DRIFT: "live answers of another status or shape",
    TEXT: "live answers in other words, as models have them",
    SKIPPED: "replayed without a live answer to compare",
}
#: What is no fault unless somebody says so.
_USUAL = (HIT, TEXT)
#: Requests and recordings that are named one by one.
NAMED_MAX = 20
#: Different usages that are kept apart; further ones are added up by model.
_USAGES_MAX = 10_000
#: Model, tokens of the prompt, tokens of the answer -> how often.
Usages = dict[tuple[str, int, int], int]


@dataclass(slots=True)
class Tally:
    """Of one process. Plain values: it travels between processes."""

    counts: dict[str, int] = field(default_factory=dict)
    #: Verdict and request of those that are worth a look, each once, with how often.
    told: dict[tuple[str, str], int] = field(default_factory=dict)
    #: Ids of recordings that were asked for or made.
    used: Ids = field(default_factory=Ids)
    #: What replayed answers used.
    usages: Usages = field(default_factory=dict)
    #: The same of what there was no more room for: tokens of prompts and answers by model.
    beyond: dict[str, tuple[int, int]] = field(default_factory=dict)
    spent_usd: Decimal = Decimal(0)
    #: Recordings of WebSockets that were replayed, and how often. What was said on them is looked up
    #: by whoever sums up: `turns`.
    sockets: dict[int, int] = field(default_factory=dict)
    turns: dict[Turn, int] = field(default_factory=dict)

    def add(self, verdict: str, request: str, recording: int) -> None:
        self.counts[verdict] = self.counts.get(verdict, 0) + 1
        if verdict not in (HIT, NEW):
            named = verdict, request
            if named in self.told or len(self.told) < NAMED_MAX * 5:
                self.told[named] = self.told.get(named, 0) + 1
        if recording:
            self.used.add(recording)

    def save(self, model: str, prompt_tokens: int, output_tokens: int) -> None:
        """A replayed answer used so much."""
        usage = model, prompt_tokens, output_tokens
        usages = self.usages
        if usage in usages or len(usages) < _USAGES_MAX:
            usages[usage] = usages.get(usage, 0) + 1
            return
        prompt, output = self.beyond.get(model, (0, 0))
        self.beyond[model] = prompt + prompt_tokens, output + output_tokens

    def save_socket(self, recording: int) -> None:
        if recording in self.sockets or len(self.sockets) < _USAGES_MAX:
            self.sockets[recording] = self.sockets.get(recording, 0) + 1

    @classmethod
    def of(cls, parts: Sequence[Tally]) -> Tally:
        whole = cls()
        for part in parts:
            for verdict, count in part.counts.items():
                whole.counts[verdict] = whole.counts.get(verdict, 0) + count
            for named, count in part.told.items():
                whole.told[named] = whole.told.get(named, 0) + count
            for usage, times in part.usages.items():
                whole.usages[usage] = whole.usages.get(usage, 0) + times
            for model, tokens in part.beyond.items():
                before = whole.beyond.get(model, (0, 0))
                whole.beyond[model] = before[0] + tokens[0], before[1] + tokens[1]
            for recording, times in part.sockets.items():
                whole.sockets[recording] = whole.sockets.get(recording, 0) + times
            whole.used.update(part.used)
            whole.spent_usd += part.spent_usd
        return whole


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of the whole run. `unused` has the first of them by their ids; all are counted."""

    mode: str
    cassettes: tuple[str, ...]
    counts: Mapping[str, int]
    told: Mapping[tuple[str, str], int]
    unused: Mapping[str, str]
    saved_usd: Decimal
    spent_usd: Decimal

    @property
    def is_empty(self) -> bool:
        """Whether nobody has asked anything."""
        return not any(count for verdict, count in self.counts.items() if verdict != UNUSED)

    def failures(self, strict: Sequence[str]) -> list[str]:
        """The words that make the run fail: those in `strict`, in small letters; `all` is every one but
        HIT and TEXT."""
        named = [word for word in MEANINGS if word.lower() in strict]
        others = [word for word in MEANINGS if word not in _USUAL] if "all" in strict else []
        wanted = [word for word in MEANINGS if word in named or word in others]
        return [word for word in wanted if self.counts.get(word)]

    def as_json(self, strict: Sequence[str] = ()) -> dict[str, Any]:
        return {
            "mode": self.mode,
            "cassettes": list(self.cassettes),
            "counts": {word: self.counts.get(word, 0) for word in MEANINGS},
            "saved_usd": float(round(self.saved_usd, 6)),
            "spent_usd": float(round(self.spent_usd, 6)),
            "told": [
                {"verdict": verdict, "request": request, "count": count}
                for (verdict, request), count in self.told.items()
            ],
            "unused": [{"id": name, "request": said} for name, said in self.unused.items()],
            "failures": self.failures(strict),
        }

    def lines(self) -> Iterator[str]:
        """A table for people."""
        names = " ".join((self.mode, ", ".join(self.cassettes))).strip()
        yield f"{names}: {self.money}"
        for word, meaning in MEANINGS.items():
            if count := self.counts.get(word, 0):
                yield f"  {word:7} {count:>6,}  {meaning}"
                for line in self._named(word):
                    yield f"           {line}"

    @property
    def money(self) -> str:
        return f"{dollars(self.saved_usd)} saved, {dollars(self.spent_usd)} spent"

    def _named(self, word: str) -> Iterator[str]:
        named = [
            (f"{request} ({count} times)" if count > 1 else request)
            for (verdict, request), count in self.told.items()
            if verdict == word
        ]
        if word == UNUSED:
            named = [f"{name} {said}" for name, said in self.unused.items()]
        yield from named[:_LISTED]
        whole = self.counts.get(word, 0) if word == UNUSED else len(named)
        if whole > _LISTED and named:
            yield f"... and {whole - _LISTED} more"

    def annotations(self, strict: Sequence[str]) -> Iterator[str]:
        """Workflow commands of GitHub Actions, which other CI systems understand as well."""
        failing = self.failures(strict)
        for word, meaning in MEANINGS.items():
            count = self.counts.get(word, 0)
            if word in (HIT, NEW) or not count:
                continue
            level = "notice" if word in _USUAL else "warning"
            level = "error" if word in failing else level
            said = "\n".join((f"{count} {word}: {meaning}", *self._named(word)))
            yield f"::{level} title=fakeai-proxy {word}::{_escaped(said)}"
        yield f"::notice title=fakeai-proxy::{_escaped(self.summary)}"

    @property
    def summary(self) -> str:
        counts = ", ".join(f"{count} {word}" for word, count in self.counts.items() if count)
        return f"{counts or 'nothing was asked'}; {self.money}"


#: In the table.
_LISTED = 5
_LEAST_USD = Decimal("0.0001")


def dollars(usd: Decimal) -> str:
    """To the cent from a dollar on; below, to what is worth telling."""
    if usd >= 1:
        return f"${usd:,.2f}"
    if 0 < usd < _LEAST_USD:
        return f"less than ${_LEAST_USD}"
    return f"${usd:.4f}" if usd else "$0"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
