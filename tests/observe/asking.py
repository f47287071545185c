"""A client by hand, which sends exactly the headers it is given."""

from __future__ import annotations

import asyncio
import http.client
import json
from typing import Any, NamedTuple

from fakeai_proxy.app import App

CHAT: dict[str, object] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Tell me about lighthouses"}],
}


class Got(NamedTuple):
    status: int
    headers: dict[str, str]
    data: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.data)

    @property
    def code(self) -> str:
        return str(self.body["error"]["code"])

    @property
    def message(self) -> str:
        return str(self.body["error"]["message"])


async def ask(
    app: App,
    target: str,
    method: str = "GET",
    body: object = None,
    headers: dict[str, str] | None = None,
) -> Got:
    """`body` is sent as it is when it is bytes, else as JSON."""
    port = int(app.url.rpartition(":")[2])
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()

    def blocking() -> Got:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request(method, target, data, headers or {})
        reply = connection.getresponse()
        names = {name.lower(): value for name, value in reply.getheaders()}
        got = Got(reply.status, names, reply.read())
        connection.close()
        return got

    return await asyncio.to_thread(blocking)


async def chat(app: App, **changes: object) -> Got:
    headers = {"authorization": "Bearer any", "content-type": "application/json"}
    return await ask(app, "/v1/chat/completions", "POST", {**CHAT, **changes}, headers)
