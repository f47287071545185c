"""The control API's rows of files that are taken up again when they change."""

from __future__ import annotations

from typing import Any, Protocol

from fakeai_proxy.observe.pages import CONTROL, Answer, Call, Route


class Reloads(Protocol):
    def told(self) -> list[dict[str, Any]]:
        """What is watched, and what became of it when it changed."""

    async def reload(self) -> list[dict[str, Any]]:
        """Read all of it again; what it tells then."""


def reload_routes(reloading: Reloads) -> tuple[Route, ...]:
    def told(call: Call) -> Answer:
        return Answer({"object": "list", "data": reloading.told()})

    async def reload(call: Call) -> Answer:
        return Answer({"object": "list", "data": await reloading.reload()})

    path = f"{CONTROL}reload"
    return (
        Route("GET", path, told, "Files that are read again when they change, and how that went."),
        Route("POST", path, reload, "Read them all again, now.", reach="machine"),
    )
