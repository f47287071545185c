"""Our own pages, on the base URL and on the hosts that are intercepted."""

from __future__ import annotations

import asyncio
import http.client
import json
from typing import Any

from fakeai_proxy.app import App
from tests.conftest import Serve


async def ask(app: App, target: str, host: str = "x") -> tuple[int, Any]:
    def blocking() -> tuple[int, Any]:
        connection = http.client.HTTPConnection(app.url.rpartition("//")[2], timeout=30)
        connection.request("GET", target, headers={"Host": host})
        reply = connection.getresponse()
        body = json.loads(reply.read())
        connection.close()
        return reply.status, body

    return await asyncio.to_thread(blocking)


async def test_health_tells_the_process_wherever_it_is_asked(serve: Serve) -> None:
    app = await serve()
    status, page = await ask(app, "/_fakeai/health")
    assert (status, page["status"], page["service"]) == (200, "ok", "fakeai-proxy")
    through = await ask(app, "http://api.openai.com/_fakeai/health", "api.openai.com")
    assert through[1]["instance"] == page["instance"]
    other = await serve()
    assert (await ask(other, "/_fakeai/health"))[1]["instance"] != page["instance"]


async def test_an_absolute_url_of_our_own_is_a_base_url(serve: Serve) -> None:
    app = await serve(proxy_auth="ada:lovelace")
    port = app.url.rpartition(":")[2]
    for host in ("127.0.0.1", "localhost"):
        status, page = await ask(app, f"http://{host}:{port}/v1/models?x", f"{host}:{port}")
        assert (status, page["error"]["code"]) == (401, None)  # a key is asked for, no proxy's word


async def test_an_absolute_url_may_have_a_query_and_no_path(serve: Serve) -> None:
    status, page = await ask(await serve(), "http://api.openai.com?x=1", "api.openai.com")
    assert (status, page["error"]["code"]) == (401, None)


async def test_a_page_that_is_not_there_is_404(serve: Serve) -> None:
    assert (await ask(await serve(), "/_fakeai/nothing"))[0] == 404


async def test_a_host_that_is_refused_has_no_pages_of_ours(serve: Serve) -> None:
    assert (await ask(await serve(), "http://other.example/_fakeai/health", "other.example"))[
        0
    ] == 403
