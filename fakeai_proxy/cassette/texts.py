"""The texts of an interaction as people read them: what was asked and what was said."""

from __future__ import annotations

from collections.abc import Iterator

from fakeai_proxy.cassette import sse
from fakeai_proxy.cassette.format import Interaction, is_sse
from fakeai_proxy.cassette.view import plain_body


def texts_of(record: Interaction) -> Iterator[tuple[str, str]]:
    """Where, and the text. A stream is given as it came and, each for itself, the texts that lie
    scattered over its frames."""
    request, response = record.request, record.response
    yield "target", request.target
    if isinstance(request.body, bytes):
        yield "request", request.body.decode("utf-8", "replace")
    if response is None:
        return
    body = plain_body(response)
    yield "reply", body.decode("utf-8", "replace")
    if is_sse(response.headers):
        for places in sse.scattered(body):
            pieces = [body[start:end] for start, end in places]
            yield "reply text", b"".join(pieces).decode("utf-8", "replace")
