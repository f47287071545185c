"""The one port: a base URL, a forward proxy, a CONNECT proxy and a TLS server at once.

We accept for ourselves (`accepting.py`) and peek at the first bytes of a connection without taking
them, so that whoever it is for (aiohttp, TLS, a tunnel) finds it untouched. What a request means is
settled by the protocol that `connection` makes. Limits on silent clients are real time, kept by the
event loop.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, Field

from fakeai_proxy.errors import (
    ApiError,
    ConfigError,
    proxy_credentials_required,
    proxy_loop,
    upstream_unreachable,
)
from fakeai_proxy.exchange import Origin, header
from fakeai_proxy.proxy import connect, http2
from fakeai_proxy.proxy.accepting import Acceptor
from fakeai_proxy.proxy.certificates import Certificates
from fakeai_proxy.proxy.connect import Connect
from fakeai_proxy.proxy.handed import Handed
from fakeai_proxy.proxy.listening import (
    Address,
    addresses_of,
    bind,
    is_loopback,
    is_own,
    parse_listen,
)
from fakeai_proxy.proxy.policy import Policy, Verdict
from fakeai_proxy.proxy.refusing import (
    CONNECTING,
    HANDSHAKE,
    hang,
    refuse,
    refuse_http2,
    spoiled_handshake,
)
from fakeai_proxy.proxy.sessions import user_of
from fakeai_proxy.proxy.sniffing import (
    TLS_HANDSHAKE,
    begins_plain,
    insists_on_http2,
    linger,
    peek,
    peek_method,
    read_head,
    waiting_s,
)
from fakeai_proxy.proxy.tunnel import End, Tunnel, UpstreamProxy, dial
from fakeai_proxy.shaping.faults.faults import Faults
from fakeai_proxy.shaping.faults.rule import Rule

log = logging.getLogger("fakeai_proxy")

#: How long a client may take for the head of a CONNECT, or to begin anything at all.
HEAD_TIMEOUT_REAL_S = 30.0
MAX_HEAD_BYTES = 32 * 1024
TLS_HANDSHAKE_TIMEOUT_REAL_S = 30.0
TLS_SHUTDOWN_TIMEOUT_REAL_S = 5.0


class FrontDoorSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    listen: str = Field(
        "127.0.0.1:8000",
        description="HOST:PORT, [V6]:PORT or PORT to listen on; several separated by commas; port 0 "
        "takes a free one.",
    )
    max_connections: int = Field(
        10_000, ge=1, description="Client connections at a time; more wait until others close."
    )
    tunnel_idle_s: float = Field(
        600.0, gt=0, description="Close a tunnel in which nothing has moved for this long."
    )


class FrontDoor:
    def __init__(
        self,
        settings: FrontDoorSettings,
        policy: Policy,
        certificates: Certificates,
        connection: Callable[[Origin | None, float, str], asyncio.Protocol],
        upstream_proxy: str | None = None,
        upstream_tls: ssl.SSLContext | None = None,
        faults: Faults | None = None,
    ) -> None:
        """`connection` makes the protocol that serves HTTP, given the origin that a tunnel was
        opened to and for how many seconds the first bytes have been here. `upstream_tls` verifies
        an upstream proxy of https://. Raises ConfigError."""
        self._settings = settings
        self._listen = parse_listen(settings.listen)
        self._policy = policy
        self._certificates = certificates
        self._connection = connection
        self._upstream_proxy = UpstreamProxy.parse(upstream_proxy) if upstream_proxy else None
        self._upstream_tls = upstream_tls
        self._faults = faults
        self._acceptor = Acceptor(settings.max_connections, self._taken)
        self._addresses: tuple[Address, ...] = ()
        self._tasks: set[asyncio.Task[None]] = set()
        self._tunnels: set[Tunnel] = set()

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where it listens; ports are real."""
        return self._addresses

    def is_own(self, host: str, port: int) -> bool:
        """Whether this is where we listen ourselves; names but `localhost` are not looked up."""
        hosts = ("127.0.0.1", "::1") if host == "localhost" else (host,)
        try:
            return any(is_own(self._addresses, own, port) for own in hosts)
        except ValueError:  # a name
            return False

    async def open(self, handed: Handed | None = None) -> None:
        """Listen, or take what is handed over. Raises ConfigError."""
        exposed = [address for address in self._listen if not is_loopback(address.host)]
        if exposed and self._policy.is_open_relay:
            raise ConfigError(
                f"listen: {exposed[0]} with --allow-host any would be an open relay: add "
                "--proxy-auth USER:PASSWORD, name the hosts, or listen on 127.0.0.1."
            )
        if handed is not None:
            self._addresses = handed.addresses
            self._acceptor.open((handed,))
        else:
            self._acceptor.open(await self._bind())

    async def _bind(self) -> list[socket.socket]:
        bound: list[socket.socket] = []
        for address in self._listen:
            try:
                bound += await asyncio.to_thread(bind, address)
            except ConfigError:
                for listener in bound:
                    listener.close()
                raise
        self._addresses = addresses_of(bound)
        return bound

    async def close(self) -> None:
        """Stop accepting; end handshakes and tunnels. Connections handed over are not ours."""
        self._acceptor.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for tunnel in tuple(self._tunnels):
            tunnel.abort()

    # --- accepting

    def _taken(self, sock: socket.socket, client: str) -> None:
        spoiled = self._spoiled(CONNECTING, client, named=False)
        if spoiled is not None and spoiled.fault.name == "connect_refused":
            refuse(sock)
            return
        # What has come with the connection and can only be plain HTTP needs no welcome.
        is_plain = spoiled is None and begins_plain(sock)
        plain = self._connection(None, waiting_s(sock), "") if is_plain else None
        task = asyncio.get_running_loop().create_task(
            self._serve(_Visit(sock, client), plain)
            if spoiled is None
            else self._hang(sock, spoiled)
        )
        self._tasks.add(task)
        task.add_done_callback(self._served)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a connection failed", exc_info=error)

    # --- faults

    def _spoiled(
        self, names: tuple[str, ...], client: str, host: str = "", named: bool | None = None
    ) -> Rule | None:
        if self._faults is None:
            return None
        return self._faults.at_door(names, client, host, named)

    async def _hang(self, sock: socket.socket, rule: Rule) -> None:
        assert self._faults is not None
        await hang(sock, self._faults.clock, rule)

    # --- one connection

    async def _serve(self, visit: _Visit, plain: asyncio.Protocol | None) -> None:
        sock = visit.sock
        try:
            if plain is None:
                await self._welcome(visit)
            else:
                visit.handed_over = True
                await asyncio.get_running_loop().connect_accepted_socket(lambda: plain, sock)
        except (OSError, TimeoutError, EOFError) as error:
            log.debug("connection ended: %r", error)  # it left, or said nothing
        except ApiError as error:  # nobody to tell before there is TLS
            log.warning("%s", error.message)
        finally:
            if not visit.handed_over:
                sock.close()

    async def _welcome(self, visit: _Visit) -> None:
        while True:
            try:
                async with asyncio.timeout(HEAD_TIMEOUT_REAL_S):
                    first = await peek_method(visit.sock, b"CONNECT ")
                    if first != b"CONNECT ":
                        break
                    head = await read_head(visit.sock, MAX_HEAD_BYTES)
                request = connect.parse_connect(head)
            except ApiError as error:
                await linger(visit.sock, connect.refusal(error, keep_alive=False))
                return
            if not self._policy.admits(header(request.headers, b"proxy-authorization")):
                refused = connect.refusal(proxy_credentials_required(), request.keep_alive)
                if not request.keep_alive:
                    await linger(visit.sock, refused)
                    return
                await asyncio.get_running_loop().sock_sendall(visit.sock, refused)
                continue
            await self._connect(visit, request)
            return
        if first[:1] == TLS_HANDSHAKE:
            address = visit.sock.getsockname()[0]
            await self._handshake(visit, None, address)
        elif first == http2.PREFACE_BEGINS:
            await linger(visit.sock, http2.refusal(http2.UNSPOKEN))
        elif first:
            await self._hand_over(visit, None, None)

    async def _connect(self, visit: _Visit, request: Connect) -> None:
        try:
            verdict = self._policy.verdict(request.host, request.port)
            if verdict is Verdict.REFUSE:
                raise self._policy.refusal(request.authority)
            spoiled = self._spoiled(CONNECTING, visit.client, request.host, named=True)
            if spoiled is not None:
                if spoiled.fault.name == "connect_refused":
                    raise upstream_unreachable(request.authority, "connection refused")
                await self._hang(visit.sock, spoiled)
            elif verdict is Verdict.TUNNEL:
                await self._tunnel(visit, request)
            else:
                await self._intercept(visit, request)
        except ApiError as error:
            await linger(visit.sock, connect.refusal(error, keep_alive=False))

    async def _intercept(self, visit: _Visit, request: Connect) -> None:
        visit.user = user_of(header(request.headers, b"proxy-authorization"))
        await self._certificates.require(request.host)
        async with asyncio.timeout(HEAD_TIMEOUT_REAL_S):
            await asyncio.get_running_loop().sock_sendall(visit.sock, connect.ESTABLISHED)
            first = await peek(visit.sock, 1)
            insists = await insists_on_http2(visit.sock, first)
        if insists:
            await self._http2(visit, request, first == TLS_HANDSHAKE)
        elif first == TLS_HANDSHAKE:
            await self._handshake(visit, Origin("https", request.host, request.port), request.host)
        elif first:
            await self._hand_over(visit, Origin("http", request.host, request.port), None)

    async def _http2(self, visit: _Visit, request: Connect, secure: bool) -> None:
        """A client that speaks nothing but HTTP/2 with a host that is intercepted: tunnelled where
        that is allowed, or told in HTTP/2."""
        if self._policy.allows(request.host, request.port):
            log.warning("HTTP/2 (gRPC?) with %s is tunnelled, not recorded", request.authority)
            try:
                await self._tunnel(visit, request, is_established=True)
            except ApiError as error:  # too late to be told to a client that waits for TLS
                log.warning("%s", error.message)
            return
        visit.handed_over = True
        await refuse_http2(visit.sock, request, self._certificates if secure else None)

    async def _handshake(self, visit: _Visit, origin: Origin | None, host: str) -> None:
        """TLS as the host, or with us at an address of ours where there is no origin."""
        spoiled = self._spoiled(HANDSHAKE, visit.client, origin.host if origin else "")
        if spoiled is not None:
            context = await spoiled_handshake(visit.sock, self._certificates, host, spoiled)
            if context is None:
                return
        elif origin is None:
            context = await self._certificates.own_context(host)
        else:
            context = await self._certificates.context(host)
        await self._hand_over(visit, origin, context)

    async def _tunnel(
        self, visit: _Visit, request: Connect, *, is_established: bool = False
    ) -> None:
        loop = asyncio.get_running_loop()
        server = await dial(
            request.host,
            request.port,
            self._upstream_proxy,
            vet=self._refuse_ourselves,
            internal=self._policy.names(request.host, request.port),
            proxy_tls=self._upstream_tls,
        )
        client = End()
        tunnel = Tunnel(client, server, self._settings.tunnel_idle_s, self._tunnels.discard)
        self._tunnels.add(tunnel)
        try:
            async with asyncio.timeout(HEAD_TIMEOUT_REAL_S):
                if not is_established:
                    await loop.sock_sendall(visit.sock, connect.ESTABLISHED)
            visit.handed_over = True
            await loop.connect_accepted_socket(lambda: client, visit.sock)
        finally:
            if not tunnel.joined:
                tunnel.abort()
                self._tunnels.discard(tunnel)

    def _refuse_ourselves(self, address: str, port: int) -> None:
        if is_own(self._addresses, address, port):
            raise proxy_loop(connect.format_authority(address, port))

    async def _hand_over(
        self, visit: _Visit, origin: Origin | None, context: ssl.SSLContext | None
    ) -> None:
        """From here on the transport owns the socket, and closes it whatever happens."""
        visit.handed_over = True
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: self._connection(origin, 0.0 if context else waiting_s(visit.sock), visit.user),
            visit.sock,
            ssl=context,
            ssl_handshake_timeout=TLS_HANDSHAKE_TIMEOUT_REAL_S if context else None,
            ssl_shutdown_timeout=TLS_SHUTDOWN_TIMEOUT_REAL_S if context else None,
        )


class _Visit:
    """An accepted socket, and whether somebody else will close it."""

    __slots__ = ("client", "handed_over", "sock", "user")

    def __init__(self, sock: socket.socket, client: str) -> None:
        self.sock = sock
        self.client = client
        self.handed_over = False
        self.user = ""
