"""An app whose source fails as the request says, to see what its errors are on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fakeai_proxy import errors
from fakeai_proxy.app import App
from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import Chunk, Exchange, Reply, Request
from fakeai_proxy.providers import provider_of, stream_error
from fakeai_proxy.services.wire import SSE_HEADERS
from tests.conftest import serving

#: What a stream has said before it fails.
BEGUN = {
    "anthropic": b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":'
    b'"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,'
    b'"usage":{"input_tokens":1,"output_tokens":1}}}\n\n',
}
_CHUNK = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":'
    b'[{"index":0,"delta":{"role":"assistant","content":"So"},"finish_reason":null}]}\n\n'
)


class Raising:
    """`x-kind` raises that kind, `x-status` that status; `x-stream-kind` streams, then
    fails; `x-never` has no answer at all."""

    async def reply(self, exchange: Exchange) -> Reply:
        request = exchange.request
        if request.header(b"x-never") is not None:
            await asyncio.Event().wait()
        kind = request.text_header(b"x-stream-kind")
        if not kind:
            raise error_for(request)
        provider = provider_of(request)
        failure = stream_error(provider, errors.of_kind(kind), request.path)
        begun = BEGUN.get(provider.name, _CHUNK)
        return Reply(200, SSE_HEADERS, [Chunk(begun), Chunk(failure)])

    async def close(self) -> None:
        pass


def error_for(request: Request) -> ApiError:
    status = request.text_header(b"x-status")
    return (
        errors.of_status(int(status)) if status else errors.of_kind(request.text_header(b"x-kind"))
    )


@asynccontextmanager
async def raising(**settings: object) -> AsyncIterator[App]:
    async with serving(**settings) as app:
        app.gateway._pipeline.source = Raising()
        yield app
