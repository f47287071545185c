"""The control API's own rows: what is running, starting over, and the document of all rows.

The other rows are made by whoever has something to steer (`journal_routes`, ...).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fakeai_proxy import __version__
from fakeai_proxy.observe.pages import CONTROL, OWN, Answer, Call, Route
from fakeai_proxy.observe.status import Status

#: Name -> what forgets all that has been counted since the start or the last reset.
Resettable = Mapping[str, Callable[[], None]]


def control_routes(
    status: Status, settings: Mapping[str, object], resettable: Resettable
) -> tuple[Route, ...]:
    """`settings` are those that a client of the control API wants to know of; no secrets. What changes
    is a function."""

    async def health(call: Call) -> Answer:
        return Answer(await status.page())

    async def overview(call: Call) -> Answer:
        shown = {name: value() if callable(value) else value for name, value in settings.items()}
        return Answer({**await status.page(), "version": __version__, **shown})

    def reset(call: Call) -> Answer:
        for forget in resettable.values():
            forget()
        return Answer({"reset": list(resettable)})

    return (
        Route("GET", f"{OWN}/health", health, "Whether it serves, and which process it is."),
        Route("GET", f"{CONTROL}status", overview, "What is running, and what it has served."),
        Route("POST", f"{CONTROL}reset", reset, "Start over: clear the journal and all counters."),
    )


def document_route(routes: Sequence[Route]) -> Route:
    """The row of the OpenAPI document of `routes` and of itself."""

    def document(call: Call) -> Answer:
        def rendered() -> object:
            from fakeai_proxy.observe.openapi import openapi

            return openapi((*routes, row))

        return Answer(rendered)

    row = Route("GET", f"{CONTROL}openapi.json", document, "This document.")
    return row
