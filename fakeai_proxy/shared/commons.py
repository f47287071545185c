"""What this process has in common with others: who they are, what all of them say, what is done to all.

A process that is alone has nobody to ask, and pays for nothing.
"""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from fakeai_proxy.errors import FakeAIError, operation_undelivered
from fakeai_proxy.shared.operations import Operation, Outcome, Performer, Reach

#: What this process has to say of a topic.
Part = Callable[..., Any]


class Counting(Protocol):
    async def next(self, key: bytes) -> int:
        """How often the key came before, anywhere; counts this time too."""


class Channel(Protocol):
    """Takes operations to every process within its reach, this one included, in one order."""

    async def publish(self, operation: Operation) -> None:
        """Returns when it has been sent. Raises FakeAIError where it cannot be."""


class Replicas(Counting, Channel, Protocol):
    """Counts, and takes operations, beyond this machine."""


class Commons:
    """Of a process that is alone, until others are joined."""

    def __init__(self) -> None:
        #: Which of so many processes of this machine it is.
        self.number, self.processes = 0, 1
        #: How many processes of this service there were before it, on all machines.
        self.life = 0
        #: Tells the service on this machine from every other one.
        self.instance = secrets.token_hex(8)
        #: Where the store lies, where that is not for the settings to say.
        self.state_dir: Path | None = None
        #: Whether there is no other service with the same limits.
        self.is_alone = True
        self.counting: Counting | None = None
        self.performer = Performer()
        #: How operations get about; within its reach, this process is alone without one.
        self.channels: dict[Reach, Channel] = {}
        self.gather_all: Callable[[str, tuple[object, ...]], Any] | None = None
        self._parts: dict[str, Part] = {}
        self._serial = count(1)

    @property
    def salt(self) -> bytes:
        """What keeps our ids apart from those of other processes."""
        life = b"" if self.life == 0 else b"%d" % self.life
        return life if self.is_alone else b"%b/%b" % (self.instance.encode(), life)

    def widen(self, replicas: Replicas) -> None:
        """There are others on other machines."""
        self.is_alone = False
        self.counting = replicas
        self.channels["all"] = replicas

    # --- what all say

    def offer(self, topic: str, part: Part) -> None:
        self._parts[topic] = part

    async def part(self, topic: str, values: tuple[object, ...]) -> Any:
        """What this process says itself."""
        said = self._parts[topic](*values)
        return await said if inspect.isawaitable(said) else said

    async def gather(self, topic: str, *values: object) -> list[Any]:
        """What every process of this machine says, this one first if it is alone."""
        if self.gather_all is None:
            return [await self.part(topic, values)]
        found: list[Any] = await self.gather_all(topic, values)
        return found

    # --- what is done to all

    def has(self, reach: Reach) -> bool:
        """Whether there may be others within it."""
        return self._channel(reach) is not None

    async def everywhere(
        self, reach: Reach, method: str, path: str, query: str, body: bytes
    ) -> Outcome:
        """Does it in every process within reach. Raises ApiError: this process's own, or that the
        others cannot be told."""
        channel = self._channel(reach)
        assert channel is not None, "whoever is alone needs no channel"
        token = f"{self.instance}-{self.life}-{next(self._serial)}"
        self.performer.expect(token)
        try:
            await channel.publish(Operation(token, method, path, query, body))
        except FakeAIError as error:
            self.performer.forget(token)
            raise operation_undelivered(str(error)) from None
        return await self.performer.outcome(token)

    def _channel(self, reach: Reach) -> Channel | None:
        found = self.channels.get(reach)
        return self.channels.get("machine") if found is None and reach == "all" else found
