"""Whose certificates are believed of upstreams. Reading the system's takes 20 ms, for which there is a
thread, and 4 MB, which nobody pays who asks no upstream over TLS.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import certifi

from fakeai_proxy.clock import Clock
from fakeai_proxy.errors import ConfigError


class Trust:
    """In the system's authorities and those in `extra`, which is looked at early, because it may be wrong.
    Raises ConfigError."""

    def __init__(self, extra: Path | None, clock: Clock) -> None:
        self._made = tls_context(extra) if extra is not None else None
        self._clock = clock
        self._making: asyncio.Future[ssl.SSLContext] | None = None

    def prepare(self) -> None:
        if self._made is None and self._making is None:
            self._making = asyncio.ensure_future(asyncio.to_thread(tls_context, None))

    async def context(self) -> ssl.SSLContext:
        if self._made is None:
            self.prepare()
            assert self._making is not None
            with self._clock.hold():
                # Others wait for it too: it goes on when this one is cancelled.
                self._made = await asyncio.shield(self._making)
            self._making = None
        return self._made

    def close(self) -> None:
        if self._making is not None:
            self._making.cancel()


def tls_context(extra: Path | None) -> ssl.SSLContext:
    """Trust in the system's authorities and those in `extra`. Raises ConfigError."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if not context.cert_store_stats()["x509_ca"]:
        context.load_verify_locations(certifi.where())  # a Python that finds no system store
    if extra is not None:
        try:
            context.load_verify_locations(extra)
        except (OSError, ssl.SSLError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "no PEM"
            raise ConfigError(f"upstream_ca: {extra} holds no certificates ({reason})") from None
    return context
