"""Has finished exchanges counted several at a time, which is half the work of counting each as it ends.

Whoever reads what was counted has those that wait counted first, so nobody sees the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fakeai_proxy.exchange import Exchange
from fakeai_proxy.observe.kinds import Kind, kind_of

#: Exchanges that wait, and how much their bodies may hold while they do.
WAITING_MAX, WAITING_BYTES_MAX = 32, 256 << 10


class Gathered:
    """An observer that may be told later than an exchange has ended."""

    #: To be called before anything is read or forgotten.
    catch_up: Callable[[], None] = staticmethod(lambda: None)

    def finished(self, exchange: Exchange) -> None:
        raise NotImplementedError


class Counting(Gathered):
    """One that is told of those of a kind together, whatever ended in between."""

    def finished(self, exchange: Exchange) -> None:
        self.alike((exchange,))

    def alike(self, exchanges: Sequence[Exchange]) -> None:
        """They agree in all that `kind_of` looks at."""
        raise NotImplementedError


class Gathering:
    """An observer in front of others."""

    def __init__(self, observers: Sequence[Gathered], waiting_max: int = WAITING_MAX) -> None:
        self._counting = [one for one in observers if isinstance(one, Counting)]
        self._in_order = [one for one in observers if not isinstance(one, Counting)]
        self._waiting_max = waiting_max
        self._waiting: list[Exchange] = []
        self._bytes = 0
        for observer in observers:
            observer.catch_up = self.settle

    def finished(self, exchange: Exchange) -> None:
        waiting = self._waiting
        waiting.append(exchange)
        self._bytes += exchange.sent_bytes + exchange.request.body.size
        if len(waiting) >= self._waiting_max or self._bytes >= WAITING_BYTES_MAX:
            self.settle()

    def settle(self) -> None:
        """Nothing waits any more."""
        waiting = self._waiting
        if not waiting:
            return
        self._waiting, self._bytes = [], 0
        for observer in self._in_order:
            finished = observer.finished
            for exchange in waiting:
                finished(exchange)
        if not self._counting:
            return
        kinds: dict[Kind, list[Exchange]] = {}
        for exchange in waiting:
            kinds.setdefault(kind_of(exchange), []).append(exchange)
        for counting in self._counting:
            for exchanges in kinds.values():
                counting.alike(exchanges)
