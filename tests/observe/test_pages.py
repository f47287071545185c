"""The table of our own pages: how a request finds its row, and what it is told when there is none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from pydantic import BaseModel, ConfigDict, Field

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.observe.pages import BODY_BYTES_MAX, Answer, Call, Pages, Parameter, Route
from fakeai_proxy.proxy.admin import Admin, AdminSettings
from tests.conftest import Serve
from tests.observe.asking import Got, ask

LOOPBACK = Admin(AdminSettings(), exposed=False).admit


class Scale(BaseModel):
    model_config = ConfigDict(extra="forbid")

    workers: int = Field(1, ge=0)
    names: list[str] = []


def echo(call: Call) -> Answer:
    return Answer({"params": call.params, "query": call.query, "body": call.body})


ROWS = (
    Route("GET", "/metrics", lambda _: Answer("up 1\n", 200, "text/plain; version=0.0.4"), "Text."),
    Route("POST", "/metrics/reset", echo, "Steers."),
    Route("GET", "/_fakeai/", lambda _: Answer(b"<p>hello", 200, "text/html"), "The front page."),
    Route("GET", "/_fakeai/v1/workers/{name}", echo, "One.",
          (Parameter("limit", "How many.", "integer", 5, 1, 10),
           Parameter("wait_s", "How long.", "number", None, 0.0, 60.0),
           Parameter("deep", "All of it.", "boolean", False),
           Parameter("order", "Which first.", default="asc", choices=("asc", "desc")))),
    Route("POST", "/_fakeai/v1/workers/{name}/scale", echo, "Scale.", body=Scale),
    Route("DELETE", "/_fakeai/v1/workers/{name}", lambda _: Answer(None, 204), "Kill."),
    Route("GET", "/_fakeai/v1/files/{path:path}", echo, "A file."),
)  # fmt: skip


async def pages(serve: Serve, *rows: Route) -> App:
    app = await serve()
    app.gateway._local = Pages(rows or ROWS, LOOPBACK, app.clock)
    return app


async def test_a_page_is_bytes_or_text_or_json(serve: Serve) -> None:
    app = await pages(serve)
    for target, kind, data in (
        ("/metrics", "text/plain; version=0.0.4", b"up 1\n"),
        ("/metrics?name[]=up", "text/plain; version=0.0.4", b"up 1\n"),
        ("/_fakeai", "text/html", b"<p>hello"),
        ("/_fakeai/", "text/html", b"<p>hello"),
    ):
        got = await ask(app, target)
        assert (got.status, got.headers["content-type"], got.data) == (200, kind, data)
    head = await ask(app, "/metrics", "HEAD")
    assert (head.status, head.headers["content-length"], head.data) == (200, "5", b"")
    killed = await ask(app, "/_fakeai/v1/workers/w0", "DELETE")
    assert (killed.status, killed.data) == (204, b"")


async def test_parts_of_the_path_and_the_query_reach_the_handler(serve: Serve) -> None:
    app = await pages(serve)
    got = await ask(app, "/_fakeai/v1/workers/a%20b?limit=7&wait_s=1.5&deep&order=desc")
    assert got.body == {
        "params": {"name": "a b"},
        "query": {"limit": 7, "wait_s": 1.5, "deep": True, "order": "desc"},
        "body": None,
    }
    assert (await ask(app, "/_fakeai/v1/workers/w0")).body["query"] == {
        "limit": 5, "wait_s": None, "deep": False, "order": "asc"
    }  # fmt: skip
    assert (await ask(app, "/_fakeai/v1/files/a/b")).body["params"] == {"path": "a/b"}


@pytest.mark.parametrize(
    ("query", "param", "said"),
    [
        ("limit=ten", "limit", "an integer"),
        ("limit=1.5", "limit", "an integer"),
        ("limit=0", "limit", ">= 1"),
        ("limit=11", "limit", "<= 10"),
        ("wait_s=nan", "wait_s", ">= 0"),
        ("wait_s=long", "wait_s", "a number"),
        ("deep=perhaps", "deep", "'true' and 'false'"),
        ("order=up", "order", "'asc' and 'desc'"),
        ("limmit=3", "limmit", "limit, wait_s, deep, order"),
    ],
)
async def test_a_wrong_query_parameter_is_named(
    serve: Serve, query: str, param: str, said: str
) -> None:
    got = await ask(await pages(serve), f"/_fakeai/v1/workers/w0?{query}")
    assert (got.status, got.body["error"]["param"]) == (400, param)
    assert said in got.message


async def test_there_may_be_only_so_many_query_parameters(serve: Serve) -> None:
    got = await ask(await pages(serve), "/_fakeai/v1/workers/w0?" + "a=1&" * 101)
    assert (got.status, "100 query parameters" in got.message) == (400, True)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b'{"workers": 2}', 200, ""),
        (b"", 200, ""),
        (b"{", 400, "not JSON"),
        (b"\xff\xfe", 400, "not JSON"),
        (b"[" * 5000, 400, "not JSON"),
        (b"[1]", 400, "Invalid body"),
        (b'{"workers": -1}', 400, "'workers'"),
        (b'{"names": ["a", 1]}', 400, "'names[1]'"),
        (b'{"wokers": 1}', 400, "'wokers'"),
        (b" " * (BODY_BYTES_MAX + 1), 413, "1048576"),
    ],
)
async def test_a_body_has_its_shape_or_is_refused(
    serve: Serve, body: bytes, status: int, said: str
) -> None:
    got = await ask(await pages(serve), "/_fakeai/v1/workers/w0/scale", "POST", body)
    assert got.status == status
    if status == 200:
        assert got.body["body"] == {"workers": 2 if body else 1, "names": []}
    else:
        assert said in got.message


async def test_an_unknown_page_names_the_nearest(serve: Serve) -> None:
    app = await serve()
    got = await ask(app, "/_fakeai/v1/jurnal")
    assert (got.status, got.code) == (404, "unknown_url")
    assert "Did you mean /_fakeai/v1/journal?" in got.message
    assert "/_fakeai/v1/openapi.json" in got.message
    far = await ask(app, "/_fakeai/" + "x" * 5000)
    assert (far.status, "Did you mean" in far.message) == (404, False)


async def test_a_wrong_method_names_the_right_ones(serve: Serve) -> None:
    app = await pages(serve)
    got = await ask(app, "/_fakeai/v1/workers/w0", "PATCH")
    assert (got.status, got.headers["allow"]) == (405, "DELETE, GET")
    assert (await ask(app, "/metrics", "POST")).headers["allow"] == "GET"


async def test_what_is_no_page_of_ours_goes_on(serve: Serve) -> None:
    app = await pages(serve)
    for target in ("/metrics/other", "/v1/models", "/metricsx", "/_fakeaix"):
        got = await ask(app, target)
        assert (got.status, "page of ours" in got.message) in ((401, False), (404, False))
    assert (await ask(await serve(), "/statistics")).status != 200
    there = await ask(app, "http://api.openai.com/metrics", headers={"host": "api.openai.com"})
    assert there.headers.get("content-type") == "application/json"


async def test_what_steers_is_guarded_wherever_it_is(serve: Serve) -> None:
    app = await pages(serve)
    origin = {"origin": "https://evil.example"}
    assert (await ask(app, "/metrics/reset", "POST", headers=origin)).status == 403
    assert (await ask(app, "/metrics/reset", "POST")).status == 200
    assert (await ask(app, "/metrics", headers={"host": "scraped.example"})).status == 200


@pytest.mark.parametrize("way", ["threaded", "rendered"])
async def test_long_work_is_done_in_a_thread_while_time_waits(serve: Serve, way: str) -> None:
    clock = VirtualClock()
    seen: list[tuple[int, int]] = []

    def work() -> str:
        seen.append((threading.get_ident(), clock._held))
        return "done"

    handlers: dict[str, Callable[[Call], Answer]] = {
        "threaded": lambda _: Answer(work()),
        "rendered": lambda _: Answer(work),
    }
    row = Route("GET", "/_fakeai/big", handlers[way], "Big.", threaded=way == "threaded")
    app = await serve(clock)
    app.gateway._local = Pages((row,), LOOPBACK, clock)
    assert (await ask(app, "/_fakeai/big")).data == b"done"
    [(thread, held)] = seen
    assert thread != threading.get_ident()
    assert held == 1


async def test_a_handler_may_wait(serve: Serve) -> None:
    opened = asyncio.Event()

    async def wait(call: Call) -> Answer:
        await opened.wait()
        return Answer({"waited": True})

    def open_it(call: Call) -> Answer:
        opened.set()
        return Answer({})

    app = await pages(
        serve,
        Route("GET", "/_fakeai/wait", wait, "Wait."),
        Route("POST", "/_fakeai/open", open_it, "Open."),
    )
    waiting: asyncio.Task[Got] = asyncio.ensure_future(ask(app, "/_fakeai/wait"))
    assert (await ask(app, "/_fakeai/open", "POST")).status == 200
    assert (await waiting).body == {"waited": True}


async def test_a_handler_that_fails_is_a_500_and_not_the_end(serve: Serve) -> None:
    def fail(call: Call) -> Answer:
        raise RuntimeError("nobody expected this")

    app = await pages(serve, Route("GET", "/_fakeai/fail", fail, "Fails."))
    assert (await ask(app, "/_fakeai/fail")).status == 500
    assert (await ask(app, "/_fakeai/fail")).status == 500


def test_two_rows_for_one_page_are_a_mistake() -> None:
    twice = (Route("GET", "/a/{x}", echo, ""), Route("GET", "/a/{x}/", echo, ""))
    with pytest.raises(AssertionError, match="two rows"):
        Pages(twice, LOOPBACK, VirtualClock())
