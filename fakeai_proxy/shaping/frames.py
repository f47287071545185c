"""Chunks as what goes over the wire, and as the tokens they stand for."""

from __future__ import annotations

from collections.abc import Sequence

from fakeai_proxy.exchange import Admission, Chunk, Reply, header, is_event_stream
from fakeai_proxy.roles import Client

#: Where a body does not tell its tokens: English text has about four bytes to one.
_BYTES_PER_TOKEN = 4


def rendered(
    reply: Reply, chunks: Sequence[Chunk], admission: Admission, client: Client
) -> tuple[bytes, list[bytes], bytes]:
    """Head, frames and tail of a reply whose admission is known."""
    bodies = [data_of(chunk, admission) for chunk in chunks]
    if len(chunks) == 1 and not isinstance(chunks[0].data, bytes):
        measure(reply, bodies[0])
    head = client.head(reply)  # before the frames, which follow its choice of framing
    return head, [client.frame(data) for data in bodies], tail_of(reply, client)


def data_of(chunk: Chunk, admission: Admission) -> bytes:
    return chunk.data if isinstance(chunk.data, bytes) else chunk.data(admission)


def tail_of(reply: Reply, client: Client) -> bytes:
    return b"" if reply.cut else client.tail()


def measure(reply: Reply, body: bytes) -> None:
    """A whole body has a length as soon as it is written."""
    if header(reply.headers, b"content-length") is None:
        reply.headers = (*reply.headers, (b"content-length", b"%d" % len(body)))


def tokens_of(reply: Reply, chunk: Chunk) -> int:
    """The tokens that a live chunk brings. An upstream's stream has about one in each event."""
    if chunk.tokens or not isinstance(chunk.data, bytes):
        return max(chunk.tokens, 1)
    if is_event_stream(reply.headers):
        return chunk.data.count(b"data:")
    return max(len(chunk.data) // _BYTES_PER_TOKEN, 1)
