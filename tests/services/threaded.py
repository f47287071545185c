"""An app on a thread of its own, for clients that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.conftest import serving


@contextmanager
def threaded_app(**settings: object) -> Iterator[str]:
    """The URL of a synthesizing app that runs until the block ends."""
    ready = threading.Event()
    place: dict[str, object] = {}

    async def run() -> None:
        stop = asyncio.Event()
        async with serving(mode="synth", model=("gpt-5-mini",), **settings) as app:
            place.update(url=app.url, stop=lambda: loop.call_soon_threadsafe(stop.set))
            loop = asyncio.get_running_loop()
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        assert ready.wait(20)
        yield str(place["url"])
    finally:
        stop = place.get("stop")
        if callable(stop):
            stop()
        thread.join(20)
