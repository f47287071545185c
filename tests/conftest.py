"""What every test may ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings as hypothesis_settings

from fakeai_proxy.app import App
from fakeai_proxy.clock import Clock
from fakeai_proxy.config import Config
from fakeai_proxy.exchange import Exchange

#: Runs pytest within a test, for our own plugin.
pytest_plugins = ("pytester",)
#: How long an example takes says how busy the machine is.
hypothesis_settings.register_profile("unhurried", deadline=None)
hypothesis_settings.load_profile("unhurried")
#: One authority for all apps of the run; a test that intercepts more hosts brings its own `data`.
DATA = TemporaryDirectory(prefix="fakeai-proxy-tests-")

Serve = Callable[..., Awaitable[App]]


class Ended:
    """Remembers every finished exchange."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []

    def finished(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)


@asynccontextmanager
async def serving(
    clock: Clock | None = None, observer: Ended | None = None, **settings: object
) -> AsyncIterator[App]:
    """An app on a free loopback port, in this process. `settings` are Config fields; without a
    `profile`, answers come at once."""
    given = {
        "profile": "none", "listen": "127.0.0.1:0", "data": DATA.name, "store": "memory", **settings
    }  # fmt: skip
    app = App(Config.load(flags=given), clock, (observer,) if observer else ())
    await app.start()
    try:
        yield app
    finally:
        await app.close()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """`app = await serve(mode="synth", ...)`; closed when the test ends."""
    async with AsyncExitStack() as stack:

        async def start(
            clock: Clock | None = None, observer: Ended | None = None, **settings: object
        ) -> App:
            return await stack.enter_async_context(serving(clock, observer, **settings))

        yield start
