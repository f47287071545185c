"""The journal as it grows: a stream of server-sent events for whoever looks.

A reader asks, a few times a second, for what has been added since; nothing is done for an exchange
while nobody reads, and the journal itself is what a slow reader is behind in. One that is further
behind than `BEHIND_MAX` is told how many it has missed.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple

import orjson

from fakeai_proxy.observe.entry import Row, entry_of
from fakeai_proxy.observe.journal import Journal
from fakeai_proxy.observe.journal_routes import FILTERS, passes, tests_of
from fakeai_proxy.observe.pages import CONTROL, Answer, Call, Route
from fakeai_proxy.shared.commons import Commons

#: How often a reader asks; what comes within it leaves together.
ASK_REAL_S = 0.2
#: After how much silence a reader is told that we are still there.
HEARTBEAT_REAL_S = 15.0
#: Entries of one process that a reader may be behind.
BEHIND_MAX = 5_000
#: Of one process in one piece.
PIECE_MAX = 500

_PLACE = re.compile(r"([\w.]{1,40})-(\d{1,18})")
_HEADERS = ((b"cache-control", b"no-store"), (b"x-accel-buffering", b"no"))
_HELLO = b"retry: 1000\n: the journal as it grows\nid: %b\n\n"

#: How far a reader is: the number of the last entry that it has seen, by journal.
Places = dict[str, int]


class Added(NamedTuple):
    """What one process's journal has after a place: the JSON of entries that fit, oldest first. `last` is
    the place to ask from next; `missed` entries before it are gone, or were skipped."""

    era: str
    last: int
    entries: list[bytes]
    missed: int
    has_more: bool


def feed_route(journal: Journal, commons: Commons) -> Route:
    async def added(query: Mapping[str, Any], places: Places | None) -> Added:
        await journal.settle()
        era, total = journal.era, journal.finished_total
        if places is None:
            return Added(era, total, [], 0, False)
        rows, missed = _after(journal, places.get(era, 0))
        tests = tests_of(query)

        def fitting() -> list[bytes]:
            found = [entry for entry in map(entry_of, rows) if passes(entry, tests)]
            return [orjson.dumps(journal.as_json(entry)) for entry in found]

        if not rows:
            return Added(era, total, [], missed, False)
        with journal.clock.hold():
            entries = await asyncio.to_thread(fitting)
        last = entry_of(rows[-1]).number
        return Added(era, last, entries, missed, last < journal.finished_total)

    commons.offer("journal.added", added)

    def stream(call: Call) -> Answer:
        tests_of(call.query)  # raises 400 before there is a stream
        reader = _Reader(commons, call.query, call.request.text_header(b"last-event-id"))
        return Answer(reader.events(), content_type="text/event-stream", headers=_HEADERS)

    return Route(
        "GET", f"{CONTROL}journal/stream", stream,
        "Exchanges as they finish, as server-sent events: `exchange` with the entry as data; `lagged` "
        "with how many a slow reader has `missed`. Last-Event-ID goes on where a reader left off.",
        FILTERS,
    )  # fmt: skip


def _after(journal: Journal, number: int) -> tuple[list[Row], int]:
    """Its next entries, and how many are not to be had any more."""
    new = journal.finished_total - number
    reachable = min(new, len(journal), BEHIND_MAX)
    if reachable <= 0:
        return [], max(new, 0) if not journal.size else 0
    newest = list(islice(journal.newest_first(), reachable))
    newest.reverse()
    return newest[:PIECE_MAX], new - reachable


class _Reader:
    def __init__(self, commons: Commons, query: Mapping[str, Any], last_id: str) -> None:
        self._commons = commons
        self._query = query
        self._places: Places | None = _places(last_id)
        self._quiet_s = 0.0

    async def events(self) -> AsyncGenerator[bytes]:
        if self._places is None:
            here = await self._commons.gather("journal.added", self._query, None)
            self._places = {added.era: added.last for added in here}
        yield _HELLO % _last_id(self._places)  # whoever has read this misses nothing from here on
        while True:
            found = await self._commons.gather("journal.added", self._query, self._places)
            piece = self._told(found)
            if piece:
                self._quiet_s = 0.0
                yield piece
            if any(added.has_more for added in found):
                continue
            await _real(ASK_REAL_S)
            self._quiet_s += ASK_REAL_S
            if self._quiet_s >= HEARTBEAT_REAL_S:
                self._quiet_s = 0.0
                yield b": still there\n\n"

    def _told(self, found: Sequence[Added]) -> bytes:
        assert self._places is not None
        events = []
        missed = sum([added.missed for added in found])
        for added in found:
            self._places[added.era] = added.last
            name = added.era.partition(".")[0] + "."
            for era in [era for era in self._places if era.startswith(name) and era != added.era]:
                del self._places[era]  # from before a reset
        if missed:
            events.append(b'event: lagged\ndata: {"missed":%d}\n\n' % missed)
        entries = [entry for added in found for entry in added.entries]
        events += [b"event: exchange\ndata: %b\n\n" % entry for entry in entries]
        if events:
            # After the last of them all: who leaves in their middle sees some of them twice, none never.
            events[-1] = b"id: %b\n%b" % (_last_id(self._places), events[-1])
        return b"".join(events)


def _places(last_id: str) -> Places | None:
    """None for who has seen nothing, or comes with an id that is none of ours."""
    found = {match[1]: int(match[2]) for match in _PLACE.finditer(last_id[:4096])}
    return found or None


def _last_id(places: Places) -> bytes:
    return ",".join([f"{era}-{number}" for era, number in places.items()]).encode()


async def _real(seconds: float) -> None:
    """Readers are people and programs: they wait in real time, whatever our clock does."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()
