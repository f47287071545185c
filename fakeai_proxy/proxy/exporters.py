"""A metrics port for each node, as an exporter on it would have: GET /metrics and GET /health.

Knows nothing of what is shown.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from fakeai_proxy.clock import Clock
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.proxy import web
from fakeai_proxy.proxy.listening import Address, bind, parse_listen

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

log = logging.getLogger("fakeai_proxy")


class Settings(Protocol):
    @property
    def dcgm_listen(self) -> str | None: ...

    @property
    def profile(self) -> str: ...


def exporters_of(
    settings: Settings,
    shows_gpus: bool,
    nodes: Callable[[], Sequence[str]],
    page: Callable[[str], Awaitable[Callable[[], str]]],
    clock: Clock,
    is_first: bool = True,
) -> Exporters:
    """Those that the settings ask for: of several processes the first shows those of all. Raises
    ConfigError."""
    if settings.dcgm_listen is None or not is_first:
        return Exporters(None, nodes, page, clock)
    if not shows_gpus:
        raise ConfigError(
            f"dcgm_listen: the profile {settings.profile} is no fleet, so there are no GPUs to "
            "show. `fakeai-proxy profiles ls` lists the fleets."
        )
    return Exporters(settings.dcgm_listen, nodes, page, clock)


class Exporters:
    """`nodes` are those that there are, first to last; `page` gives what renders one's page in a
    thread. Without `listen` there are none. Raises ConfigError."""

    def __init__(
        self,
        listen: str | None,
        nodes: Callable[[], Sequence[str]],
        page: Callable[[str], Awaitable[Callable[[], str]]],
        clock: Clock,
    ) -> None:
        try:
            self._first = None if listen is None else parse_listen(listen)[0]
        except ConfigError as error:
            raise ConfigError(f"dcgm_{error}") from None
        self._nodes = nodes
        self._page = page
        self._clock = clock
        self._servers: list[tuple[asyncio.Server, web.Server]] = []
        self._opening: set[asyncio.Future[None]] = set()
        #: Where each node's is, by its name.
        self.addresses: dict[str, Address] = {}

    @property
    def urls(self) -> dict[str, str]:
        return {node: address.url for node, address in self.addresses.items()}

    async def open(self) -> None:
        """For every node that has none: ports count up, from 0 they are any that are free. Raises
        ConfigError."""
        if self._first is None:
            return
        loop = asyncio.get_running_loop()
        for place, node in enumerate(self._nodes()):
            if node in self.addresses:
                continue
            host, port = self._first
            address = Address(host, port + place if port else 0)
            try:
                sockets = bind(address)
            except ConfigError:
                raise ConfigError(
                    f"dcgm_listen: cannot listen on {address} for {node}. Choose other ports with "
                    "--dcgm-listen HOST:PORT."
                ) from None
            server = web.Server(self._handler(node), access_log=None)
            for listener in sockets:
                self._servers.append((await loop.create_server(server, sock=listener), server))
            self.addresses[node] = Address(host, sockets[0].getsockname()[1])
            log.info("GPUs of %s are at %s/metrics", node, self.addresses[node].url)

    async def grown(self) -> None:
        """There may be more nodes than before; one whose port is taken shows nothing."""
        try:
            await self.open()
        except ConfigError as error:
            log.warning("%s", error)

    def grow(self) -> None:
        """The same, for whoever does not wait."""
        opening = asyncio.ensure_future(self.grown())
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)

    async def close(self) -> None:
        for listener, server in self._servers:
            listener.close()
            await server.shutdown(0)
        self._servers.clear()

    def _handler(self, node: str) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            if request.method not in ("GET", "HEAD"):
                return web.Response(status=405, headers={"allow": "GET, HEAD"})
            if request.path == "/health":
                return web.Response(text="OK")
            if request.path != "/metrics":
                return web.Response(status=404, text="There are /metrics and /health.\n")
            render = await self._page(node)
            with self._clock.hold():
                text = await asyncio.to_thread(render)
            return web.Response(body=text.encode(), headers={"content-type": _CONTENT_TYPE})

        return handle
