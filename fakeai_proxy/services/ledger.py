"""The account book: what was used by whom, from the answer to the store.

With a data folder each answer is a line of a log before its last byte leaves; without one it is kept in
memory. Either is counted together when somebody asks or when it has become much, so that an exchange
costs microseconds and no transaction of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from fakeai_proxy.clock import Clock, Timer
from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import BATCH, PROJECT, Admission, Exchange, Usage
from fakeai_proxy.services.metering import tallies
from fakeai_proxy.store import Store, Tally
from fakeai_proxy.store.tally_log import TallyLog, line_of

log = logging.getLogger("fakeai_proxy")

#: Different exchanges in memory until they are added up, and sums and bytes of a log until they are
#: counted unasked.
WAITING_MAX, SUMS_MAX, WAITING_BYTES_MAX = 512, 5_000, 1 << 20
#: Kinds of exchanges whose lines are kept.
_LINES_MAX = 512
_MINUTE_S = 60
#: After a store could not be used.
_RETRY_S = 1.0


class _Entry(NamedTuple):
    """Equal ones are added up. Usages are equal only if they are the same."""

    usage: Sequence[Usage]
    cached_tokens: int
    project: str
    key_id: str
    user_id: str
    tier: str

    def tallies(self, at: float) -> list[Tally]:
        return tallies(
            self.usage, at, Admission(cached_tokens=self.cached_tokens), project=self.project,
            key_id=self.key_id, user_id=self.user_id, tier=self.tier,
        )  # fmt: skip


#: Amounts by minute, kind and labels.
_Sums = dict[tuple[int, str, tuple[tuple[str, str], ...]], dict[str, int]]


class Ledger:
    """`note` is the pipeline's meter. Where other machines use the same store, what is noted is in it
    after `interval_s`, and whoever asks waits for theirs."""

    def __init__(
        self,
        keeper: Callable[[], Store],
        folder: Path | None,
        clock: Clock,
        interval_s: float | None = None,
    ) -> None:
        self._keeper = keeper
        self._clock = clock
        self._log = None if folder is None else TallyLog(folder, clock)
        self._interval_s = interval_s
        self._waiting: dict[tuple[int, _Entry], int] = {}
        self._sums: _Sums = {}
        self._lines: dict[_Entry, list[bytes]] = {}
        self._counting = asyncio.Lock()
        self._task: asyncio.Future[None] | None = None
        self._timer: Timer | None = None
        self._is_armed = False

    def note(self, exchange: Exchange) -> None:
        """What it used is safe from a kill afterwards, if there is a folder."""
        reply = exchange.reply
        if reply is None or not reply.usage or reply.status >= 400 or reply.cut:
            return
        if exchange.tier == BATCH:
            return  # its job counts it, with its result
        entry = _Entry(
            tuple(reply.usage), exchange.admission.cached_tokens, exchange.project or PROJECT,
            exchange.key_id, exchange.user_id, exchange.tier,
        )  # fmt: skip
        minute_at = int(self._clock.wall()) // _MINUTE_S * _MINUTE_S
        if self._log is None or not self._append(self._log, minute_at, entry):
            place = minute_at, entry
            self._waiting[place] = self._waiting.get(place, 0) + 1
            if len(self._waiting) >= WAITING_MAX:
                self._add_up()
        if self._is_much and not self._is_armed:
            self._count_soon()
        elif self._interval_s is not None and not self._is_armed:
            self._arm(self._interval_s)

    @property
    def _is_much(self) -> bool:
        much = len(self._sums) >= SUMS_MAX
        return much or (self._log is not None and self._log.waiting_bytes >= WAITING_BYTES_MAX)

    def _append(self, to: TallyLog, minute_at: int, entry: _Entry) -> bool:
        lines = self._lines.get(entry)
        if lines is None:
            if len(self._lines) >= _LINES_MAX:
                self._lines.clear()
            lines = self._lines[entry] = [line_of(one) for one in entry.tallies(minute_at)]
        try:
            to.append(minute_at, lines)
        except OSError as error:
            log.warning("Usage is kept in memory only: %s", error)
            self._log = None
            return False
        return True

    # --- counting ----------------------------------------------------------------------------------

    async def settle(self) -> None:
        """All that was answered by now is in the store. Raises ApiError."""
        if self._interval_s is not None:
            # What other machines noted by now is on its way, by their clocks: real ones.
            with suppress(TimeoutError):
                async with asyncio.timeout(2 * self._interval_s):
                    await asyncio.Event().wait()
        await self._count()

    def _add_up(self) -> None:
        for (minute_at, entry), times in self._waiting.items():
            for tally in entry.tallies(minute_at):
                place = (minute_at, tally.kind, tuple(tally.labels.items()))
                _add(self._sums, place, tally.amounts, times)
        self._waiting = {}

    async def _count(self) -> None:
        async with self._counting:
            self._add_up()
            sums, self._sums = self._sums, {}
            if sums:
                counted = False
                try:
                    await self._keeper().commit(*_tallies(sums))
                    counted = True
                finally:
                    if not counted:
                        for place, amounts in sums.items():
                            _add(self._sums, place, amounts)
            if self._log is not None:
                await self._log.count(self._keeper())

    def _count_soon(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._count_quietly())

    async def _count_quietly(self) -> None:
        try:
            await self._count()
        except ApiError as error:
            log.warning("Usage waits to be counted: %s", error.message)
            self._arm(_RETRY_S)

    def _arm(self, after_s: float) -> None:
        if self._timer is None:
            self._timer = self._clock.timer(self._wake)
        self._is_armed = True
        self._timer.at(self._clock.now() + after_s)

    def _wake(self) -> None:
        self._is_armed = False
        self._count_soon()

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.close()
            self._timer = None
        if self._task is not None:
            await self._task
        if self._interval_s is not None:
            await self._count_quietly()
        if self._log is not None:
            self._log.close()


def _add(
    sums: _Sums, place: tuple[int, str, tuple[tuple[str, str], ...]], amounts: Mapping[str, int],
    times: int = 1,
) -> None:  # fmt: skip
    counted = sums.setdefault(place, {})
    for name, amount in amounts.items():
        counted[name] = counted.get(name, 0) + amount * times


def _tallies(sums: _Sums) -> list[Tally]:
    return [
        Tally(kind, float(minute_at), dict(labels), amounts)
        for (minute_at, kind, labels), amounts in sums.items()
    ]
