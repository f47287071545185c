"""The way of a flow through our server: requests for the hosts that we intercept go there in absolute form,
whatever they came in, so that recordings are the same by either path. Other flows are not touched.

The flow names its true destination again as soon as its answer begins.
"""

from __future__ import annotations

import asyncio
import base64
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mitmproxy import ctx
from mitmproxy.connection import Server
from mitmproxy.http import Response

from fakeai_proxy.exchange import Origin
from fakeai_proxy.proxy.listening import is_loopback
from fakeai_proxy.proxy.policy import canonical_host

if TYPE_CHECKING:
    from mitmproxy.http import Headers, HTTPFlow
    from mitmproxy.tls import ClientHelloData

    from fakeai_proxy.app import App

#: Streams at a time to us from one client's connection, instead of the five that mitmproxy allows: an HTTP/2
#: client has all of its streams on one.
STREAMS_MAX = 1_000
#: Of an answer, what mitmproxy gets to keep and show, if it is no longer than this.
KEPT_BYTES_MAX = 8 << 20

_Before = tuple[bytes, str, int, bytes, bytes, "Headers"]


class Detour:
    name = "fakeai-detour"

    def __init__(self) -> None:
        self.app: App | None = None
        #: What mitmproxy is to end with.
        self.status = 0
        #: What requests said before they were sent our way, by the id of the flow.
        self._before: dict[str, _Before] = {}

    def done(self) -> None:
        """The last of all addons, when the others have done theirs."""
        if self.status and ctx.master.should_exit.is_set():
            raise SystemExit(self.status)

    # --- no connection to where nothing will be sent

    def http_connect(self, flow: HTTPFlow) -> None:
        if flow.response is None and self._intercepts(flow.request.host):
            flow.response = Response.make(200)
            flow.response.reason = "Connection established"
            flow.response.headers.clear()  # as mitmproxy does: some clients take them for the body

    def tls_clienthello(self, data: ClientHelloData) -> None:
        address = data.context.server.address
        names = (address[0] if address else "", data.client_hello.sni or "")
        if any(self._intercepts(name) for name in names):
            data.establish_server_tls_first = False

    # --- there

    def requestheaders(self, flow: HTTPFlow) -> None:
        """A body that is passed on as it comes leaves before `request`."""
        if flow.request.stream or ctx.options.stream_large_bodies:
            self._divert(flow)

    def request(self, flow: HTTPFlow) -> None:
        self._divert(flow)

    def _divert(self, flow: HTTPFlow) -> None:
        if self.app is None or flow.id in self._before or flow.response or not flow.live:
            return
        origin = self._origin(flow)
        if origin is None:
            return
        said = flow.request.data
        self._before[flow.id] = (
            said.scheme, said.host, said.port, said.path, said.authority, said.headers,
        )  # fmt: skip
        here = urlsplit(self.app.url)
        said.path = f"{origin.scheme}://{origin.authority}".encode() + _below(said.path)
        said.scheme, said.host, said.port = b"http", here.hostname or "", here.port or 80
        if not (flow.request.is_http2 or flow.request.is_http3):
            said.authority = b""  # of those it becomes the Host
        said.headers = self._headers(flow)
        flow.server_conn = Server(address=None)  # no parent proxy, no UDP
        _make_room(flow, (said.host, said.port))

    def _headers(self, flow: HTTPFlow) -> Headers:
        """With what we could see if the client had come to us itself."""
        headers = flow.request.headers.copy()
        assert self.app is not None, "it is asked for the way there"
        peer = flow.client_conn.peername
        near = peer is None or is_loopback(peer[0])
        if not near and self.app.config.fault_header == "loopback":
            headers.pop("x-fakeai-fault", None)
        if "proxyauth" in flow.metadata:
            given = ":".join(flow.metadata["proxyauth"]).encode()
            headers["Proxy-Authorization"] = f"Basic {base64.b64encode(given).decode()}"
        return headers

    def _origin(self, flow: HTTPFlow) -> Origin | None:
        """Whom the request is meant for, if that is a host of ours. Where mitmproxy knows an address
        alone, as in its transparent modes, the client's TLS or its Host says the name."""
        request = flow.request
        for name in _names(flow):
            if self._intercepts(name):
                return Origin(request.scheme, canonical_host(name) or name, request.port)
        return None

    def _intercepts(self, name: str) -> bool:
        host = canonical_host(name)
        return host is not None and self.app is not None and self.app.policy.intercepts(host)

    # --- and back

    def restore(self, flow: HTTPFlow) -> bool:
        """Whether it was with us."""
        before = self._before.pop(flow.id, None)
        if before is None:
            return False
        said = flow.request.data
        said.scheme, said.host, said.port, said.path, said.authority, said.headers = before
        return True

    def head_is_back(self, flow: HTTPFlow) -> None:
        if self.restore(flow) and flow.response is not None and flow.response.status_code != 101:
            flow.response.stream = _Kept()

    def body_is_back(self, flow: HTTPFlow) -> None:
        kept = flow.response.stream if flow.response is not None else None
        if isinstance(kept, _Kept) and kept.size <= KEPT_BYTES_MAX:
            flow.response.raw_content = b"".join(kept.pieces)


class _Kept:
    """Passes an answer on piece by piece, and keeps it for whoever looks at flows."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.size = 0

    def __call__(self, data: bytes) -> bytes:
        self.size += len(data)
        if self.size <= KEPT_BYTES_MAX:
            self.pieces.append(data)
        else:
            self.pieces.clear()
        return data


def _names(flow: HTTPFlow) -> list[str]:
    named = flow.request.host
    try:
        ip_address(named)
    except ValueError:
        return [named]
    return [named, *filter(None, (flow.client_conn.sni, flow.request.pretty_host))]


def _below(path: bytes) -> bytes:
    """`OPTIONS *` is the one target that is no path."""
    return b"" if path == b"*" else path


def _make_room(flow: HTTPFlow, address: tuple[str, int]) -> None:
    handler = ctx.master.addons.get("proxyserver").connections.get(flow.client_conn.id)
    waiting = getattr(handler, "max_conns", None)  # a replayed flow has none
    if waiting is not None and address not in waiting:
        waiting[address] = asyncio.Semaphore(STREAMS_MAX)
