"""The end of a run: what was replayed, recorded, missed, and never asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

#: Unused recordings that are listed for each cassette.
_LISTED = 5


@dataclass
class Tally:
    """Of one cassette, over all tests that had it."""

    shared: bool = False
    replayed: int = 0
    recorded: int = 0
    missed: int = 0
    failed: bool = False
    dropped: bool = False
    used: set[str] = field(default_factory=set)
    there: dict[str, str] = field(default_factory=dict)

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
        tallies = self._tallies.values()
        unused = sum(len(tally.unused) for tally in tallies)
        counts = {
            "replayed": sum(tally.replayed for tally in tallies),
            "recorded": sum(tally.recorded for tally in tallies),
            "missed": sum(tally.missed for tally in tallies),
            "unused": unused,
        }
        told = ", ".join(f"{count} {what}" for what, count in counts.items())
        number = sum(1 for tally in tallies if tally.there or tally.recorded)
        yield f"{told} ({number} cassette{'' if number == 1 else 's'})"
        for path, tally in sorted(self._tallies.items()):
            yield from _remarks(os.path.relpath(path, root), tally)


def _remarks(path: str, tally: Tally) -> Iterator[str]:
    """Nothing of a cassette that was just replayed."""
    if tally.recorded:
        yield f"  {path}: {tally.recorded} recorded"
    if tally.dropped:
        yield f"  {path}: what was recorded is not kept, because the test failed"
    if tally.missed:
        yield f"  {path}: {tally.missed} missed"
    unused = tally.unused
    if unused:
        yield f"  {path}: {len(unused)} of {len(tally.there)} unused"
        for name, said in list(unused.items())[:_LISTED]:
            yield f"    {name} {said}"
        if len(unused) > _LISTED:
            yield f"    ... and {len(unused) - _LISTED} more"
