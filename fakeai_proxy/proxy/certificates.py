"""Server certificates for intercepted hosts, issued on first use and kept in memory only.

What is cached is the SSLContext: making one costs more than the handshake that it is made for.
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
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fakeai_proxy.errors import authority_too_narrow
from fakeai_proxy.proxy.authority import CLOCK_SKEW, Authority
from fakeai_proxy.proxy.policy import canonical_host

log = logging.getLogger("fakeai_proxy")

LIFETIME = timedelta(days=30)
#: The part of its lifetime after which a certificate is replaced on the next use.
RENEW_AFTER = 5 / 6
MAX_CONTEXTS = 256


@dataclass(frozen=True, slots=True)
class _Entry:
    context: ssl.SSLContext
    renew_at: float


class Certificates:
    """`serves` tells which names may be asked for by SNI; `wall` is real time."""

    def __init__(
        self, authority: Authority, serves: Callable[[str], bool], wall: Callable[[], float]
    ) -> None:
        self._authority = authority
        self._serves = serves
        self._wall = wall
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._issuing = asyncio.Lock()

    def require(self, host: str) -> None:
        """Raises 502 for a host that the authority may not sign for."""
        if not self._authority.covers(host):
            raise authority_too_narrow(host)

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
        covered = bare is not None and self._authority.covers(bare)
        return await self.context(bare if bare is not None and covered else "localhost")

    async def flawed_context(self, host: str, flaw: str) -> ssl.SSLContext:
        """One that no client should accept: `expired`, `untrusted` (the intermediate's certificate is
        missing) or `wrong_host`."""
        return await asyncio.to_thread(self._flawed, host, flaw)

    def _flawed(self, host: str, flaw: str) -> ssl.SSLContext:
        now = self._wall()
        if flaw == "expired":
            now -= 2 * LIFETIME.total_seconds()
        if flaw == "wrong_host":
            host = "localhost" if host != "localhost" else "127.0.0.1"
        pem, _ = issue(self._authority, host, now)
        if flaw == "untrusted":
            pem = pem.removesuffix(self._authority.intermediate.public_bytes(Encoding.PEM))
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
        now = self._wall()
        pem, expires_at = issue(self._authority, host, now)
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


def issue(authority: Authority, host: str, now: float) -> tuple[bytes, float]:
    """A new key, its certificate for `host` and the intermediate's, as PEM; and when it expires.

    The host stands in the SAN only: OpenSSL would test a CN against the DNS constraints, which an
    IP address never meets.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    at = datetime.fromtimestamp(int(now), UTC)
    expires = min(at + LIFETIME, authority.intermediate.not_valid_after_utc)
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=False, crl_sign=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "fakeai-proxy")]))
        .issuer_name(authority.intermediate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - CLOCK_SKEW)
        .not_valid_after(expires)
        .add_extension(x509.SubjectAlternativeName([_general_name(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
        .sign(authority.key, hashes.SHA256())
    )
    pem = (
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate.public_bytes(Encoding.PEM)
        + authority.intermediate.public_bytes(Encoding.PEM)
    )
    return pem, expires.timestamp()


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


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
