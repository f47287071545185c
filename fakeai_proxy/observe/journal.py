"""The last finished exchanges: who asked what, what it was given, how long that took.

An entry holds numbers and short texts only: no header, no body and no query string, where secrets
travel, and nothing that would keep those alive.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from fakeai_proxy import errors
from fakeai_proxy.clock import Clock
from fakeai_proxy.exchange import FAULT, HIT, LIVE, SYNTH, Exchange
from fakeai_proxy.observe.pages import CONTROL, Answer, Call, Parameter, Route
from fakeai_proxy.shared.commons import Commons

#: Characters kept of what a client may make as long as it likes.
METHOD_CHARS_MAX = 16
HOST_CHARS_MAX = 255
PATH_CHARS_MAX = 256
MODEL_CHARS_MAX = 128
#: Faults told of one exchange.
FAULTS_MAX = 8
#: Entries on one page.
PAGE_MAX = 1_000


class JournalSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    journal_size: int = Field(
        10_000,
        ge=0,
        le=200_000,
        description="Finished exchanges that GET /_fakeai/v1/journal can tell of; 0 keeps none. An "
        "entry takes about 1 kB.",
    )


class Entry(NamedTuple):
    """`arrived_at` and the instants after it are the clock's."""

    id: str
    arrived_at: float
    first_byte_at: float | None
    finished_at: float
    method: str
    host: str
    path: str
    model: str
    status: int
    source: str
    worker: str
    cached_tokens: int
    queue_s: float
    prompt_tokens: int | None
    output_tokens: int | None
    bytes: int
    faults: tuple[str, ...]
    phase: str
    end: str
    #: In the order in which its process finished them.
    number: int = 0


class Journal:
    """An observer."""

    def __init__(self, settings: JournalSettings, clock: Clock) -> None:
        self.clock = clock
        self._epoch = clock.epoch_s
        # Plain tuples, which the garbage collector lets go; it would walk over named ones for ever.
        self._rows: deque[tuple[object, ...]] = deque(maxlen=settings.journal_size)
        #: All there were since the start or the last reset.
        self.finished_total = 0

    @property
    def size(self) -> int:
        return self._rows.maxlen or 0

    def __len__(self) -> int:
        return len(self._rows)

    def finished(self, exchange: Exchange) -> None:
        self.finished_total += 1
        if not self._rows.maxlen:
            return
        request, reply, admission = exchange.request, exchange.reply, exchange.admission
        workload = None if reply is None else reply.workload
        end = exchange.end
        finished_at = exchange.finished_at
        self._rows.append(
            (  # as Entry has them
                exchange.id,
                exchange.arrived_at,
                exchange.first_byte_at,
                self.clock.now() if finished_at is None else finished_at,
                request.method[:METHOD_CHARS_MAX],
                request.origin.authority[:HOST_CHARS_MAX] if request.origin else "",
                request.path[:PATH_CHARS_MAX],
                workload.model[:MODEL_CHARS_MAX] if workload else "",
                exchange.status,
                reply.provenance if reply else "",
                admission.worker,
                admission.cached_tokens,
                admission.queue_s,
                workload.prompt_tokens if workload else None,
                # Of an answer that broke off, only a part went out.
                workload.output_tokens if workload and end == "ok" else None,
                exchange.sent_bytes,
                exchange.faults[:FAULTS_MAX],
                exchange.phase,
                end,
                self.finished_total,
            )
        )

    def newest_first(self) -> list[tuple[object, ...]]:
        """A snapshot: what each `Entry` is made of."""
        return list(reversed(self._rows))

    def reset(self) -> None:
        self._rows.clear()
        self.finished_total = 0

    def as_json(self, entry: Entry) -> dict[str, object]:
        first = entry.first_byte_at
        arrived = datetime.fromtimestamp(self._epoch + entry.arrived_at, UTC)
        return {
            "id": entry.id,
            "arrived": arrived.isoformat(timespec="microseconds"),
            "method": entry.method,
            "host": _shown(entry.host) or None,
            "path": _shown(entry.path),
            "model": _shown(entry.model) or None,
            "status": entry.status or None,
            "source": entry.source or None,
            "worker": entry.worker or None,
            "cached_tokens": entry.cached_tokens,
            "queue_ms": _ms(entry.queue_s),
            "ttft_ms": None if first is None else _ms(first - entry.arrived_at),
            "total_ms": _ms(entry.finished_at - entry.arrived_at),
            "prompt_tokens": entry.prompt_tokens,
            "output_tokens": entry.output_tokens,
            "bytes": entry.bytes,
            "faults": entry.faults,
            "phase": entry.phase or None,
            "end": entry.end,
        }


Test = Callable[[Entry], bool]


def _status_test(wanted: str) -> Test:
    """`429`, or `4xx` for all of them. Raises 400."""
    if len(wanted) == 3 and wanted[0].isdigit() and wanted[1:].lower() == "xx":
        return lambda entry: entry.status // 100 == int(wanted[0])
    if not (wanted.isascii() and wanted.isdigit()):
        raise errors.invalid_value("status", wanted, ("429", "4xx"))
    return lambda entry: entry.status == int(wanted)


#: Query parameter -> what makes a test of its value.
_FILTERS: dict[str, Callable[[str], Test]] = {
    "status": _status_test,
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

_QUERY = (
    Parameter("limit", "Entries on this page.", "integer", 100, 1, PAGE_MAX),
    Parameter("after", "The id of the last entry of the page before."),
    Parameter("status", "429, or 4xx for all of them."),
    Parameter("model", "The model that was asked for."),
    Parameter("source", "Where the answer came from.", choices=(FAULT, HIT, LIVE, SYNTH)),
    Parameter("worker", "The worker of the fleet that answered."),
    Parameter("end", "How it ended.", choices=("ok", "error", "cut", "client_gone")),
    Parameter("fault", "The kind of a fault that was applied."),
    Parameter("phase", "The phase of a scenario in which it arrived."),
)


class Shelf(NamedTuple):
    """What one process has for a page: rows that fit, newest first, and how many it has and had."""

    rows: list[tuple[object, ...]]
    kept: int
    finished_total: int


def journal_routes(journal: Journal, commons: Commons) -> tuple[Route, ...]:
    """Every process keeps a journal of its own; a page is of all."""

    async def shelf(query: Mapping[str, Any], after: Moment | None) -> Shelf:
        rows, total = journal.newest_first(), journal.finished_total
        tests, most = _tests(query), query["limit"] + 1
        with journal.clock.hold():
            fitting = await asyncio.to_thread(_fitting, rows, tests, after, most)
        return Shelf(fitting, len(rows), total)

    def find(wanted: str) -> tuple[object, ...] | None:
        return next((row for row in journal.newest_first() if row[0] == wanted), None)

    commons.offer("journal", shelf)
    commons.offer("journal.entry", find)

    async def row(wanted: str) -> tuple[object, ...] | None:
        found = await commons.gather("journal.entry", wanted)
        return next((row for row in found if row is not None), None)

    async def page(call: Call) -> Answer:
        query = call.query
        _tests(query)
        last = None if query["after"] is None else await row(query["after"])
        if query["after"] is None or last is not None:
            shelves = await commons.gather(
                "journal", query, None if last is None else _moment(last)
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
        return Answer(journal.as_json(Entry._make(found)))

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


def _tests(query: Mapping[str, Any]) -> list[Test]:
    """Raises 400."""
    return [make(query[name]) for name, make in _FILTERS.items() if query[name] is not None]


#: When an exchange ended and, among those of one instant, which one it is.
Moment = tuple[float, int, str]

_FINISHED_AT = Entry._fields.index("finished_at")
_NUMBER = Entry._fields.index("number")
#: Before everything.
_FIRST: Moment = (-1.0, 0, "")


def _moment(row: Sequence[Any]) -> Moment:
    return row[_FINISHED_AT], row[_NUMBER], row[0]


def _fitting(
    rows: Sequence[tuple[object, ...]], tests: Sequence[Test], after: Moment | None, most: int
) -> list[tuple[object, ...]]:
    found = []
    for row in rows:
        if after is not None and _moment(row) >= after:
            continue
        entry = Entry._make(row)
        if all(test(entry) for test in tests):
            found.append(row)
            if len(found) >= most:
                break
    return found


def _page(journal: Journal, shelves: Sequence[Shelf], limit: int) -> dict[str, object]:
    rows = heapq.merge(*(shelf.rows for shelf in shelves), key=_moment, reverse=True)
    found = [Entry._make(row) for row in islice(rows, limit + 1)]
    shown = found[:limit]
    return {
        "data": [journal.as_json(entry) for entry in shown],
        "has_more": len(found) > limit,
        "last_id": shown[-1].id if shown else None,
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _shown(text: str) -> str:
    """Without surrogates (bytes of a target that are no UTF-8), and without what looks like a key:
    some put theirs into the path."""
    from fakeai_proxy.cassette.shapes import matches

    data = text.encode("utf-8", "backslashreplace")
    for start, end, kind in reversed(matches(data)):
        data = b"%b[%b]%b" % (data[:start], kind.encode(), data[end:])
    return data.decode("utf-8", "replace")
