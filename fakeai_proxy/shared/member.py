"""A process among others of its machine: its end of the line to the hub."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

from fakeai_proxy.shared.commons import Commons
from fakeai_proxy.shared.hub import Welcome
from fakeai_proxy.shared.operations import Issued, Operation
from fakeai_proxy.shared.peer import Peer, Service


class Member:
    """`lost` is called when the hub has ended, `drain` when it wants this process to end."""

    def __init__(self, peer: Peer, welcome: Welcome) -> None:
        self.peer = peer
        self.welcome = welcome
        self.commons = Commons()

    @classmethod
    async def join(
        cls, sock: socket.socket, drain: Callable[[], None], lost: Callable[[], None]
    ) -> Member:
        made: asyncio.Future[Member] = asyncio.get_running_loop().create_future()

        async def perform(peer: Peer, issued: Issued) -> None:
            commons = (await made).commons
            await commons.performer.perform(issued, marks=commons.is_alone)

        async def part(peer: Peer, topic: str, values: tuple[object, ...]) -> Any:
            return await (await made).commons.part(topic, values)

        services: dict[str, Service] = {
            "perform": perform,
            "part": part,
            "drain": lambda _: drain(),
        }
        peer = await Peer.over(sock, services, lambda _: lost())
        member = cls(peer, await peer.ask("join", os.getpid()))
        member._settle()
        made.set_result(member)
        return member

    def _settle(self) -> None:
        commons, welcome = self.commons, self.welcome
        commons.number, commons.processes = welcome.number, welcome.processes
        commons.life, commons.instance = welcome.life, welcome.instance
        commons.state_dir = welcome.state_dir
        commons.counting = self
        commons.channels["machine"] = self
        commons.gather_all = self._gather

    async def publish(self, operation: Operation) -> None:
        await self.peer.ask("publish", operation)

    async def next(self, key: bytes) -> int:
        count: int = await self.peer.ask("count", key)
        return count

    async def _gather(self, topic: str, values: tuple[object, ...]) -> Any:
        return await self.peer.ask("gather", topic, values)
