"""The journal: what it tells of exchanges, and what it never does."""

from __future__ import annotations

import asyncio
import gc
import http.client
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from fakeai_proxy.app import App
from fakeai_proxy.body import Body
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.exchange import Exchange, Origin, Reply, Request, Workload
from fakeai_proxy.observe.entry import Entry, entry_of
from fakeai_proxy.observe.journal import Journal, JournalSettings
from tests.conftest import Ended, Serve
from tests.observe.asking import CHAT, ask, chat

JOURNAL = "/_fakeai/v1/journal"
#: The first token comes at once, the second after the test.
STUCK = """
description = "One token and no more"
source = "A test's own invention"
illustrative = true
[[latency]]
model = "*"
ttft_p50_ms = 1.0
ttft_sigma = 0.0
itl_p50_ms = 60000.0
"""


class Noticed(Ended):
    """Tells when an exchange has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.some = asyncio.Event()

    def finished(self, exchange: Exchange) -> None:
        super().finished(exchange)
        self.some.set()


async def entries(app: App, query: str = "") -> list[dict[str, Any]]:
    page = await ask(app, JOURNAL + query)
    assert page.status == 200, page.data
    return list(page.body["data"])


def exchange(number: int, **facts: object) -> Exchange:
    request = Request("POST", "/v1/chat/completions?key=s", (), Body(b""))
    made = Exchange(f"req_{number}", request, 1.0 + number)
    made.reply = Reply(200, (), [], workload=Workload("gpt-4o", [1, 2, 3], 5))
    made.status, made.end = 200, "ok"
    made.first_byte_at, made.finished_at, made.sent_bytes = 1.25 + number, 2.0 + number, 12
    for name, value in facts.items():
        setattr(made, name, value)
    return made


def rows(journal: Journal) -> list[Entry]:
    return [entry_of(row) for row in journal.newest_first()]


async def test_a_chat_stream_is_told_whole(serve: Serve) -> None:
    clock = VirtualClock(epoch=1_750_000_000.0)
    app = await serve(clock, profile="quick")
    reply = await chat(app, stream=True, stream_options={"include_usage": True})
    frames = [json.loads(line[6:]) for line in reply.data.split(b"\n\n") if line[6:7] == b"{"]
    usage = frames[-1]["usage"]
    [entry] = await entries(app)
    assert entry.pop("arrived").startswith("2025-06-15T15:06:40.")
    timing = [entry.pop(name) for name in ("ttft_ms", "total_ms")]
    assert 0 < timing[0] < timing[1]
    gaps = entry.pop("itl_ms")
    assert 0 < gaps["p50"] <= gaps["p90"] <= gaps["p99"] <= gaps["max"]
    price = (0.15 * usage["prompt_tokens"] + 0.60 * usage["completion_tokens"]) / 1e6
    assert entry.pop("cost_usd") == pytest.approx(price)
    assert entry.pop("key_id").startswith("key_")
    assert entry == {
        "id": reply.headers["x-request-id"],
        "method": "POST",
        "host": None,
        "path": "/v1/chat/completions",
        "route": "/chat/completions",
        "project": "proj_default",
        "model": "gpt-4o-mini",
        "status": 200,
        "source": "SYNTH",
        "worker": "quick-0",
        "cached_tokens": 0,
        "queue_ms": 15.0,
        "prompt_tokens": usage["prompt_tokens"],
        "output_tokens": usage["completion_tokens"],
        "bytes": entry["bytes"],
        "faults": [],
        "phase": None,
        "end": "ok",
        "finish": "stop",
        "error": None,
    }
    assert entry["bytes"] >= len(reply.data)


async def test_a_stream_that_its_reader_leaves_is_told_as_such(
    serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / "stuck.toml").write_text(STUCK)
    noticed = Noticed()
    app = await serve(observer=noticed, profile=str(tmp_path / "stuck.toml"))
    body = json.dumps({**CHAT, "stream": True}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(app.url.rpartition(":")[2]))
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer any\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    assert await reader.readuntil(b"data: ")
    assert await entries(app) == []  # it is under way
    writer.transport.abort()
    await noticed.some.wait()
    [entry] = await entries(app)
    assert (entry["end"], entry["status"], entry["output_tokens"]) == ("client_gone", 200, None)
    assert 0 < entry["ttft_ms"] <= entry["total_ms"]


async def test_a_refusal_is_told_with_its_status_its_reason_and_what_was_asked_for(
    serve: Serve,
) -> None:
    app = await serve()
    await chat(app, model="of-nobody")
    await chat(app, messages=[])
    bad, unknown = await entries(app)
    facts = ("status", "end", "source", "model", "error")
    assert [unknown[name] for name in facts] == [
        404, "error", None, "of-nobody", "model_not_found"
    ]  # fmt: skip
    assert [bad[name] for name in facts] == [
        400, "error", None, "gpt-4o-mini", "empty_array messages"
    ]  # fmt: skip
    counted = (await ask(app, "/metrics/by-model")).body
    assert {model: found["request_count"] for model, found in counted.items()} == {
        "of-nobody": 1,
        "gpt-4o-mini": 1,
    }
    assert [each["model"] for each in await entries(app, "?model=of-nobody")] == ["of-nobody"]


@pytest.mark.parametrize("fault", ["status:code=503", "html", "hang_up"])
async def test_what_a_fault_says_comes_from_it(serve: Serve, fault: str) -> None:
    app = await serve()
    headers = {"authorization": "Bearer any", "x-fakeai-fault": fault}
    with suppress(http.client.RemoteDisconnected):
        await ask(app, "/v1/chat/completions", "POST", CHAT, headers)
    [entry] = await entries(app, "?source=FAULT")
    assert entry["faults"] == [fault]
    assert (await ask(app, "/_fakeai/v1/status")).body["provenance"] == {"FAULT": 1}


async def test_neither_keys_nor_bodies_nor_queries_are_told(serve: Serve) -> None:
    app = await serve(mode="synth", any_model=True)
    key = "sk-proj-PlantedPlantedPlanted1234"
    headers = {"authorization": f"Bearer {key}", "api-key": key, "cookie": key}
    told = {**CHAT, "user": key, "messages": [{"role": "user", "content": key}]}
    await ask(app, f"/v1/chat/completions?api_key={key}", "POST", told, headers)
    await ask(app, f"/v1/{key}/models", headers=headers)
    await ask(app, f"http://ada:{key}@api.openai.com/v1/models?key={key}", headers=headers)
    await ask(app, "/v1/chat/completions", "POST", {**CHAT, "model": key}, headers)
    page = await ask(app, JOURNAL)
    paths = [entry["path"] for entry in page.body["data"]]
    assert len(paths) == 4
    assert "/v1/[openai]/models" in paths
    assert b"Planted" not in page.data
    assert b"lighthouses" not in page.data
    one = await ask(app, f"{JOURNAL}/{page.body['data'][0]['id']}")
    told = one.body
    assert told.pop("timeline")
    assert told == page.body["data"][0]
    assert "[openai]" in (one.body["model"] or "")


async def test_pages_lead_from_the_newest_to_the_oldest(serve: Serve) -> None:
    app = await serve(journal_size=6)
    for number in range(8):
        app.journal.finished(exchange(number))
    first = (await ask(app, f"{JOURNAL}?limit=4")).body
    assert [entry["id"] for entry in first["data"]] == ["req_7", "req_6", "req_5", "req_4"]
    assert (first["has_more"], first["kept"], first["size"], first["finished_total"]) == (
        True, 6, 6, 8
    )  # fmt: skip
    rest = (await ask(app, f"{JOURNAL}?limit=4&after={first['last_id']}")).body
    assert [entry["id"] for entry in rest["data"]] == ["req_3", "req_2"]
    assert rest["has_more"] is False
    gone = (await ask(app, f"{JOURNAL}?after=req_0")).body
    assert (gone["data"], gone["last_id"], gone["has_more"]) == ([], None, False)
    assert (await ask(app, f"{JOURNAL}/req_3")).body["id"] == "req_3"
    assert (await ask(app, f"{JOURNAL}/req_0")).code == "journal_entry_not_found"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=200", [0, 3]),
        ("status=4xx", [1, 2]),
        ("status=429&model=gpt-4o", [1]),
        ("model=gpt-5", []),
        ("source=HIT", [3]),
        ("end=error", [1, 2]),
        ("worker=w1", [3]),
        ("fault=cut", [3]),
        ("fault=cu", []),
        ("status=4xx&limit=1", [2]),
        ("status=4xx&after=req_2", [1]),
    ],
)
async def test_filters_choose(serve: Serve, query: str, found: list[int]) -> None:
    app = await serve()
    app.journal.finished(exchange(0))
    app.journal.finished(exchange(1, status=429, end="error"))
    app.journal.finished(exchange(2, status=400, end="error", reply=None))
    last = exchange(3)
    assert last.reply is not None
    last.reply.provenance, last.admission.worker = "HIT", "w1"
    last.faults = ("cut:after=20", "latency:s=1")
    app.journal.finished(last)
    assert [entry["id"] for entry in await entries(app, f"?{query}")] == [
        f"req_{number}" for number in reversed(found)
    ]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "status=ok", "status=4x", "source=live", "end=bad", "modle=x"],
)
async def test_a_filter_that_cannot_be_is_refused(serve: Serve, query: str) -> None:
    got = await ask(await serve(), f"{JOURNAL}?{query}")
    assert got.status == 400
    assert got.body["error"]["param"] == query.partition("=")[0]


async def test_delete_forgets(serve: Serve) -> None:
    app = await serve()
    await chat(app)
    assert (await ask(app, JOURNAL, "DELETE")).body == {"cleared": 1}
    assert await entries(app) == []
    await chat(app)
    assert len(await entries(app)) == 1


def test_it_keeps_no_more_than_its_size_and_little_of_each() -> None:
    journal = Journal(JournalSettings(journal_size=3), VirtualClock())
    host = Origin("https", "h" * 60_000, 443)
    for number in range(5):
        long = Request("M" * 60_000, "/" + "p" * 60_000, ((b"a", b"b"),), Body(b"body"), host)
        workload = Workload("m" * 60_000, range(100_000), 1)
        reply = Reply(200, (), [], workload=workload)
        journal.finished(exchange(number, request=long, reply=reply))
    assert [entry.id for entry in rows(journal)] == ["req_4", "req_3", "req_2"]
    for entry in rows(journal):
        assert sum(len(value) for value in entry if isinstance(value, str)) < 1_000
        kinds = {type(value) for value in entry}
        assert kinds <= {str, bytes, int, float, tuple, type(None)}


def test_the_garbage_collector_does_not_walk_over_it() -> None:
    journal = Journal(JournalSettings(), VirtualClock())
    journal.finished(exchange(1))
    gc.collect()
    assert not gc.is_tracked(next(iter(journal.newest_first())))


def test_a_size_of_nothing_keeps_nothing_and_still_counts() -> None:
    journal = Journal(JournalSettings(journal_size=0), VirtualClock())
    journal.finished(exchange(1))
    assert (len(journal), journal.finished_total) == (0, 1)


def test_what_never_ended_in_time_is_told_up_to_this_moment() -> None:
    clock = VirtualClock()
    journal = Journal(JournalSettings(), clock)
    clock.advance(5.0)
    journal.finished(exchange(1, finished_at=None, first_byte_at=None))
    shown = journal.as_json(rows(journal)[0])
    assert (shown["total_ms"], shown["ttft_ms"]) == (3000.0, None)


def test_bytes_that_are_no_text_are_told_as_such() -> None:
    journal = Journal(JournalSettings(), VirtualClock())
    target = b"/v1/\xff".decode("utf-8", "surrogateescape")
    journal.finished(exchange(1, request=Request("GET", target, (), Body(b""))))
    path = journal.as_json(rows(journal)[0])["path"]
    assert isinstance(path, str)
    assert path.encode("utf-8").startswith(b"/v1/\\")
