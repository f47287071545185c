"""Who tells of exchanges when they have ended: the journal, its file, and what else the settings ask for."""

from __future__ import annotations

import secrets

from fakeai_proxy.clock import Clock
from fakeai_proxy.config import Config
from fakeai_proxy.observe.journal import Journal
from fakeai_proxy.roles import Observer, Source
from fakeai_proxy.sources.listening import Listening
from fakeai_proxy.sources.price_list import PriceList


class Telling:
    def __init__(self, config: Config, clock: Clock, prices: PriceList) -> None:
        """Raises ConfigError."""
        self.journal = Journal(config, clock, prices.usd, secrets.token_hex(4))
        self._file = None
        if config.journal_file is not None:
            from fakeai_proxy.observe.journal_file import JournalFile

            self._file = JournalFile(self.journal, config.journal_file)
        self.observers: tuple[Observer, ...] = (self.journal,)

    def around(self, source: Source) -> Source:
        """With what has to listen to it."""
        return Listening(source) if self.journal.keeps_bodies else source

    async def close(self) -> None:
        if self._file is not None:
            await self._file.close()
