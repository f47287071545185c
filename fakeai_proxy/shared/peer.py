"""Two processes that ask each other, over one socket that nobody else can reach.

A message is any Python value, pickled: both ends are this program, one the parent of the other. What
is said in one turn of the event loop leaves in one write.
"""

from __future__ import annotations

import asyncio
import inspect
import pickle
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, cast

from fakeai_proxy.errors import FakeAIError

#: What may be asked of this end: a function of the peer that asks and of what it sends along.
Service = Callable[..., Any]

_LENGTH_BYTES = 4
_ASK, _TELL, _ANSWER = range(3)


class PeerLostError(FakeAIError):
    """The other process has ended."""


class PeerError(FakeAIError):
    """The other process could not answer, and has said why."""


class Peer(asyncio.Protocol):
    """One end. `services` are called with this peer first; `gone` when the other end has closed."""

    def __init__(self, services: Mapping[str, Service], gone: Callable[[Peer], None]) -> None:
        self._services = services
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._in = bytearray()
        self._serial = 0
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Future[None]] = set()

    @classmethod
    async def over(
        cls,
        sock: socket.socket,
        services: Mapping[str, Service],
        gone: Callable[[Peer], None],
    ) -> Peer:
        loop = asyncio.get_running_loop()
        _, peer = await loop.create_unix_connection(lambda: cls(services, gone), sock=sock)
        return peer

    # --- saying

    def tell(self, service: str, *values: object) -> None:
        """Nobody waits for what comes of it."""
        self._send((_TELL, service, values))

    async def ask(self, service: str, *values: object) -> Any:
        """Raises PeerLostError and PeerError."""
        if self._transport is None or self._transport.is_closing():
            raise PeerLostError("the other process has ended")
        self._serial += 1
        serial = self._serial
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._asked[serial] = answer
        self._send((_ASK, serial, service, values))
        try:
            return await answer
        finally:
            self._asked.pop(serial, None)

    def close(self) -> None:
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def _send(self, message: tuple[object, ...]) -> None:
        if not self._out:
            self._loop.call_soon(self._flush)
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        self._out += (len(data).to_bytes(_LENGTH_BYTES, "big"), data)

    def _flush(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(self._out))
        self._out.clear()

    # --- hearing

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(PeerLostError("the other process has ended"))
        self._gone(self)

    def data_received(self, data: bytes) -> None:
        buffer = self._in
        buffer += data
        start, end = 0, len(buffer)
        while end - start >= _LENGTH_BYTES:
            after = start + _LENGTH_BYTES
            stop = after + int.from_bytes(buffer[start:after], "big")
            if stop > end:
                break
            self._hear(pickle.loads(buffer[after:stop]))  # noqa: S301 - from our own child or parent
            start = stop
        del buffer[:start]

    def _hear(self, message: Any) -> None:
        kind = message[0]
        if kind == _TELL:
            value = self._services[message[1]](self, *message[2])
            if inspect.isawaitable(value):
                self._later(self._heard(value))
        elif kind == _ASK:
            self._answer(*message[1:])
        else:
            _, serial, failure, value = message
            answer = self._asked.get(serial)
            if answer is not None and not answer.done():
                if failure:
                    answer.set_exception(PeerError(failure))
                else:
                    answer.set_result(value)

    def _answer(self, serial: int, service: str, values: tuple[Any, ...]) -> None:
        try:
            value = self._services[service](self, *values)
        except FakeAIError as error:
            self._send((_ANSWER, serial, str(error) or type(error).__name__, None))
            return
        if inspect.isawaitable(value):
            self._later(self._answer_with(serial, value))
        else:
            self._send((_ANSWER, serial, "", value))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _heard(self, value: Awaitable[Any]) -> None:
        await value

    async def _answer_with(self, serial: int, value: Awaitable[Any]) -> None:
        try:
            self._send((_ANSWER, serial, "", await value))
        except FakeAIError as error:
            self._send((_ANSWER, serial, str(error) or type(error).__name__, None))
