"""A client of the control API: `with Control("http://127.0.0.1:8000") as control: control.status()`.

`AsyncControl` has the same methods, to be awaited; it asks in a thread. Every row of the OpenAPI document
has its method; streams are iterators. What the server refuses is raised as a `ControlError`.
"""

from __future__ import annotations

import asyncio
import http.client
import json
from typing import Any, Self, TypeVar
from urllib.parse import urlencode, urlsplit

from fakeai_proxy.client.asking import Asked
from fakeai_proxy.client.figures import Figures
from fakeai_proxy.client.fleet import FleetRows
from fakeai_proxy.client.refusals import (
    ConflictError,
    ControlError,
    InvalidRequestError,
    NotAllowedError,
    NotFoundError,
    UnreachableError,
    refusal,
)
from fakeai_proxy.client.steering import Steering
from fakeai_proxy.client.streams import AsyncStream, Feed, Stream

__all__ = [
    "AsyncControl",
    "AsyncStream",
    "ConflictError",
    "Control",
    "ControlError",
    "InvalidRequestError",
    "NotAllowedError",
    "NotFoundError",
    "Stream",
    "UnreachableError",
]

T = TypeVar("T")
E = TypeVar("E")


class Place:
    """Where the server is, and what it takes to be let in."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        token: str | None = None,
        *,
        timeout_s: float = 30.0,
    ) -> None:
        """`token` is that of --admin-token. Proxies of the environment are not asked."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or parts.hostname is None:
            raise ValueError(f"{url!r} is no address of a server: http://HOST:PORT")
        self._parts = parts
        self._timeout_s = timeout_s
        self.authority = parts.netloc.rpartition("@")[2]
        self.is_secure = parts.scheme == "https"
        self.address = parts.hostname, parts.port or (443 if self.is_secure else 80)
        self.headers = {} if token is None else {"x-fakeai-token": token}

    def ask(self, asked: Asked[T]) -> T:
        """Each request has a connection of its own, so that any number of threads may ask. Raises
        ControlError."""
        try:
            status, data = self._exchange(asked)
        except (OSError, http.client.HTTPException) as error:
            raise self.unreachable(error) from error
        if status >= 400:
            raise refusal(status, data)
        return asked.read(data)

    def unreachable(self, error: Exception) -> UnreachableError:
        why = str(error) or type(error).__name__
        return UnreachableError(0, f"{self.authority} does not answer: {why}. Is the server up?")

    def target(self, asked: Asked[Any] | Feed[Any]) -> str:
        query = urlencode({name: value for name, value in asked.query.items() if value is not None})
        return self._parts.path.rstrip("/") + asked.path + (f"?{query}" if query else "")

    def connection(self, timeout_s: float) -> http.client.HTTPConnection:
        if self.is_secure:
            return http.client.HTTPSConnection(*self.address, timeout=timeout_s)
        return http.client.HTTPConnection(*self.address, timeout=timeout_s)

    def _exchange(self, asked: Asked[Any]) -> tuple[int, bytes]:
        connection = self.connection(self._timeout_s)
        headers = {"accept": asked.accept, **self.headers}
        body = None
        if asked.body is not None:
            body = json.dumps(asked.body).encode()
            headers["content-type"] = "application/json"
        try:
            connection.request(asked.method, self.target(asked), body, headers)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()


class Control(Place, Steering, FleetRows, Figures):
    """Blocks until the answer is there."""

    def perform(self, asked: Asked[T]) -> T:
        return self.ask(asked)

    def stream(self, feed: Feed[E]) -> Stream[E]:
        return Stream(self, feed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        return None


class AsyncControl(Place, Steering, FleetRows, Figures):
    """Awaits the answer."""

    async def perform(self, asked: Asked[T]) -> T:
        return await asyncio.to_thread(self.ask, asked)

    def stream(self, feed: Feed[E]) -> AsyncStream[E]:
        return AsyncStream(self, feed)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        return None
