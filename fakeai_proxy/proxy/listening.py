"""Where we listen: addresses as users write them, the sockets bound to them, and whether an address
is our own."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import NamedTuple

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.proxy.sniffing import STAMPS

#: Connections that the kernel completes before we accept them.
BACKLOG = 4096

_LISTEN = re.compile(r"(?:(?P<host>\[[^\]]+\]|[^:\[\]]*):)?(?P<port>\d{1,5})")


class Address(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self}"


def parse_listen(text: str) -> tuple[Address, ...]:
    """`HOST:PORT`, `[V6]:PORT` or `PORT`, several separated by commas. Raises ConfigError."""
    addresses = []
    for part in text.split(","):
        match = _LISTEN.fullmatch(part.strip())
        if match is None or int(match["port"]) > 65535:
            raise ConfigError(
                f"listen: '{part.strip()}' is no address: give HOST:PORT, [V6]:PORT or PORT."
            )
        host = (match["host"] or "127.0.0.1").strip("[]")
        addresses.append(Address("0.0.0.0" if host == "*" else host, int(match["port"])))  # noqa: S104 - only when the user says so
    return tuple(addresses)


def is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ip_address(host.partition("%")[0]).is_loopback
    return host == "localhost"


def bind(address: Address) -> list[socket.socket]:
    """One listening socket for each address of the host, all on one port. Raises ConfigError."""
    sockets: list[socket.socket] = []
    port = address.port
    try:
        found = socket.getaddrinfo(
            address.host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, sockaddr in dict.fromkeys((info[0], info[4]) for info in found):
            # The protocol is explicit because it is inherited by accepted sockets, and event loops
            # set TCP_NODELAY only where they see it.
            listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            sockets.append(listener)
            listener.setblocking(False)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if STAMPS is not None:
                listener.setsockopt(socket.SOL_SOCKET, STAMPS, 1)
            listener.bind((sockaddr[0], port, *sockaddr[2:]))
            listener.listen(BACKLOG)
            port = listener.getsockname()[1]
    except OSError as error:
        for listener in sockets:
            listener.close()
        reason = error.strerror or str(error)
        raise ConfigError(
            f"listen: cannot listen on {address}: {reason}. Choose another with --listen HOST:PORT."
        ) from None
    return sockets


def addresses_of(listeners: Iterable[socket.socket]) -> tuple[Address, ...]:
    """Where they are bound; ports are real."""
    return tuple(Address(*listener.getsockname()[:2]) for listener in listeners)


def is_own(bound: Sequence[Address], host: str, port: int) -> bool:
    """Whether dialling this IP address and port would reach one of our sockets."""
    target = ip_address(host.partition("%")[0])
    mapped = getattr(target, "ipv4_mapped", None)
    target = mapped or target
    for address in bound:
        if address.port != port:
            continue
        listening = ip_address(address.host.partition("%")[0])
        if target == listening or target.is_unspecified:
            return True
        if listening.is_unspecified and listening.version == target.version:
            return target.is_loopback or _is_local(str(target))
    return False


def _is_local(host: str) -> bool:
    """Whether an interface of this machine has this address: only then can a socket bind to it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True
