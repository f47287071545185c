"""What comes of every exchange that is replayed, recorded or asked live: an observer that tallies, and the
verdict of all processes together. What tokens cost is for others to say.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.redaction import Redactor
from fakeai_proxy.cassette.turns import Turn, turns
from fakeai_proxy.cassette.unasked import unused
from fakeai_proxy.cassette.verdict import UNUSED, Tally, Verdict
from fakeai_proxy.clock import Clock
from fakeai_proxy.errors import CassetteError
from fakeai_proxy.exchange import HIT, LIVE, MISS, Exchange
from fakeai_proxy.observe.gathering import Gathered
from fakeai_proxy.observe.journal import METHOD_CHARS_MAX, PATH_CHARS_MAX
from fakeai_proxy.observe.pages import CONTROL, Answer, Call, Route
from fakeai_proxy.shared.commons import Commons


class Outcomes(Gathered):
    """`plays`: what nobody asks for is unused. `cost_of` says what the replayed answers of a tally would
    have cost, and may take its time; `spent_usd` what live calls have, once `counted` has been awaited.
    `library` is None where live calls are all there is."""

    def __init__(
        self,
        mode: str,
        library: Library | None,
        *,
        plays: bool,
        strict: Sequence[str],
        cost_of: Callable[[Tally], Decimal],
        spent_usd: Callable[[], Decimal],
        counted: Callable[[], Awaitable[None]],
        clock: Clock,
        commons: Commons,
    ) -> None:
        self._mode = mode
        self._library = library
        self._plays = plays
        self._strict = strict
        self._cost_of = cost_of
        self._spent_usd = spent_usd
        self._counted = counted
        self._clock = clock
        self._commons = commons
        self._spent_before = Decimal(0)
        self._tally = Tally()
        commons.offer("verdict", self.settled)

    def finished(self, exchange: Exchange) -> None:
        verdict, reply = exchange.verdict, exchange.reply
        if reply is not None and reply.provenance == LIVE and verdict in ("", MISS):
            verdict = LIVE
        if not verdict:
            return
        recording = exchange.recording if self._plays else 0
        if verdict != HIT:
            self._tally.add(verdict, _named(exchange), recording)
            return
        self._tally.add(verdict, "", recording)
        workload = None if reply is None else reply.workload
        if reply is not None and reply.dialogue is not None:
            self._tally.save_socket(exchange.recording)
        elif workload is not None:
            self._tally.save(workload.model, workload.prompt_tokens, workload.output_tokens)

    def add(self, verdict: str, request: str) -> None:
        """One more of what exchanges do not tell by themselves."""
        self._tally.add(verdict, request, 0)

    def tally(self) -> Tally:
        """What this process has to say."""
        self.catch_up()
        return replace(self._tally, spent_usd=self._spent_usd() - self._spent_before)

    async def settled(self) -> Tally:
        """The same, with what the last live calls have cost."""
        await self._counted()
        return self.tally()

    def reset(self) -> None:
        self.catch_up()
        self._tally = Tally()
        self._spent_before = self._spent_usd()

    async def verdict(self, parts: Sequence[Tally] | None = None) -> Verdict:
        """Of this process alone, or of these tallies."""
        whole = Tally.of(parts if parts is not None else [await self.settled()])
        with self._clock.hold():
            return await asyncio.to_thread(
                verdict_of, whole, self._mode, self._library, self._plays, self._cost_of
            )

    def routes(self) -> tuple[Route, ...]:
        async def page(call: Call) -> Answer:
            found = await self.verdict(await self._commons.gather("verdict"))
            return Answer(found.as_json(self._strict))

        return (
            Route("GET", f"{CONTROL}verdict", page,
                  "What came of all requests so far: hits, misses, dollars saved and spent."),
        )  # fmt: skip


def verdict_of(
    tally: Tally,
    mode: str,
    library: Library | None,
    plays: bool,
    cost_of: Callable[[Tally], Decimal],
) -> Verdict:
    """Reads recordings and prices: for a thread."""
    left, named_left = unused(library, tally.used) if library is not None and plays else (0, {})
    redactor = Redactor(secrets.token_bytes(16)) if library is None else library.redactor
    for recording, times in tally.sockets.items():
        for turn in () if library is None else _turns(library, recording):
            tally.turns[turn] = tally.turns.get(turn, 0) + times
    told: dict[tuple[str, str], int] = {}
    for (verdict, request), count in tally.told.items():
        data = redactor.scrub(request.encode("utf-8", "backslashreplace"), ())
        shown = verdict, data.decode("utf-8", "replace")
        told[shown] = told.get(shown, 0) + count
    return Verdict(
        mode,
        () if library is None else tuple(map(str, library.paths)),
        {**tally.counts, **({UNUSED: left} if left else {})},
        told,
        named_left,
        cost_of(tally),
        tally.spent_usd,
    )


def _turns(library: Library, recording: int) -> list[Turn]:
    """What the answers on a recorded WebSocket used."""
    entry = library.index.by_id(recording)
    try:
        record = None if entry is None else library.load(entry)
    except CassetteError:
        record = None
    if record is None or record.response is None:
        return []
    return list(turns(record.request.target, record.response.messages))


def _named(exchange: Exchange) -> str:
    request = exchange.request
    host = request.origin.authority if request.origin else ""
    return f"{request.method[:METHOD_CHARS_MAX]} {host}{request.path[:PATH_CHARS_MAX]}"
