"""What live answers differ in from their recordings: each difference once, with how often and since when."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fakeai_proxy.cassette.against import DRIFTING, Compared
from fakeai_proxy.cassette.spread import Spread
from fakeai_proxy.clock import Clock
from fakeai_proxy.exchange import DRIFT, SKIPPED, TEXT
from fakeai_proxy.observe.pages import CONTROL, Answer, Call, Route
from fakeai_proxy.shared.commons import Commons

#: Different differences that are told of, and times that are remembered.
_FOUND_MAX = 500
_TIMES_MAX = 10_000


@dataclass(slots=True)
class Seen:
    first_at: float
    last_at: float
    recording: str
    #: Of texts: where the last one differs, by the word.
    example: str = ""
    count: int = 0


@dataclass(slots=True)
class DriftPart:
    """What one process has found."""

    compared: int = 0
    same: int = 0
    drifting: int = 0
    #: Kind, request and what differs.
    found: dict[tuple[str, str, str], Seen] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    #: Milliseconds to the first byte, of recording and live answer.
    ttft_ms: list[tuple[float, float]] = field(default_factory=list)


class DriftNotes:
    """`add` takes what came of each into the verdict, `settled` waits for what is being compared."""

    def __init__(self, clock: Clock, commons: Commons, add: Callable[[str, str], None]) -> None:
        self._clock = clock
        self._commons = commons
        self._add = add
        self.part = DriftPart()
        self.settled: Callable[[], Awaitable[None]] | None = None
        commons.offer("drift", self._settled)

    def compared(self, found: Compared) -> None:
        part, now = self.part, self._clock.wall()
        part.compared += 1
        part.same += not found.changes
        part.drifting += bool(found.drifts)
        before, live = found.ttft_ms
        if before is not None and live is not None and len(part.ttft_ms) < _TIMES_MAX:
            part.ttft_ms.append((before, live))
        for change in found.changes:
            # What a model said is another thing each time: that it differs is all there is to tell.
            details = change.details if change.kind in DRIFTING else ("the text differs",)
            for detail in details:
                named = change.kind, found.request, detail
                if named not in part.found and len(part.found) >= _FOUND_MAX:
                    continue
                seen = part.found.setdefault(named, Seen(now, now, found.recording))
                seen.count += 1
                seen.last_at = now
                if change.kind not in DRIFTING:
                    seen.example = "; ".join(change.details)
            word = DRIFT if change.kind in DRIFTING else TEXT
            self._add(word, f"{found.request}: {'; '.join(change.details[:3])}")

    def failed(self, why: str) -> None:
        self._add(SKIPPED, why)
        if why in self.part.failed or len(self.part.failed) < _FOUND_MAX:
            self.part.failed[why] = self.part.failed.get(why, 0) + 1

    def reset(self) -> None:
        self.part = DriftPart()

    async def _settled(self) -> DriftPart:
        if self.settled is not None:
            await self.settled()
        return self.part

    def routes(self) -> tuple[Route, ...]:
        async def page(call: Call) -> Answer:
            parts = await self._commons.gather("drift")
            return Answer(lambda: _told(parts))

        return (
            Route("GET", f"{CONTROL}drift", page,
                  "What live answers differ in from their recordings (--mode diff)."),
        )  # fmt: skip


def _told(parts: list[DriftPart]) -> dict[str, Any]:
    found: dict[tuple[str, str, str], Seen] = {}
    failed: dict[str, int] = {}
    for part in parts:
        for named, seen in part.found.items():
            one = found.setdefault(named, Seen(seen.first_at, seen.last_at, seen.recording))
            one.count += seen.count
            one.first_at = min(one.first_at, seen.first_at)
            one.last_at = max(one.last_at, seen.last_at)
            one.example = seen.example or one.example
        for why, count in part.failed.items():
            failed[why] = failed.get(why, 0) + count
    pairs = [pair for part in parts for pair in part.ttft_ms]
    return {
        "object": "list",
        "compared": sum(part.compared for part in parts),
        "same": sum(part.same for part in parts),
        "drifting": sum(part.drifting for part in parts),
        "not_compared": failed,
        "ttft_ms": {
            side: _quantiles([pair[place] for pair in pairs])
            for place, side in enumerate(("recorded", "live"))
        },
        "data": [
            {
                "kind": kind,
                "request": request,
                "difference": detail,
                "example": seen.example or None,
                "count": seen.count,
                "recording": seen.recording,
                "first_seen": _instant(seen.first_at),
                "last_seen": _instant(seen.last_at),
            }
            for (kind, request, detail), seen in found.items()
        ],
    }  # fmt: skip


def _quantiles(times_ms: list[float]) -> dict[str, float]:
    spread = Spread(1000, 1)
    spread.add(round(time_ms * 1000) for time_ms in times_ms)
    return spread.quantiles()


def _instant(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
