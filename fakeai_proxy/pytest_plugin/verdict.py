"""The end of a run: what was replayed, recorded, missed, and never asked for, and what that saved."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from fakeai_proxy.cassette.verdict import UNUSED, dollars
from fakeai_proxy.exchange import HIT, MISS, NEW, STALE

#: Unused recordings that are listed for each cassette.
_LISTED = 5


@dataclass
class Tally:
    """Of one cassette, over all tests that had it."""

    shared: bool = False
    replayed: int = 0
    recorded: int = 0
    missed: int = 0
    stale: int = 0
    saved_usd: Decimal = Decimal(0)
    spent_usd: Decimal = Decimal(0)
    failed: bool = False
    dropped: bool = False
    used: set[str] = field(default_factory=set)
    there: dict[str, str] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        return {
            HIT: self.replayed,
            NEW: self.recorded,
            STALE: self.stale,
            MISS: self.missed,
            UNUSED: len(self.unused),
        }

    @property
    def unused(self) -> dict[str, str]:
        """Nothing where a test that failed may not have come as far as asking for it."""
        if self.failed:
            return {}
        return {name: said for name, said in self.there.items() if name not in self.used}


class Verdict:
    def __init__(self) -> None:
        self._tallies: dict[str, Tally] = {}

    def __bool__(self) -> bool:
        return bool(self._tallies)

    def add(self, told: Mapping[str, Any]) -> None:
        """`told` are the fields of a `Told`."""
        tally = self._tallies.setdefault(told["cassette"], Tally())
        tally.shared |= told["shared"]
        tally.replayed += told["replayed"]
        tally.recorded += told["recorded"]
        tally.missed += told["missed"]
        tally.stale += told["stale"]
        tally.saved_usd += Decimal(told["saved_usd"])
        tally.spent_usd += Decimal(told["spent_usd"])
        tally.failed |= told["failed"]
        tally.dropped |= told["dropped"]
        tally.used.update(told["used"])
        for name, said in told["there"].items():
            # Whoever used it knows it by name only.
            tally.there[name] = said or tally.there.get(name, "")

    @property
    def is_unused_shared(self) -> bool:
        """Whether cassettes of several tests hold what none of them asked for."""
        return any(tally.shared and tally.unused for tally in self._tallies.values())

    def lines(self, root: str) -> Iterator[str]:
        counts = ", ".join(f"{count} {word}" for word, count in self._counts().items())
        number = sum(1 for tally in self._tallies.values() if tally.there or tally.recorded)
        saved, spent = (dollars(usd) for usd in self._usd())
        cassettes = f"{number} cassette{'' if number == 1 else 's'}"
        yield f"{counts} ({cassettes}); {saved} saved, {spent} spent"
        for path, tally in sorted(self._tallies.items()):
            yield from _remarks(os.path.relpath(path, root), tally)

    def as_json(self, root: str) -> dict[str, Any]:
        saved, spent = self._usd()
        return {
            "counts": self._counts(),
            "saved_usd": float(round(saved, 6)),
            "spent_usd": float(round(spent, 6)),
            "cassettes": {
                os.path.relpath(path, root): {
                    "counts": tally.counts(),
                    "saved_usd": float(round(tally.saved_usd, 6)),
                    "spent_usd": float(round(tally.spent_usd, 6)),
                    "unused": tally.unused,
                }
                for path, tally in sorted(self._tallies.items())
            },
        }

    def _counts(self) -> dict[str, int]:
        whole: dict[str, int] = {}
        for tally in self._tallies.values():
            for word, count in tally.counts().items():
                whole[word] = whole.get(word, 0) + count
        return whole

    def _usd(self) -> tuple[Decimal, Decimal]:
        tallies = self._tallies.values()
        return (
            sum((tally.saved_usd for tally in tallies), Decimal(0)),
            sum((tally.spent_usd for tally in tallies), Decimal(0)),
        )


def _remarks(path: str, tally: Tally) -> Iterator[str]:
    """Nothing of a cassette that was just replayed."""
    if tally.recorded:
        yield f"  {path}: {tally.recorded} {NEW}"
    if tally.dropped:
        yield f"  {path}: what was recorded is not kept, because the test failed"
    if tally.missed:
        yield f"  {path}: {tally.missed} {MISS}"
    unused = tally.unused
    if unused:
        yield f"  {path}: {len(unused)} of {len(tally.there)} {UNUSED}"
        for name, said in list(unused.items())[:_LISTED]:
            yield f"    {name} {said}"
        if len(unused) > _LISTED:
            yield f"    ... and {len(unused) - _LISTED} more"
