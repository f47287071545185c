"""The certificate authority of this installation, as a start needs it.

One that is there already is only looked at, with what Python brings; it is read when the first
certificate is asked for, because what reads it is slow to import and large.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fakeai_proxy.proxy.authority import Authority


class Installed:
    """As `Authority.open` of the same arguments, at the last moment. Any thread may ask."""

    def __init__(
        self,
        directory: Path,
        hosts: Iterable[str],
        wall: Callable[[], float],
        required: Iterable[str],
    ) -> None:
        self._directory = directory
        self._hosts = tuple(hosts)
        self._wall = wall
        self._required = tuple(required)
        self._lock = threading.Lock()
        self._opened: Authority | None = None

    def check(self) -> None:
        """Make it where there is none. Raises ConfigError where it cannot be used."""
        # Whom it may sign for is nothing that Python's own TLS can tell.
        if self._required or not self._is_sound():
            self.authority()

    def authority(self) -> Authority:
        """The first time it takes a while. Raises ConfigError."""
        with self._lock:
            if self._opened is None:
                from fakeai_proxy.proxy.authority import Authority

                self._opened = Authority.open(
                    self._directory, self._hosts, self._wall, self._required
                )
            return self._opened

    def _is_sound(self) -> bool:
        """Whether its key and certificates belong together, are in force, and clients find the root."""
        path = self._directory / "authority.pem"
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(path)
            context.load_verify_locations(path)
            until = [
                ssl.cert_time_to_seconds(str(one["notAfter"])) for one in context.get_ca_certs()
            ]
            root = (self._directory / "root.pem").read_bytes()
            is_published = bool(root) and path.read_bytes().endswith(root)
        except (OSError, ValueError):
            return False
        return is_published and len(until) == 2 and min(until) > self._wall()
