"""No way out: while a test with a cassette runs, the sockets of Python reach its server and what is
allowed, nothing else. Sockets of C libraries (uvloop, gRPC) are not seen here."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from ipaddress import ip_address
from typing import Any

import pytest


class NetworkBlockedError(PermissionError):
    """What HTTP clients take for a connection that failed."""


class Guard:
    """`allowed` are HOST or HOST:PORT, in which `*` stands for anything; `localhost` is every address
    of this machine's loopback. `is_exempt` tells threads that are not the test's."""

    def __init__(
        self, own: tuple[str, int], allowed: Sequence[str], is_exempt: Callable[[], bool]
    ) -> None:
        self._own = own
        self._allowed = [_entry(entry) for entry in allowed]
        self._is_exempt = is_exempt
        #: Addresses that allowed names have turned out to have, with the name.
        self._known: dict[str, str] = {}
        #: What was tried, and said in answer.
        self.refused: list[str] = []

    def set_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        connect, connect_ex = socket.socket.connect, socket.socket.connect_ex
        look_up, host_address = socket.getaddrinfo, socket.gethostbyname

        def guarded_connect(self: socket.socket, address: Any, /) -> None:
            guard.check(self, address)
            connect(self, address)

        def guarded_connect_ex(self: socket.socket, address: Any, /) -> int:
            guard.check(self, address)
            return connect_ex(self, address)

        def guarded_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
            guard.check_name(host)
            found = look_up(host, *args, **kwargs)
            guard.learn(host, [info[4][0] for info in found])
            return found

        def guarded_host_address(host: str, /) -> str:
            guard.check_name(host)
            found = host_address(host)
            guard.learn(host, [found])
            return found

        guard = self
        monkeypatch.setattr(socket.socket, "connect", guarded_connect)
        monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)
        monkeypatch.setattr(socket, "gethostbyname", guarded_host_address)

    def check(self, sock: socket.socket, address: Any) -> None:
        """Raises NetworkBlockedError."""
        if sock.family not in (socket.AF_INET, socket.AF_INET6) or self._is_exempt():
            return
        host, port = str(address[0]), int(address[1])
        if (host, port) == self._own or self._admits(host, port):
            return
        name = self._known.get(host)
        if name is not None and self._admits(name, port):
            return
        raise self._refusal(f"{name or host}:{port}")

    def check_name(self, host: Any) -> None:
        """Raises NetworkBlockedError for a name that is allowed at no port."""
        name = host.decode("idna") if isinstance(host, bytes) else host
        if not isinstance(name, str) or _is_address(name) or self._is_exempt():
            return
        if name not in ("", "localhost") and not self._admits(name, None):
            raise self._refusal(name)

    def learn(self, host: Any, addresses: Sequence[Any]) -> None:
        if isinstance(host, str) and not _is_address(host):
            self._known.update((str(address), host) for address in addresses)

    def _admits(self, host: str, port: int | None) -> bool:
        return any(
            (port is None or only in (None, port))
            and (
                fnmatchcase(host.lower(), pattern)
                or (pattern == "localhost" and _is_loopback(host))
            )
            for pattern, only in self._allowed
        )

    def _refusal(self, where: str) -> NetworkBlockedError:
        said = (
            f"A test with a cassette wanted to connect to {where}, past the cassette. "
            "To let it: @pytest.mark.cassette(allow_hosts=[...]), or fakeai_allow_hosts in pytest's "
            "configuration. A client that cannot be told a base URL: @pytest.mark.cassette(proxy=True)."
        )
        if said not in self.refused:
            self.refused.append(said)
        return NetworkBlockedError(said)


def _entry(text: str) -> tuple[str, int | None]:
    host, colon, port = text.rpartition(":")
    if colon and port.isdigit() and (":" not in host or host.startswith("[")):
        return host.strip("[]").lower(), int(port)
    return text.strip("[]").lower(), None


def _is_address(host: str) -> bool:
    with suppress(ValueError):
        ip_address(host.partition("%")[0])
        return True
    return False


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (
        _is_address(host) and ip_address(host.partition("%")[0]).is_loopback
    )
