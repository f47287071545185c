"""Which hosts a client may reach through us, and who may ask."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from fakeai_proxy.errors import ApiError, ConfigError, destination_refused
from fakeai_proxy.providers import INTERCEPTED_HOSTS, host_matches

#: Where a tunnel may lead when its entry names no port.
TUNNEL_PORTS = (443, 80)

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
#: RFC 6052: IPv4 addresses behind a translator.
_NAT64 = IPv6Network("64:ff9b::/96")


class Verdict(Enum):
    INTERCEPT = "intercept"  # terminated here: recorded, replayed or synthesized
    TUNNEL = "tunnel"  # carried byte for byte, never looked at
    REFUSE = "refuse"


class PolicySettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    intercept: tuple[str, ...] = Field(
        (), description="Intercept this host too, besides the known LLM APIs; NAME or *.SUFFIX."
    )
    allow_host: tuple[str, ...] = Field(
        (),
        description="Tunnel this host untouched: NAME, *.SUFFIX, NAME:PORT, or `any`. Everything "
        "else is refused. Private and loopback addresses are reached by their own NAME only.",
    )
    proxy_auth: SecretStr | None = Field(
        None, description="USER:PASSWORD that clients of the forward proxy must give."
    )


@dataclass(frozen=True, slots=True)
class _Allowed:
    pattern: str
    port: int | None

    @property
    def names_one_host(self) -> bool:
        return self.pattern != "any" and not self.pattern.startswith("*.")

    def covers(self, host: str, port: int) -> bool:
        if port not in (TUNNEL_PORTS if self.port is None else (self.port,)):
            return False
        return self.pattern == "any" or host_matches(host, self.pattern)


class Policy:
    """Ports: an intercepted host is intercepted on every port; a tunnelled one on 443 and 80 unless
    its entry names another."""

    def __init__(self, settings: PolicySettings) -> None:
        """Raises ConfigError for an entry that is no host, and for credentials that nobody can give."""
        added = (_pattern("intercept", entry, entry) for entry in settings.intercept)
        self.intercepted = (*INTERCEPTED_HOSTS, *added)
        self._allowed = tuple(_allowed(entry) for entry in settings.allow_host)
        self._credentials = settings.proxy_auth
        if self._credentials is not None and ":" not in self._credentials.get_secret_value():
            raise ConfigError("proxy_auth: give USER:PASSWORD.")

    @property
    def is_open_relay(self) -> bool:
        """Whether anybody who reaches this proxy reaches any host through it."""
        anywhere = any(entry.pattern == "any" for entry in self._allowed)
        return anywhere and self._credentials is None

    def intercepts(self, host: str) -> bool:
        return any(host_matches(host, pattern) for pattern in self.intercepted)

    def verdict(self, host: str, port: int) -> Verdict:
        if self.intercepts(host):
            return Verdict.INTERCEPT
        return Verdict.TUNNEL if self.allows(host, port) else Verdict.REFUSE

    def allows(self, host: str, port: int) -> bool:
        """Whether this may be tunnelled."""
        return any(entry.covers(host, port) for entry in self._allowed)

    def names(self, host: str, port: int) -> bool:
        """Whether an entry allows this very host: then it may have an internal address."""
        return any(entry.names_one_host and entry.covers(host, port) for entry in self._allowed)

    def refusal(self, authority: str) -> ApiError:
        """The answer to a client that asks for a host that is neither intercepted nor allowed."""
        host = re.sub(r"(?<!:):\d+$|(?<=\]):\d+$", "", authority)
        return destination_refused(
            authority,
            f"Start with --intercept {host} to record or synthesize it, or with --allow-host "
            f"{authority} to tunnel it.",
        )

    def admits(self, proxy_authorization: bytes | None) -> bool:
        """Whether the value of a `Proxy-Authorization` header opens this proxy."""
        if self._credentials is None:
            return True
        given = basic_credentials(proxy_authorization)
        if given is None:
            return False
        return hmac.compare_digest(given, self._credentials.get_secret_value().encode())


def basic_credentials(authorization: bytes | None) -> bytes | None:
    """USER:PASSWORD of a header's value; None where it has none."""
    scheme, _, encoded = (authorization or b"").partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        return base64.b64decode(encoded.strip(), validate=True)
    except binascii.Error:
        return None


def canonical_host(text: str) -> str | None:
    """A host name or IP literal as it is compared: lower case, no brackets, no final dot, shortest
    form of an address. None when it is neither."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return str(ip_address(bare))
    except ValueError:
        pass
    name = text.lower().removesuffix(".")
    return name if _NAME.fullmatch(name) else None


def is_internal(address: str) -> bool:
    """Whether an address belongs to this machine or its surroundings: loopback, private,
    link-local (cloud metadata lives there), shared, reserved or multicast; also when it is wrapped
    in an IPv6 transition address."""
    bare = ip_address(address.partition("%")[0])
    return any(not one.is_global or one.is_multicast for one in (bare, *_embedded(bare)))


def _embedded(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour]
    found += address.teredo or ()
    if address in _NAT64:
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in found if one is not None]


def _allowed(entry: str) -> _Allowed:
    match = re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*):(\d{1,5})", entry)
    pattern, port = (match[1], int(match[2])) if match else (entry, None)
    if port is not None and not 0 < port < 65536:
        raise ConfigError(f"allow_host: '{entry}' has no port between 1 and 65535.")
    return _Allowed("any" if pattern == "any" else _pattern("allow_host", pattern, entry), port)


def _pattern(key: str, pattern: str, entry: str) -> str:
    prefix = "*." if pattern.startswith("*.") else ""
    host = canonical_host(pattern.removeprefix(prefix))
    if host is None:
        raise ConfigError(f"{key}: '{entry}' is no host: give NAME, *.SUFFIX or an IP address.")
    return prefix + host
