"""What outlives a request: the store, made by the first who asks, and with it the keys and the accounts."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from fakeai_proxy.clock import Clock
from fakeai_proxy.dice import Dice
from fakeai_proxy.services.keyring import KEY
from fakeai_proxy.services.ledger import Ledger
from fakeai_proxy.sources.doorkeeper import AuthSettings, Doorkeeper
from fakeai_proxy.store import Store, is_begun, open_store

log = logging.getLogger("fakeai_proxy")

#: How often usage is counted where other machines ask for it, too.
COUNTING_S = 0.05


class Holdings:
    """`folder` and `address` say where the store is; without either it is this process's memory. `data`
    is where this machine keeps what is on its way there, if anywhere. `limit` is told what limits a
    project has of its own. `others` use the same: they may have begun, or leave work undone."""

    def __init__(
        self,
        settings: AuthSettings,
        folder: Path | None,
        address: str | None,
        data: Path | None,
        clock: Clock,
        dice: Dice,
        limit: Callable[[str, Mapping[str, Mapping[str, float]]], None],
        others: bool = False,
    ) -> None:
        self.store: Store | None = None
        self._folder = folder
        self._others = others
        self._address = address
        self._clock = clock
        # What no other process, and no other life of this one, has had.
        this_life = os.getpid(), int(clock.wall() * 1_000_000)
        #: Whose work it is that is done here.
        self.owner = f"{dice.number('owner', *this_life):032x}"
        #: Whether what is kept outlives this process, or others have it, too.
        self.is_kept = folder is not None or address is not None
        #: Of this process alone; empty where nothing is kept when it ends.
        self.life = dice.number("life", *this_life).to_bytes(16, "big") if self.is_kept else b""
        interval_s = None if address is None else COUNTING_S
        self.ledger = Ledger(self.keeper, data if self.is_kept else None, clock, interval_s)
        self.doorkeeper = Doorkeeper(settings, self.begun, clock, limit)

    def keeper(self) -> Store:
        if self.store is None:
            self.store = open_store(self._folder, self._clock, self._address)
        return self.store

    def begun(self) -> Store | None:
        """The store, if anybody ever kept anything in it."""
        shared = self._address is not None or self._others
        if self.store is None and not shared and not is_begun(self._folder):
            return None
        return self.keeper()

    async def open(self) -> bool:
        """Whether there is anything from an earlier life. Raises ConfigError."""
        store = self.begun()
        if store is not None:
            await store.open()
        if self.doorkeeper.is_closed and (store is None or not await store.count(KEY, None)):
            log.warning(
                "--auth required, and there is no key yet: make one with `fakeai-proxy keys create "
                "--admin`, with the same --data or --store, or start with --admin-key."
            )
        return store is not None

    async def close(self) -> None:
        await self.ledger.close()
        if self.store is not None:
            await self.store.close()
