"""Has finished exchanges counted several at a time, which is half the work of counting each as it ends.

Whoever reads what was counted has those that wait counted first, so nobody sees the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fakeai_proxy.exchange import Exchange

#: Exchanges that wait, and how much their bodies may hold while they do.
WAITING_MAX, WAITING_BYTES_MAX = 32, 256 << 10


class Gathered:
    """An observer that may be told later than an exchange has ended."""

    #: To be called before anything is read or forgotten.
    catch_up: Callable[[], None] = staticmethod(lambda: None)

    def finished(self, exchange: Exchange) -> None:
        raise NotImplementedError


class Gathering:
    """An observer in front of others."""

    def __init__(self, observers: Sequence[Gathered], waiting_max: int = WAITING_MAX) -> None:
        self._observers = observers
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
        for observer in self._observers:
            finished = observer.finished
            for exchange in waiting:
                finished(exchange)
