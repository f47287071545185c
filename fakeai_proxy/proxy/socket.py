"""Drives a `Dialogue`: puts its core on a WebSocket and on the clock.

What a dialogue says goes out at once; what a model works on for it is an exchange of its own, which goes
through the pipeline like any other, so that it is limited, paced and told of like any other. This file
knows no protocol above messages.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import suppress

from aiohttp import WSMsgType

from fakeai_proxy.body import INLINE_BYTES_MAX, Body
from fakeai_proxy.clock import Clock, Timer, turn
from fakeai_proxy.dialogue import (
    Begin,
    Close,
    Dialogue,
    Effect,
    Missed,
    Say,
    Stop,
    Turn,
    Vanish,
    Wire,
)
from fakeai_proxy.errors import ApiError, bad_request, server_error
from fakeai_proxy.exchange import (
    MISS,
    SOCKET_METHOD,
    Admission,
    Chunk,
    Exchange,
    Reply,
    Request,
)
from fakeai_proxy.pipeline import Pipeline
from fakeai_proxy.proxy import web
from fakeai_proxy.proxy.websocket import pass_through
from fakeai_proxy.proxy.wire import HttpClient, Incoming

#: A client that does not answer a ping within half of this has vanished.
HEARTBEAT_REAL_S = 40.0
#: How long a client has to answer our close frame.
CLOSE_REAL_S = 5.0
#: Steps of a turn that is not paced between which others get the event loop.
BURST_STEPS = 16
#: Turns at the same time: further ones fail.
TURNS_MAX = 32
#: RFC 6455, 5.2: a whole text message, and the lengths that take two and eight bytes more.
_TEXT, _TWO_BYTES, _EIGHT_BYTES = 0x81, 126, 127
#: Asked for once, by the handshake.
_NOT_WITHIN = b"x-fakeai-fault"


class SocketClient(HttpClient):
    """A client that offers to speak WebSocket."""

    def __init__(self, incoming: Incoming, pipeline: Pipeline, clock: Clock) -> None:
        super().__init__(incoming)
        assert incoming.raw is not None
        self._raw = incoming.raw
        self._pipeline = pipeline
        self._clock = clock

    async def converse(self, exchange: Exchange, reply: Reply) -> None:
        if reply.passage is not None:
            self.keep_alive = False
            exchange.first_byte_at = self._clock.now()
            await pass_through(self._raw, reply)
            return
        dialogue = reply.dialogue
        assert dialogue is not None
        if reply.head_age_s is not None:
            await self._clock.sleep_until(exchange.arrived_at + reply.head_age_s)
        socket = web.WebSocketResponse(
            protocols=dialogue.subprotocols,
            max_msg_size=dialogue.message_bytes_max,
            heartbeat=HEARTBEAT_REAL_S,
            timeout=CLOSE_REAL_S,
            compress=False,
        )
        # It would write subprotocols that we do not know to the log, and some of them are keys.
        logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)
        for name, value in reply.headers:
            socket.headers.add(name.decode("latin-1"), value.decode("latin-1"))
        try:
            await socket.prepare(self._raw)
        except web.HTTPException as refused:
            raise bad_request(f"Bad request: {refused.text}.") from None
        self.keep_alive = False
        exchange.first_byte_at = self._clock.now()
        await _Driver(self, socket, exchange, reply, dialogue, self._pipeline, self._clock).run()


class _Driver:
    def __init__(
        self,
        client: SocketClient,
        socket: web.WebSocketResponse,
        exchange: Exchange,
        reply: Reply,
        dialogue: Dialogue,
        pipeline: Pipeline,
        clock: Clock,
    ) -> None:
        self._client = client
        self._socket = socket
        self._exchange = exchange
        self._reply = reply
        self._dialogue = dialogue
        self._pipeline = pipeline
        self._clock = clock
        self._turns: dict[str, asyncio.Task[None]] = {}
        self._group = asyncio.TaskGroup()
        self._closing = False
        self._timer: Timer | None = None
        self._armed_at: float | None = None
        self._serial = 0

    async def run(self) -> None:
        """Raises ConnectionError when the client vanishes."""
        vanished = True
        try:
            async with self._group:
                self._do(self._dialogue.open(self._clock.now()))
                with suppress(ConnectionError):
                    vanished = await self._listen()
                for task in self._turns.values():
                    task.cancel()
        finally:
            self._closing = True
            if self._timer is not None:
                self._timer.close()
        if vanished:
            raise ConnectionResetError("the client has gone")

    async def _listen(self) -> bool:
        """Until a side leaves: whether that was the client, without a word."""
        dialogue = self._dialogue
        while True:
            await self._client.drain()  # who does not read is not listened to
            message = await self._socket.receive()
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return message.type is WSMsgType.CLOSED and not self._closing
            if len(message.data) <= INLINE_BYTES_MAX:
                event = dialogue.read(message.data)
            else:
                with self._clock.hold():
                    event = await asyncio.to_thread(dialogue.read, message.data)
            self._do(dialogue.receive(event, self._clock.now()))

    def _wake(self) -> None:
        self._armed_at = None
        if self._client.is_slow:
            self._group.create_task(self._wake_later())
        elif not self._closing:
            self._do(self._dialogue.wake(self._clock.now()))

    async def _wake_later(self) -> None:
        with suppress(ConnectionError):
            await self._client.drain()
            self._wake()

    def _do(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Say):
                self.say(effect.message)
            elif isinstance(effect, Begin):
                self._begin(effect.turn)
            elif isinstance(effect, Stop):
                task = self._turns.pop(effect.key, None)
                if task is not None:
                    task.cancel()
            elif isinstance(effect, Wire):
                self._send(effect.frames)
            elif isinstance(effect, Vanish):
                self._closing = True
                self._client.cut()
            elif isinstance(effect, Missed):
                self._exchange.verdict = MISS
            else:
                self._close(effect)
        due_at = self._dialogue.due_at()
        if due_at is not None and due_at != self._armed_at and not self._closing:
            if self._timer is None:
                self._timer = self._clock.timer(self._wake)
            self._armed_at = due_at
            self._timer.at(due_at)

    def say(self, message: bytes) -> None:
        self._send(text_frame(message))

    def _send(self, frames: bytes) -> None:
        if not self._closing and not self._client.sink.is_closing():
            self._exchange.sent_bytes += len(frames)
            self._client.sink.write(frames)

    def _close(self, effect: Close) -> None:
        if not self._closing:
            self._closing = True
            closing = self._socket.close(code=effect.code, message=effect.reason.encode())
            self._group.create_task(_done(closing))

    # --- turns

    def _begin(self, turn_: Turn) -> None:
        if len(self._turns) >= TURNS_MAX:
            self._do(self._dialogue.fail(turn_.key, server_error(), self._clock.now()))
            return
        task = self._group.create_task(self._work(turn_))
        self._turns[turn_.key] = task
        task.add_done_callback(lambda _: self._turns.pop(turn_.key, None))

    async def _work(self, turn_: Turn) -> None:
        self._serial += 1
        asked = self._exchange.request
        headers = tuple(pair for pair in asked.headers if pair[0].lower() != _NOT_WITHIN)
        body = Body(b"")
        body.parsed = dict(turn_.demand)
        request = Request(
            SOCKET_METHOD, asked.path, headers, body, asked.origin, asked.client, asked.dialect
        )
        exchange = Exchange(
            f"{self._exchange.id}-{self._serial}", request, self._clock.now(), turn_.dice_key,
            project=self._exchange.project, key_id=self._exchange.key_id,
            user_id=self._exchange.user_id,
        )  # fmt: skip
        client = _TurnClient(self._client)
        try:
            await self._pipeline.within(_TurnSource(self, turn_)).serve(exchange, client)
        except ApiError as error:
            self._do(self._dialogue.fail(turn_.key, error, self._clock.now()))
        except asyncio.CancelledError:
            self._settle(turn_, exchange)  # what is given up halfway is paid for
            raise
        except ConnectionError:
            return  # whoever listens sees it, too
        if client.broken:
            self._do(self._dialogue.fail(turn_.key, server_error(), self._clock.now()))

    @staticmethod
    def _settle(turn_: Turn, exchange: Exchange) -> None:
        if exchange.reply is not None:
            exchange.reply.usage = turn_.usage
            exchange.settle()

    async def steps(
        self, turn_: Turn, exchange: Exchange, reply: Reply, steps: Sequence[int]
    ) -> AsyncGenerator[Chunk]:
        first = True

        def said(place: int, admission: Admission) -> bytes:
            nonlocal first
            now = self._clock.now()
            if first:  # not when the pipeline wrote the head, which is nothing here
                first, exchange.first_byte_at = False, now
            effects = self._dialogue.advance(turn_.key, place, admission, reply.headers, now)
            if place == len(steps) - 1:
                self._settle(turn_, exchange)
            self._do(effects)
            return b""

        for place, tokens in enumerate(steps):
            if place == len(steps) - 1:
                await turn_.keep(exchange.admission)
            yield Chunk(lambda admission, place=place: said(place, admission), tokens)  # type: ignore[misc] # its own place
            if place % BURST_STEPS == BURST_STEPS - 1:
                await turn()

    async def reply(self, turn_: Turn, exchange: Exchange) -> Reply:
        with self._clock.hold():
            workload, steps = await asyncio.to_thread(turn_.prepare)
        exchange.dice_key = turn_.dice_key
        reply = Reply(200, (), (), workload=workload)
        reply.chunks = self.steps(turn_, exchange, reply, steps)
        return reply


class _TurnSource:
    def __init__(self, driver: _Driver, turn_: Turn) -> None:
        self._driver = driver
        self._turn = turn_

    async def reply(self, exchange: Exchange) -> Reply:
        return await self._driver.reply(self._turn, exchange)

    async def close(self) -> None:
        return None


class _TurnClient:
    """The client's end of an exchange within: its messages are written by the dialogue's driver."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self.sink = client.sink
        self.broken = False

    def head(self, reply: Reply) -> bytes:
        return b""

    def frame(self, data: bytes) -> bytes:
        return b""

    def tail(self) -> bytes:
        return b""

    async def drain(self) -> None:
        await self._client.drain()

    async def converse(self, exchange: Exchange, reply: Reply) -> None:
        raise bad_request("Bad request: there is no WebSocket within a WebSocket.")

    def cut(self) -> None:
        self.broken = True

    def reset(self) -> None:
        self.broken = True

    def downgrade(self) -> None:
        return None

    def close_after(self) -> None:
        return None


async def _done(closing: Awaitable[bool]) -> None:
    with suppress(ConnectionError):
        await closing


def text_frame(message: bytes) -> bytes:
    """As a server sends it: in one piece, without a mask."""
    size = len(message)
    if size < _TWO_BYTES:
        head = bytes((_TEXT, size))
    elif size < 1 << 16:
        head = bytes((_TEXT, _TWO_BYTES)) + size.to_bytes(2, "big")
    else:
        head = bytes((_TEXT, _EIGHT_BYTES)) + size.to_bytes(8, "big")
    return head + message
