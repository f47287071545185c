"""Streams of the control API: iterators over server-sent events, for both clients.

A stream that is lost is opened again where it was, by Last-Event-ID; one that ends after its greeting
raises, and so does a server that has gone.
"""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar, overload

from fakeai_proxy.client.asking import Described
from fakeai_proxy.client.refusals import UnreachableError, refusal

if TYPE_CHECKING:
    from fakeai_proxy.client import AsyncControl, Control, Place

P = ParamSpec("P")
E = TypeVar("E")

#: An open stream says something within this: the server's own heartbeat comes every 15 s.
_SILENCE_S = 40.0
#: One event may hold the samples of many minutes.
_LINE_BYTES_MAX = 1 << 26
_ACCEPT = "text/event-stream"


@dataclass(frozen=True)
class Feed(Generic[E]):
    """One stream, and what reads each of its events; events of other names are passed over."""

    path: str
    read: Mapping[str, Callable[[bytes], E]]
    query: Mapping[str, object] = field(default_factory=dict)
    last_id: str = ""
    method: str = "GET"


class _Reading(Generic[E]):
    """The lines of one stream after another, as events. Knows no sockets."""

    def __init__(self, feed: Feed[E]) -> None:
        self._read = feed.read
        self.last_id = feed.last_id
        self.missed = 0
        self._name, self._data, self._id = "", b"", ""
        #: Of this connection, the first being its greeting.
        self._blocks = 0
        #: Of events since `last_id`, which come again after a loss.
        self._since: set[bytes] = set()

    @property
    def headers(self) -> dict[str, str]:
        return {"accept": _ACCEPT} | ({"last-event-id": self.last_id} if self.last_id else {})

    def line(self, line: bytes) -> E | None:
        """The event that ends with it, if one does."""
        name, _, value = line.rstrip(b"\r\n").partition(b": ")
        if name == b"event":
            self._name = value.decode()
        elif name == b"id":
            self._id = value.decode()
        elif name == b"data":
            self._data += value
        elif not name and not value:
            self._blocks += 1
            return self._event()
        return None

    def _event(self) -> E | None:
        name, data, last_id = self._name, self._data, self._id
        self._name, self._data, self._id = "", b"", ""
        is_told = data in self._since
        if last_id and last_id != self.last_id:
            self.last_id = last_id
            self._since.clear()
        elif data and self.last_id:
            self._since.add(data)
        if name == "lagged":
            self.missed += int(json.loads(data)["missed"])
        read = self._read.get(name)
        return None if read is None or is_told else read(data)

    def lost(self, why: str) -> None:
        """It will be opened again. Raises UnreachableError where it said no more than its greeting."""
        if self._blocks < 2:
            raise UnreachableError(0, f"the stream ended: {why}. Is the server up?")
        self._blocks = 0
        self._name, self._data, self._id = "", b"", ""


class _Opened(Generic[E]):
    def __init__(self, place: Place, feed: Feed[E]) -> None:
        self._place, self._feed = place, feed
        self._reading = _Reading(feed)
        self._is_closed = False

    @property
    def last_id(self) -> str:
        """Where to go on after the event that came last: whoever asks from here on misses none."""
        return self._reading.last_id

    @property
    def missed(self) -> int:
        """Events that were not to be had any more, because this reader was too slow for them."""
        return self._reading.missed


class Stream(_Opened[E]):
    """Opened by `with`, or by the first `next`. Raises ControlError."""

    _connection: http.client.HTTPConnection | None = None
    _reply: http.client.HTTPResponse | None = None

    def __enter__(self) -> Self:
        self._reading.line(self._line())  # whoever has read one misses nothing from here on
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def close(self) -> None:
        self._is_closed = True
        self._hang_up()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> E:
        while not self._is_closed:
            event = self._reading.line(self._line())
            if event is not None:
                return event
        raise StopIteration

    def _line(self) -> bytes:
        while True:
            if self._reply is None:
                self._reply = self._open()
            try:
                if line := self._reply.readline():
                    return line
                why = "it was closed"
            except (OSError, http.client.HTTPException) as error:
                why = str(error)
            self._hang_up()
            self._reading.lost(why)

    def _open(self) -> http.client.HTTPResponse:
        connection = self._connection = self._place.connection(_SILENCE_S)
        headers = self._reading.headers | self._place.headers
        try:
            connection.request("GET", self._place.target(self._feed), headers=headers)
            reply = connection.getresponse()
            refused = reply.read() if reply.status >= 400 else b""
        except (OSError, http.client.HTTPException) as error:
            raise self._place.unreachable(error) from error
        if reply.status >= 400:
            raise refusal(reply.status, refused)
        return reply

    def _hang_up(self) -> None:
        self._reply = None
        if self._connection is not None:
            self._connection.close()


class AsyncStream(_Opened[E]):
    """Opened by `async with`, or by the first `anext`. Raises ControlError."""

    _reader: asyncio.StreamReader | None = None
    _writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        self._reading.line(await self._line())
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        self._is_closed = True
        await self._hang_up()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> E:
        while not self._is_closed:
            event = self._reading.line(await self._line())
            if event is not None:
                return event
        raise StopAsyncIteration

    async def _line(self) -> bytes:
        while True:
            if self._reader is None:
                self._reader = await self._open()
            try:
                async with asyncio.timeout(_SILENCE_S):
                    if line := await self._reader.readline():
                        return line
                why = "it was closed"
            except (OSError, TimeoutError) as error:
                why = str(error)
            await self._hang_up()
            self._reading.lost(why)

    async def _open(self) -> asyncio.StreamReader:
        headers = self._reading.headers | self._place.headers
        # HTTP/1.0 has no chunks: what comes after the head is the events.
        head = f"GET {self._place.target(self._feed)} HTTP/1.0\r\nhost: {self._place.authority}\r\n"
        head += "".join([f"{name}: {value}\r\n" for name, value in headers.items()]) + "\r\n"
        try:
            async with asyncio.timeout(_SILENCE_S):
                host, port = self._place.address
                reader, self._writer = await asyncio.open_connection(
                    host, port, ssl=self._place.is_secure or None, limit=_LINE_BYTES_MAX
                )
                self._writer.write(head.encode())
                told = await reader.readuntil(b"\r\n\r\n")
                status = int(told.split(None, 2)[1])
                refused = await reader.read() if status >= 400 else b""
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
            await self._hang_up()
            raise self._place.unreachable(error) from error
        if status >= 400:
            await self._hang_up()
            raise refusal(status, refused)
        return reader

    async def _hang_up(self) -> None:
        self._reader, writer, self._writer = None, self._writer, None
        if writer is not None:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


class Streamed(Described[P, Feed[E]]):
    """An iterator of the one, an async iterator of the other."""

    @overload
    def __get__(self, client: Control, owner: type) -> Callable[P, Stream[E]]: ...
    @overload
    def __get__(self, client: AsyncControl, owner: type) -> Callable[P, AsyncStream[E]]: ...
    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    def __get__(self, client: Any, owner: type) -> Any:
        return self if client is None else self._bound(client, client.stream)
