"""A client of the control API: `with Control("http://127.0.0.1:8000") as control: control.status()`.

`AsyncControl` has the same methods, to be awaited; it asks in a thread. Every row of the OpenAPI document
has its method. What the server refuses is raised as a `ControlError`.
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
    KINDS,
    ConflictError,
    ControlError,
    InvalidRequestError,
    NotAllowedError,
    NotFoundError,
    UnreachableError,
)
from fakeai_proxy.client.steering import Steering

__all__ = [
    "AsyncControl",
    "ConflictError",
    "Control",
    "ControlError",
    "InvalidRequestError",
    "NotAllowedError",
    "NotFoundError",
    "UnreachableError",
]

T = TypeVar("T")


class _Place:
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
        self._token = token
        self._timeout_s = timeout_s

    def ask(self, asked: Asked[T]) -> T:
        """Each request has a connection of its own, so that any number of threads may ask. Raises
        ControlError."""
        try:
            status, data = self._exchange(asked)
        except (OSError, http.client.HTTPException) as error:
            where = self._parts.netloc
            raise UnreachableError(
                0, f"{where} does not answer: {error}. Is the server up?"
            ) from error
        if status >= 400:
            raise _refusal(status, data)
        return asked.read(data)

    def _exchange(self, asked: Asked[Any]) -> tuple[int, bytes]:
        connection = self._connection()
        headers = {"accept": asked.accept}
        if self._token is not None:
            headers["x-fakeai-token"] = self._token
        body = None
        if asked.body is not None:
            body = json.dumps(asked.body).encode()
            headers["content-type"] = "application/json"
        query = urlencode({name: value for name, value in asked.query.items() if value is not None})
        target = self._parts.path.rstrip("/") + asked.path + (f"?{query}" if query else "")
        try:
            connection.request(asked.method, target, body, headers)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=self._timeout_s)
        return http.client.HTTPSConnection(host, port, timeout=self._timeout_s)


def _refusal(status: int, data: bytes) -> ControlError:
    kind = KINDS.get(status, ControlError)
    try:
        error = json.loads(data)["error"]
        said = str(error["message"])
    except (ValueError, KeyError, TypeError):  # somebody in between, or a body that is no error
        return kind(status, f"{status}: {data[:500].decode('utf-8', 'replace')}")
    return kind(status, said, str(error.get("code") or ""), str(error.get("param") or ""))


class Control(_Place, Steering, FleetRows, Figures):
    """Blocks until the answer is there."""

    def perform(self, asked: Asked[T]) -> T:
        return self.ask(asked)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        return None


class AsyncControl(_Place, Steering, FleetRows, Figures):
    """Awaits the answer."""

    async def perform(self, asked: Asked[T]) -> T:
        return await asyncio.to_thread(self.ask, asked)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        return None
