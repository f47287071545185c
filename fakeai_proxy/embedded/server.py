"""`with fakeai_proxy.serve(...) as server:` - the whole program inside this process.

`with` runs it in a thread, whatever the caller does with event loops; `async with` runs it on the
caller's own loop, where no blocking client may ask it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Protocol, Self

from fakeai_proxy.app import App
from fakeai_proxy.clock import turn
from fakeai_proxy.config import Config
from fakeai_proxy.embedded import places
from fakeai_proxy.embedded.background import Background
from fakeai_proxy.embedded.calls import Calls
from fakeai_proxy.embedded.witness import Witness
from fakeai_proxy.errors import CassetteError, ConfigError
from fakeai_proxy.roles import Observer, Source

if TYPE_CHECKING:
    from fakeai_proxy.client import AsyncControl, Control


class _Part(Protocol):
    def reset(self) -> None: ...


class Server:
    """`settings` are Config or what it is made of. With a `background` of somebody else's, `with` leaves that
    running. Raises ConfigError."""

    def __init__(
        self,
        settings: Mapping[str, object] | Config,
        *,
        background: Background | None = None,
        witness: Witness | None = None,
    ) -> None:
        self.config = (
            settings
            if isinstance(settings, Config)
            else Config.load(keywords={"listen": "127.0.0.1:0", **settings})
        )
        self.witness = witness or Witness()
        self._given = background
        self._background: Background | None = None
        self._app: App | None = None

    # --- where it is

    @property
    def url(self) -> str:
        """`http://HOST:PORT`, for SDKs that add `/v1` themselves."""
        return self.app.url

    @property
    def base_url(self) -> str:
        """The same with `/v1`, for those that do not."""
        return f"{self.url}/v1"

    def environment(self, proxy: bool = False) -> dict[str, str]:
        """The variables that send programs here: by their base URLs, or as `fakeai-proxy env` prints
        them, through HTTPS_PROXY with certificates. Where nothing is forwarded, with keys in place of
        those that are not set."""
        keys = {} if self.config.is_live else places.placeholders(os.environ)
        if not proxy:
            return {**places.base_urls(self.url, os.environ), **keys}
        from fakeai_proxy.cli.environment import environment

        return {**environment(self.config, self.url), **keys}

    @property
    def control(self) -> Control:
        """What steers it; within `async with`, use `async_control`, as this one blocks."""
        from fakeai_proxy.client import Control

        return Control(self.url, self._token)

    @property
    def async_control(self) -> AsyncControl:
        from fakeai_proxy.client import AsyncControl

        return AsyncControl(self.url, self._token)

    @property
    def _token(self) -> str | None:
        token = self.config.admin_token
        return None if token is None else token.get_secret_value()

    # --- what it was asked

    @property
    def calls(self) -> Calls:
        """What was asked so far."""
        if self._background is not None:
            return Calls(self._background.run(self.witness.settled()))
        return Calls(self.witness.calls)

    def reset(self) -> None:
        """Forget what was asked, and begin each recorded order anew."""
        app = self.app

        async def again() -> None:
            self._start_over(app)

        if self._background is not None:
            self._background.run(again())
        else:
            self._start_over(app)

    def _start_over(self, app: App) -> None:
        self.witness.reset()
        parts: tuple[_Part, ...] = (app.status, app.journal, app.limiter)
        for part in parts:
            part.reset()
        if app.library is not None:
            app.library.rewind()

    @property
    def app(self) -> App:
        if self._app is None:
            raise RuntimeError("the server does not run: use it within `with` or `async with`")
        return self._app

    # --- its life

    def __enter__(self) -> Self:
        self._background = self._given or Background()
        with ExitStack() as undoing:
            undoing.callback(self._leave)
            self._background.run(self._start())
            undoing.pop_all()
        return self

    def __exit__(self, *failure: object) -> None:
        try:
            if self._background is not None:
                self._background.run(self._stop())
        finally:
            self._leave()

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._stop()

    def _leave(self) -> None:
        background, self._background = self._background, None
        if background is not None and background is not self._given:
            background.close()

    async def _start(self) -> None:
        """Raises ConfigError."""
        if self._app is not None:
            raise RuntimeError("the server runs already")
        self._app = await open_app(self.config, (self.witness,), self.witness.around)
        self._app.witness = self.witness

    async def _stop(self) -> None:
        app, self._app = self._app, None
        if app is not None:
            await app.close()
            # What was closed just now says so to the loop in its next turns.
            await turn()


async def open_app(
    config: Config,
    observers: tuple[Observer, ...] = (),
    around: Callable[[Source], Source] = lambda source: source,
) -> App:
    """It serves, and does not on failure. Raises ConfigError."""
    try:
        app = App(config, None, observers, around=around)
        async with AsyncExitStack() as undoing:
            undoing.push_async_callback(app.close)
            await app.start()
            undoing.pop_all()
    except (CassetteError, OSError) as error:
        raise ConfigError(str(error)) from error
    return app
