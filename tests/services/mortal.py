"""Processes that die over their work."""

from __future__ import annotations

from typing import Any

from fakeai_proxy.store import Row, Store, Write


class Died(Exception):  # noqa: N818 - what happens to a process
    pass


class Mortal:
    """A store whose user dies with its next commit."""

    def __init__(self, store: Store, how: str) -> None:
        self._store = store
        self._how = how

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, *writes: Write) -> list[Row | None]:
        if self._how == "die before":
            raise Died
        made = await self._store.commit(*writes)
        if self._how == "die after":
            raise Died
        return made
