"""The addon: an `App` on an event loop of its own, started and changed by mitmproxy's options.

It runs beside mitmproxy rather than on its loop, so that neither's work disturbs the other's timing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mitmproxy import ctx, exceptions

from fakeai_proxy.capture.detour import Detour
from fakeai_proxy.capture.options import PREFIX, add_options, config_of
from fakeai_proxy.cli.serve import telling_of
from fakeai_proxy.embedded.background import Background
from fakeai_proxy.embedded.server import open_app
from fakeai_proxy.errors import ConfigError

if TYPE_CHECKING:
    from mitmproxy.addonmanager import Loader
    from mitmproxy.http import HTTPFlow

    from fakeai_proxy.config import Config

log = logging.getLogger("fakeai_proxy")


class Capture:
    """Stands where scripts stand; the detour stands last, so that it sees what all others made of a
    request, and they see none of the detour."""

    def __init__(self) -> None:
        self._background: Background | None = None
        self._detour = Detour()
        self._runs = False

    def load(self, loader: Loader) -> None:
        add_options(loader)
        ctx.master.addons.add(self._detour)

    def configure(self, updated: set[str]) -> None:
        """Raises OptionsError, upon which mitmproxy takes its options back; before it runs, a line in
        its log ends it."""
        if not any(name.startswith(PREFIX) for name in updated):
            return
        try:
            self._follow(config_of(ctx.options))
        except ConfigError as error:
            if self._runs:
                raise exceptions.OptionsError(str(error)) from None
            log.error("fakeai-proxy: %s", error)

    def running(self) -> None:
        self._runs = True

    def responseheaders(self, flow: HTTPFlow) -> None:
        self._detour.head_is_back(flow)

    def response(self, flow: HTTPFlow) -> None:
        self._detour.body_is_back(flow)

    def error(self, flow: HTTPFlow) -> None:
        self._detour.restore(flow)

    def done(self) -> None:
        """At mitmproxy's end, or when it loads its scripts anew."""
        self._close()
        if self._background is not None:
            self._background.close()
            self._background = None
        if not ctx.master.should_exit.is_set():
            ctx.master.addons.remove(self._detour)

    def _follow(self, config: Config) -> None:
        """Raises ConfigError."""
        app = self._detour.app
        if app is not None and app.config == config:
            return
        if self._background is None:
            self._background = Background()
        self._close()  # first: two cannot write one cassette
        self._detour.app = app = self._background.run(open_app(config))
        log.info("fakeai-proxy: mode %s, its own pages at %s/_fakeai/", config.mode, app.url)

    def _close(self) -> None:
        app, self._detour.app = self._detour.app, None
        if app is not None:
            assert self._background is not None, "it runs there"
            telling = telling_of(app.config)
            self._background.run(app.close(0.0, telling))
            if telling is not None and telling.status:
                self._detour.status = telling.status
