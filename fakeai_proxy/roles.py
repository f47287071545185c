"""Who takes part in an exchange: where content comes from, where it goes, who is told."""

from __future__ import annotations

from typing import Protocol

from fakeai_proxy.exchange import Exchange, Reply


class Source(Protocol):
    """Where content comes from."""

    async def reply(self, exchange: Exchange) -> Reply:
        """Raises ApiError when the answer is an error of ours."""

    async def close(self) -> None: ...


class Sink(Protocol):
    """Where framed bytes go; an asyncio transport is one."""

    def write(self, data: bytes) -> None: ...

    def is_closing(self) -> bool: ...

    def get_write_buffer_size(self) -> int: ...


class Client(Protocol):
    """The client's end of an exchange: frames a reply for its connection."""

    @property
    def sink(self) -> Sink: ...

    def head(self, reply: Reply) -> bytes:
        """The response head; afterwards the frames follow its choice of framing."""

    def frame(self, data: bytes) -> bytes:
        """One piece of the body as it goes over the wire; b"" where there is nothing to send."""

    def tail(self) -> bytes:
        """The end of the body."""

    async def drain(self) -> None:
        """Wait until a slow reader has caught up. Raises ConnectionError when it is gone."""

    def cut(self) -> None:
        """Close without the end of the body."""

    async def converse(self, exchange: Exchange, reply: Reply) -> None:
        """Make the connection a WebSocket and carry the reply's dialogue until a side leaves. Raises
        ConnectionError when the client vanishes."""

    def reset(self) -> None:
        """End the connection with a reset (RST), at once."""

    def downgrade(self) -> None:
        """Before the head: answer as a server of HTTP/1.0 would."""

    def close_after(self) -> None:
        """Before the head: close the connection after this reply."""


class Observer(Protocol):
    def finished(self, exchange: Exchange) -> None:
        """Called once, after the last byte or the failure."""
