"""The one process that all others of a machine know: it passes on what is asked of everybody, keeps
the order of operations, and counts what has to be counted together.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fakeai_proxy.clock import SystemClock
from fakeai_proxy.shared.operations import (
    PATIENCE_REAL_S,
    REMEMBERED_BYTES_MAX,
    REMEMBERED_MAX,
    Issued,
    Operation,
)
from fakeai_proxy.shared.peer import Peer, PeerError, PeerLostError, Service

#: Things whose number of times is remembered; the one that has not come for longest goes first.
COUNTED_MAX = 262_144


class Welcome(NamedTuple):
    """What a process is told when it joins. `origin` makes its clock ours; `life` is how many
    processes there were before; `addresses` are where clients connect to."""

    config: Any
    number: int
    processes: int
    life: int
    instance: str
    state_dir: Any
    origin: tuple[float, float]
    addresses: Any
    issued: tuple[Issued, ...]


class Hub:
    """`services` are what else is asked here; `left` is told of each process that has ended."""

    def __init__(
        self,
        clock: SystemClock,
        services: Mapping[str, Service],
        left: Callable[[Peer], None],
    ) -> None:
        self._clock = clock
        self._left = left
        #: Tells this service from every other one.
        self.instance = secrets.token_hex(8)
        #: Those that have joined, and whether they serve already.
        self._members: dict[Peer, bool] = {}
        self._serial = 0
        self._issued: deque[Issued] = deque()
        self._issued_bytes = 0
        self._counts: OrderedDict[bytes, int] = OrderedDict()
        self.services: dict[str, Service] = {
            "publish": self._publish,
            "gather": self._gather,
            "count": self._count,
            **services,
        }

    @property
    def members(self) -> tuple[Peer, ...]:
        """Those that serve, in the order in which they joined."""
        return tuple([peer for peer, serves in self._members.items() if serves])

    def join(self, peer: Peer) -> tuple[Issued, ...]:
        """From here on it hears of everything; what was before is this."""
        self._members[peer] = False
        return tuple(self._issued)

    def serves(self, peer: Peer) -> None:
        self._members[peer] = True

    def gone(self, peer: Peer) -> None:
        if self._members.pop(peer, None) is not None:
            self._left(peer)

    async def _publish(self, peer: Peer, operation: Operation) -> None:
        """Answered when all have performed it who serve."""
        self._serial += 1
        issued = Issued(str(self._serial), self._clock.now(), operation)
        self._issued.append(issued)
        self._issued_bytes += len(operation.body)
        while len(self._issued) > REMEMBERED_MAX or self._issued_bytes > REMEMBERED_BYTES_MAX:
            self._issued_bytes -= len(self._issued.popleft().operation.body)
        for other, serves in self._members.items():
            if not serves:  # it will before it does
                other.tell("perform", issued)
        await self._asked("perform", issued)

    async def _gather(self, peer: Peer, topic: str, values: tuple[object, ...]) -> list[Any]:
        """What all have to say of it, in the order in which they joined."""
        return await self._asked("part", topic, values)

    def _count(self, peer: Peer, key: bytes) -> int:
        """How often it came before; counts this time too."""
        count = self._counts.pop(key, 0)
        self._counts[key] = count + 1
        if len(self._counts) > COUNTED_MAX:
            self._counts.popitem(last=False)
        return count

    async def _asked(self, service: str, *values: object) -> list[Any]:
        """Of those who answer in time."""
        asked = [asyncio.ensure_future(peer.ask(service, *values)) for peer in self.members]
        if not asked:
            return []
        _, late = await asyncio.wait(asked, timeout=PATIENCE_REAL_S)
        for one in late:
            one.cancel()
        found = []
        for one in asked:
            if one in late or one.cancelled():
                continue
            failure = one.exception()
            if failure is None:
                found.append(one.result())
            elif not isinstance(failure, (PeerLostError, PeerError)):
                raise failure
        return found
