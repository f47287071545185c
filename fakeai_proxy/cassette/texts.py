"""The texts of an interaction as people read them: what was asked and what was said."""

from __future__ import annotations

from collections.abc import Iterator

from fakeai_proxy.cassette import sse
from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.cassette.messages import SIDES, as_stream
from fakeai_proxy.cassette.view import plain_body
from fakeai_proxy.exchange import is_event_stream


def texts_of(record: Interaction) -> Iterator[tuple[str, str]]:
    """Where, and the text. A stream is given as it came and, each for itself, the texts that lie
    scattered over its frames."""
    request, response = record.request, record.response
    yield "target", request.target
    if isinstance(request.body, bytes):
        yield "request", request.body.decode("utf-8", "replace")
    if response is None:
        return
    for number, one in enumerate(response.messages, 1):
        yield f"{one.sender} message {number}", one.data.decode("utf-8", "replace")
    if response.is_socket:
        for sender in SIDES:
            yield from _scattered(as_stream(response.messages, sender), f"{sender} text")
        return
    body = plain_body(response)
    yield "reply", body.decode("utf-8", "replace")
    if is_event_stream(response.headers):
        yield from _scattered(body, "reply text")


def _scattered(stream: bytes, where: str) -> Iterator[tuple[str, str]]:
    for places in sse.scattered(stream):
        pieces = [stream[start:end] for start, end in places]
        yield where, b"".join(pieces).decode("utf-8", "replace")
