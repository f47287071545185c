"""The other processes that an App is one of, as its settings and whoever started it say: none, those of
this machine, those of any number of machines, or both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import SecretStr

from fakeai_proxy.clock import Clock
from fakeai_proxy.shaping.limits.asked import AskedTables
from fakeai_proxy.shaping.limits.tables import Tables
from fakeai_proxy.shared.commons import Commons
from fakeai_proxy.shared.operations import Perform

if TYPE_CHECKING:
    from fakeai_proxy.shared.member import Member
    from fakeai_proxy.shared.replicas import Replicas


class Company:
    """Raises ConfigError. `member` is this process's place among others of the machine."""

    def __init__(self, redis: SecretStr | None, clock: Clock, member: Member | None) -> None:
        self.member = member
        self.commons = Commons() if member is None else member.commons
        self.replicas: Replicas | None = None
        #: Where the limits are counted, if not here.
        self.tables: Tables | None = None
        performer = self.commons.performer
        if redis is not None:
            from fakeai_proxy.shaping.limits.distant import DistantTables
            from fakeai_proxy.shared.replicas import Replicas

            self.replicas = Replicas(redis, clock, performer)
            self.commons.widen(self.replicas)
            self.tables = DistantTables(self.replicas, clock, lambda: performer.mark)
        elif member is not None:
            self.tables = AskedTables(member.peer, lambda: performer.mark)

    async def open(self) -> None:
        """Raises ConfigError."""
        if self.replicas is not None:
            await self.replicas.open()

    async def begin(self, perform: Perform) -> None:
        """Do what was done to the others before we came, and from here on what they do. Raises
        FakeAIError."""
        history = () if self.member is None else self.member.welcome.issued
        await self.commons.performer.begin(perform, history, self.commons.is_alone)
        if self.replicas is not None:
            await self.replicas.catch_up()

    async def close(self) -> None:
        if self.replicas is not None:
            await self.replicas.close()
