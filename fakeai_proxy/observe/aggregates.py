"""Sums over all exchanges since the start or the last reset: by model, endpoint and who asked, by second
for the last minute, and by minute for the last day. An observer.

It keeps counts, never an exchange. Names are the clients' choice, so there is a most of each; what is
beyond is counted under `other`. Whoever asks is named by key id, never by a part of the key.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from fakeai_proxy.clock import Clock
from fakeai_proxy.exchange import HIT, LIVE, Exchange, Reply, is_event_stream
from fakeai_proxy.observe.cell import Cell, Key, Place, Running, Sum, read_and_written
from fakeai_proxy.observe.gathering import Counting
from fakeai_proxy.observe.names import Names, asker, endpoint_name, model_of
from fakeai_proxy.observe.window import MINUTE_S, Second, Window
from fakeai_proxy.shared.commons import Commons

#: Different models, endpoints, users; combinations of them; and what clients called those.
MODELS_MAX, ENDPOINTS_MAX, USERS_MAX, CELLS_MAX = 256, 128, 256, 4096
_CALLED_MAX = 8192
#: Exchanges of one second that are added up before it is over.
_RUNNING_MAX = 1024
#: Minutes that are remembered one by one.
DAY_MINUTES = 1440
#: Who sends no key.
NOBODY = "anonymous"
#: What the limits say to wait for is no more than this.
_WAIT_MAX_S = 86_400.0
_TOO_MANY = 429
#: Where an answer comes from that says nothing of its usage.
_OTHERS = (HIT, LIVE)


class Sums(NamedTuple):
    """A snapshot, of one process or of several together. Instants are the clock's; `seconds` are those
    of the last minute by endpoint; `minutes` have requests by model, the last one that of `now`."""

    now: float
    epoch_s: float
    began_at: float
    cells: Mapping[Key, Sum]
    seconds: Mapping[str, Second]
    minutes: Mapping[str, array[int]]
    active_streams: int


class Aggregates(Counting):
    def __init__(self, clock: Clock, commons: Commons, streams: Callable[[], int]) -> None:
        """`streams` tells how many are under way."""
        self._clock = clock
        self._commons = commons
        self._streams = streams
        commons.offer("aggregates", self.sums)
        commons.offer("used", self.used)
        self.reset()

    def reset(self) -> None:
        self.catch_up()
        self._began_at = self._clock.now()
        self._cells: dict[Key, Cell] = {}
        #: By the names that clients gave.
        self._called: dict[tuple[str, str, str], Cell] = {}
        self._window = Window()
        self._minutes: dict[str, array[int]] = {}
        self._minute = int(self._began_at) // MINUTE_S
        self._models, self._endpoints = Names(MODELS_MAX), Names(ENDPOINTS_MAX)
        self._users = Names(USERS_MAX)

    def alike(self, exchanges: Sequence[Exchange]) -> None:
        first = exchanges[0]
        request = first.request
        called = model_of(first), request.path, first.key_id or asker(request)
        cell = self._called.get(called) or self._cell(called, first)
        at = first.finished_at or self._clock.now()
        running = cell.running
        if running.stamp != int(at) or len(running.tokens) >= _RUNNING_MAX:
            running = self._turn(cell, int(at))
        cell.statuses[first.status] += len(exchanges)
        cell.last_at = max(cell.last_at, exchanges[-1].finished_at or at)
        ok = first.end == "ok" and first.status < 400
        streams = first.reply is not None and is_event_stream(first.reply.headers)
        for exchange in exchanges:
            written = _worked(cell, exchange, ok)
            if ok:
                running.latency.append((exchange.finished_at or at) - exchange.arrived_at)
            else:
                _failed(cell, exchange)
            if exchange.reply is not None:
                _heard(running, exchange, exchange.reply, streams, written if ok else -1)

    def _cell(self, called: tuple[str, str, str], exchange: Exchange) -> Cell:
        model, path, user = called
        key = Key(
            self._models.known(model),
            self._endpoints.known(endpoint_name(path)),
            self._users.known(user or NOBODY),
        )
        cell = self._cells.get(key)
        if cell is None and len(self._cells) >= CELLS_MAX:
            key = Key(Names.OTHER, Names.OTHER, Names.OTHER)
            cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = Cell(key, asker(exchange.request), exchange.arrived_at)
        if len(self._called) >= _CALLED_MAX:
            self._called.clear()
        self._called[called] = cell
        return cell

    def _turn(self, cell: Cell, stamp: int) -> Running:
        ended = cell.end_second(stamp)
        if ended is not None:
            past, second = ended
            self._window.add(past, cell.key.endpoint, second)
            if cell.key.model:
                self._count_minute(cell.key.model, past // MINUTE_S, second.requests)
        return cell.running

    def _count_minute(self, model: str, minute: int, requests: int) -> None:
        self._turn_minutes(minute)
        if minute <= self._minute - DAY_MINUTES:
            return
        counts = self._minutes.get(model)
        if counts is None:
            counts = self._minutes[model] = array("L", bytes(8 * DAY_MINUTES))
        counts[minute % DAY_MINUTES] += requests

    def _turn_minutes(self, minute: int) -> None:
        """Minutes of a day ago make room."""
        if minute <= self._minute:
            return
        for passed in range(max(self._minute + 1, minute - DAY_MINUTES + 1), minute + 1):
            for counts in self._minutes.values():
                counts[passed % DAY_MINUTES] = 0
        self._minute = minute

    # --- reading -----------------------------------------------------------------------------------

    def sums(self) -> Sums:
        """Of this process."""
        self.catch_up()
        now = self._clock.now()
        for cell in self._cells.values():
            self._turn(cell, int(now))
        self._turn_minutes(int(now) // MINUTE_S)
        at = (self._minute + 1) % DAY_MINUTES
        return Sums(
            now,
            self._clock.epoch_s,
            self._began_at,
            {key: Sum.of((cell,)) for key, cell in self._cells.items()},
            self._window.last_minute(now),
            {model: counts[at:] + counts[:at] for model, counts in self._minutes.items()},
            self._streams(),
        )

    def used(self) -> dict[Place, Counter[str]]:
        """What was used since the start, of this process."""
        self.catch_up()
        now, found = int(self._clock.now()), dict[Place, Counter[str]]()
        for cell in self._cells.values():
            self._turn(cell, now)
            for place, amounts in cell.used.items():
                found.setdefault(place, Counter()).update(amounts)
        return found

    async def of_all(self) -> Sums:
        """Of all processes together."""
        return united(await self._commons.gather("aggregates"))


def united(parts: Sequence[Sums]) -> Sums:
    if len(parts) == 1:
        return parts[0]
    cells: dict[Key, list[Sum]] = {}
    seconds: dict[str, list[Second]] = {}
    minutes: dict[str, array[int]] = {}
    for part in parts:
        for key, cell in part.cells.items():
            cells.setdefault(key, []).append(cell)
        for endpoint, second in part.seconds.items():
            seconds.setdefault(endpoint, []).append(second)
        for model, counts in part.minutes.items():
            mine = minutes.get(model)
            minutes[model] = counts if mine is None else array("L", map(int.__add__, mine, counts))
    return Sums(
        max(part.now for part in parts),
        parts[0].epoch_s,
        min(part.began_at for part in parts),
        {key: Sum.of(each) for key, each in cells.items()},
        {endpoint: Second.of(each) for endpoint, each in seconds.items()},
        minutes,
        sum(part.active_streams for part in parts),
    )


def _worked(cell: Cell, exchange: Exchange, ok: bool) -> int:
    """How many tokens were written."""
    workload = None if exchange.reply is None else exchange.reply.workload
    read = written = 0
    if workload is not None:
        read = len(workload.prompt)
        cell.prompt_tokens += read
        cell.cached_tokens += exchange.admission.cached_tokens
        if ok:  # of one that broke off, nobody knows how much was written
            written = workload.output_tokens
            cell.output_tokens += written
    cell.running.tokens.append(read + written)
    return written


def _failed(cell: Cell, exchange: Exchange) -> None:
    cell.running.errors += 1
    if exchange.status == _TOO_MANY and exchange.refused is not None:
        amount, wait_s = exchange.refused
        cell.running.throttled += 1
        cell.refusals[amount] += 1
        cell.wait_s.add(min(wait_s, _WAIT_MAX_S))


def _heard(running: Running, exchange: Exchange, reply: Reply, streams: bool, written: int) -> None:
    """`written` tokens; -1 where it failed."""
    first = exchange.first_byte_at
    if streams and first is not None:
        if written < 0:
            running.streams_failed += 1
        else:
            at = exchange.finished_at or first
            running.ttft.append(first - exchange.arrived_at)
            if written and at > first:
                running.speed.append(written / (at - first))
    # As the account book has it: what was settled, or is counted with the job that asked.
    if reply.status < 400 and not reply.cut and exchange.meter is None:
        usage = reply.usage
        if not usage and written >= 0 and reply.workload and reply.provenance in _OTHERS:
            usage = (read_and_written(reply.workload),)
        if usage:
            running.used.append((usage, exchange.admission.cached_tokens, exchange.tier))
