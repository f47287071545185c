"""Server certificates for intercepted hosts, issued on first use and kept in memory only.

What is cached is the SSLContext: making one costs more than the handshake that it is made for.
What signs is imported with the first certificate.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fakeai_proxy.errors import ConfigError, authority_too_narrow, authority_unusable
from fakeai_proxy.proxy.policy import canonical_host

if TYPE_CHECKING:
    from fakeai_proxy.proxy.authority import Authority

log = logging.getLogger("fakeai_proxy")

#: The part of its lifetime after which a certificate is replaced on the next use.
RENEW_AFTER = 5 / 6
MAX_CONTEXTS = 256


@dataclass(frozen=True, slots=True)
class _Entry:
    context: ssl.SSLContext
    renew_at: float


class Certificates:
    """`opened` gives the authority, raises ConfigError, and may take a while the first time; `serves`
    tells which names may be asked for by SNI; `wall` is real time."""

    def __init__(
        self,
        opened: Callable[[], Authority],
        serves: Callable[[str], bool],
        wall: Callable[[], float],
    ) -> None:
        self._opened = opened
        self._authority: Authority | None = None
        self._serves = serves
        self._wall = wall
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._issuing = asyncio.Lock()

    async def require(self, host: str) -> None:
        """Raises 502 for a host that the authority may not sign for."""
        if not await self._covers(host):
            raise authority_too_narrow(host)

    async def _covers(self, host: str) -> bool:
        authority = self._authority
        if authority is None:
            authority = await asyncio.to_thread(self._signer)
        return authority.covers(host)

    def _signer(self) -> Authority:
        """Raises 502 where the authority cannot be used any more."""
        if self._authority is None:
            try:
                self._authority = self._opened()
            except ConfigError as error:
                raise authority_unusable(str(error)) from None
        return self._authority

    async def context(self, host: str) -> ssl.SSLContext:
        """The server context of a host, which is canonical and within the authority's constraints;
        a client that names another host by SNI gets that host's certificate, or an alert."""
        context = self._cached(host)
        if context is None:
            async with self._issuing:
                context = self._cached(host)
                if context is None:
                    context = self._keep(host, await asyncio.to_thread(self._issue, host))
        return context

    async def http2_context(self, host: str) -> ssl.SSLContext:
        """For whoever speaks nothing but HTTP/2: it is told so in HTTP/2."""
        context = (await asyncio.to_thread(self._issue, host)).context
        context.set_alpn_protocols(["h2"])
        return context

    async def own_context(self, address: str) -> ssl.SSLContext:
        """For clients that speak TLS to this proxy itself at `address`, named by SNI or not."""
        bare = canonical_host(address.partition("%")[0])
        covered = bare is not None and await self._covers(bare)
        return await self.context(bare if bare is not None and covered else "localhost")

    async def flawed_context(self, host: str, flaw: str) -> ssl.SSLContext:
        """One that no client should accept: `expired`, `untrusted` (the intermediate's certificate is
        missing) or `wrong_host`."""
        return await asyncio.to_thread(self._flawed, host, flaw)

    def _flawed(self, host: str, flaw: str) -> ssl.SSLContext:
        from fakeai_proxy.proxy.leaf import LIFETIME, issue

        now, signer = self._wall(), self._signer()
        if flaw == "expired":
            now -= 2 * LIFETIME.total_seconds()
        if flaw == "wrong_host":
            host = "localhost" if host != "localhost" else "127.0.0.1"
        pem, _ = issue(signer, host, now)
        if flaw == "untrusted":
            pem = pem.removesuffix(signer.intermediate_pem)
        return _serving(pem)

    def _cached(self, host: str) -> ssl.SSLContext | None:
        entry = self._entries.get(host)
        if entry is None or entry.renew_at <= self._wall():
            return None
        self._entries.move_to_end(host)
        return entry.context

    def _keep(self, host: str, entry: _Entry) -> ssl.SSLContext:
        self._entries[host] = entry
        self._entries.move_to_end(host)
        while len(self._entries) > MAX_CONTEXTS:
            self._entries.popitem(last=False)
        return entry.context

    def _issue(self, host: str) -> _Entry:
        from fakeai_proxy.proxy.leaf import issue

        now = self._wall()
        pem, expires_at = issue(self._signer(), host, now)
        context = _serving(pem)

        def follow(inner: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
            return self._follow(host, inner, name)

        context.sni_callback = follow
        return _Entry(context, now + (expires_at - now) * RENEW_AFTER)

    def _follow(self, host: str, inner: ssl.SSLObject, name: str | None) -> int | None:
        if name is None:
            return None
        named = canonical_host(name)
        if named == host:
            return None
        if named is None or not (named == "localhost" or self._serves(named)):
            # asyncio hangs up without sending the alert, so the log has to say why.
            log.warning("TLS for %s is refused: the host is not intercepted", name)
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        # OpenSSL asks in the middle of the handshake, so this rare first use stays on the loop.
        inner.context = self._cached(named) or self._keep(named, self._issue(named))
        return None


def _serving(pem: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    with _as_file(pem) as path:
        context.load_cert_chain(path)
    return context


@contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """A path to read `data` from, since `ssl` takes certificates from files only: memory where the
    system can, else a temporary file of mode 0600."""
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        descriptor = os.memfd_create("certificate")
        try:
            os.write(descriptor, data)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        descriptor, path = tempfile.mkstemp()
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
            yield path
        finally:
            os.unlink(path)
