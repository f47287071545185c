"""The journal's pages: finished exchanges by what they were, and one of them with its timeline."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from fakeai_proxy import errors
from fakeai_proxy.exchange import FAULT, HIT, LIVE, SYNTH
from fakeai_proxy.observe.entry import Entry, Moment, Row, entry_of, id_of, moment_of
from fakeai_proxy.observe.journal import Journal, route_of
from fakeai_proxy.observe.pages import CONTROL, Answer, Call, Parameter, Route
from fakeai_proxy.shared.commons import Commons

#: Entries on one page.
PAGE_MAX = 1_000

Test = Callable[[Entry], bool]


def _status_test(wanted: str) -> Test:
    """`429`, or `4xx` for all of them. Raises 400."""
    if len(wanted) == 3 and wanted[0].isdigit() and wanted[1:].lower() == "xx":
        return lambda entry: entry.status // 100 == int(wanted[0])
    if not (wanted.isascii() and wanted.isdigit()):
        raise errors.invalid_value("status", wanted, ("429", "4xx"))
    return lambda entry: entry.status == int(wanted)


#: Query parameter -> what makes a test of its value.
_TESTS: dict[str, Callable[[str], Test]] = {
    "status": _status_test,
    "route": lambda wanted: lambda entry: (entry.route or route_of(entry.path)) == wanted,
    "key": lambda wanted: lambda entry: entry.key_id == wanted,
    "project": lambda wanted: lambda entry: entry.project == wanted,
    "model": lambda wanted: lambda entry: entry.model == wanted,
    "source": lambda wanted: lambda entry: entry.source == wanted,
    "worker": lambda wanted: lambda entry: entry.worker == wanted,
    "end": lambda wanted: lambda entry: entry.end == wanted,
    "phase": lambda wanted: lambda entry: entry.phase == wanted,
    "fault": lambda wanted: (
        lambda entry: any(
            fault == wanted or fault.startswith(wanted + ":") for fault in entry.faults
        )
    ),
}

FILTERS = (
    Parameter("status", "429, or 4xx for all of them."),
    Parameter("route", "The operation, as /chat/completions."),
    Parameter("key", "The id of the key that it was asked with."),
    Parameter("project", "The project that it was asked in."),
    Parameter("model", "The model that was asked for."),
    Parameter("source", "Where the answer came from.", choices=(FAULT, HIT, LIVE, SYNTH)),
    Parameter("worker", "The worker of the fleet that answered."),
    Parameter("end", "How it ended.", choices=("ok", "error", "cut", "client_gone")),
    Parameter("fault", "The kind of a fault that was applied."),
    Parameter("phase", "The phase of a scenario in which it arrived."),
)


_QUERY = (
    Parameter("limit", "Entries on this page.", "integer", 100, 1, PAGE_MAX),
    Parameter("after", "The id of the last entry of the page before."),
    *FILTERS,
)


class Shelf(NamedTuple):
    """What one process has for a page: rows that fit, newest first, and how many it has and had."""

    rows: list[Row]
    kept: int
    finished_total: int


def journal_routes(journal: Journal, commons: Commons) -> tuple[Route, ...]:
    """Every process keeps a journal of its own; a page is of all."""

    async def shelf(query: Mapping[str, Any], after: Moment | None) -> Shelf:
        await journal.settle()
        rows, total = journal.newest_first(), journal.finished_total
        tests, most = tests_of(query), query["limit"] + 1
        with journal.clock.hold():
            fitting = await asyncio.to_thread(_fitting, rows, tests, after, most)
        return Shelf(fitting, len(rows), total)

    async def find(wanted: str) -> Row | None:
        await journal.settle()
        with journal.clock.hold():
            return await asyncio.to_thread(_with_id, journal.newest_first(), wanted)

    commons.offer("journal", shelf)
    commons.offer("journal.entry", find)

    async def row(wanted: str) -> Row | None:
        found = await commons.gather("journal.entry", wanted)
        return next((row for row in found if row is not None), None)

    async def page(call: Call) -> Answer:
        query = call.query
        tests_of(query)
        last = None if query["after"] is None else await row(query["after"])
        if query["after"] is None or last is not None:
            shelves = await commons.gather(
                "journal", query, None if last is None else moment_of(last)
            )
        else:  # what has left the journal is older than all that is in it
            shelves = await commons.gather("journal", {**query, "limit": 0}, _FIRST)
        return Answer(
            lambda: {
                "object": "list",
                **_page(journal, shelves, query["limit"]),
                "kept": sum(shelf.kept for shelf in shelves),
                "size": journal.size * len(shelves),
                "finished_total": sum(shelf.finished_total for shelf in shelves),
            }
        )

    async def one(call: Call) -> Answer:
        wanted = call.params["id"]
        found = await row(wanted)
        if found is None:
            raise errors.not_in_the_journal(errors.shown(wanted))
        return Answer(lambda: _whole(journal, entry_of(found)))

    def clear(call: Call) -> Answer:
        cleared = len(journal)
        journal.reset()
        return Answer({"cleared": cleared})

    return (
        Route("GET", f"{CONTROL}journal", page, "Finished exchanges, newest first.", _QUERY),
        Route("DELETE", f"{CONTROL}journal", clear, "Forget all finished exchanges.",
              reach="machine"),
        Route("GET", f"{CONTROL}journal/{{id}}", one, "One finished exchange."),
    )  # fmt: skip


def _whole(journal: Journal, entry: Entry) -> dict[str, object]:
    timeline = {"timeline": journal.timeline(entry)}
    return {**journal.as_json(entry), **timeline, **journal.bodies(entry)}


def tests_of(query: Mapping[str, Any]) -> list[Test]:
    """Of `FILTERS`. Raises 400."""
    return [make(query[name]) for name, make in _TESTS.items() if query[name] is not None]


def passes(entry: Entry, tests: Sequence[Test]) -> bool:
    return all(test(entry) for test in tests)


#: Before everything.
_FIRST: Moment = (-1.0, 0, "")


def _with_id(rows: Iterable[Row], wanted: str) -> Row | None:
    return next((row for row in rows if id_of(row) == wanted), None)


def _fitting(
    rows: Iterable[Row], tests: Sequence[Test], after: Moment | None, most: int
) -> list[Row]:
    found = []
    for row in rows:
        if after is not None and moment_of(row) >= after:
            continue
        entry = entry_of(row)
        if passes(entry, tests):
            found.append(row)
            if len(found) >= most:
                break
    return found


def _page(journal: Journal, shelves: Sequence[Shelf], limit: int) -> dict[str, object]:
    rows = heapq.merge(*(shelf.rows for shelf in shelves), key=moment_of, reverse=True)
    found = [entry_of(row) for row in islice(rows, limit + 1)]
    shown = found[:limit]
    return {
        "data": [journal.as_json(entry) for entry in shown],
        "has_more": len(found) > limit,
        "last_id": shown[-1].id if shown else None,
    }
