"""Who tells of exchanges when they have ended: the journal, its file, and what else the settings ask for."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from fakeai_proxy.clock import Clock
from fakeai_proxy.config import Config
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.observe.journal import Journal
from fakeai_proxy.roles import Observer, Source
from fakeai_proxy.sources.listening import Listening
from fakeai_proxy.sources.price_list import PriceList

if TYPE_CHECKING:
    from fakeai_proxy.observe.otel import Otel


class Telling:
    def __init__(self, config: Config, clock: Clock, prices: PriceList) -> None:
        """Raises ConfigError."""
        self.journal = Journal(config, clock, prices.usd, secrets.token_hex(4))
        self._file = None
        if config.journal_file is not None:
            from fakeai_proxy.observe.journal_file import JournalFile

            self._file = JournalFile(self.journal, config.journal_file)
        self._otel = None if config.otel is None else _otel(self.journal, config.otel)
        first = () if self._otel is None else (self._otel,)
        self.observers: tuple[Observer, ...] = first
        #: Whether somebody waits for the journal to grow.
        self.is_followed = self._file is not None or self._otel is not None

    def around(self, source: Source) -> Source:
        """With what has to listen to it."""
        return Listening(source) if self.journal.keeps_bodies else source

    async def close(self) -> None:
        if self._file is not None:
            await self._file.close()
        if self._otel is not None:
            await self._otel.close()


def _otel(journal: Journal, collector: str) -> Otel:
    """Raises ConfigError."""
    if not journal.size:
        raise ConfigError("otel: there is nothing to tell with --journal-size 0.")
    try:
        from fakeai_proxy.observe.otel import Otel
    except ImportError:
        raise ConfigError(
            "otel: spans are sent by the extra `otel`: pip install 'fakeai-proxy[otel]'"
        ) from None
    return Otel(journal, None if collector == "env" else collector)
