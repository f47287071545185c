"""Two replicas behind nothing but a Redis: what is global is, and what becomes of it without Redis."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from typing import Any

import httpx
import pytest

from fakeai_proxy.app import App
from fakeai_proxy.clock import SystemClock
from fakeai_proxy.config import Config
from fakeai_proxy.errors import ConfigError
from tests.conftest import Serve
from tests.servers import redis as server_of_redis
from tests.servers.redis import PASSWORD, Redis

OWN = {"name": "mine", "description": "x", "source": "made up here"}


class Pair:
    """Two replicas, each with a client."""

    def __init__(self, apps: list[App]) -> None:
        self.apps = apps
        headers = {"authorization": "Bearer k"}
        self.clients = [
            httpx.AsyncClient(base_url=app.url, headers=headers, timeout=60) for app in apps
        ]

    async def chat(
        self, client: httpx.AsyncClient, text: str = "Hi", **more: Any
    ) -> httpx.Response:
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **more}
        return await client.post("/v1/chat/completions", json=body)

    async def each(self, **more: Any) -> list[int]:
        return [(await self.chat(client, **more)).status_code for client in self.clients]

    async def control(self, method: str, path: str, body: object = None) -> Any:
        """Through the first; the other one hears of it a moment later."""
        answer = await self.clients[0].request(method, f"/_fakeai/v1/{path}", json=body)
        assert answer.is_success, answer.text
        mark = self.apps[0].commons.performer.mark
        while self.apps[1].commons.performer.mark != mark:
            await asyncio.wait([asyncio.ensure_future(self.clients[1].get("/_fakeai/health"))])
        return answer.json()

    @property
    def prefix(self) -> str:
        assert self.apps[0].company.replicas is not None
        return self.apps[0].company.replicas.prefix

    async def close(self) -> None:
        for client in self.clients:
            await client.aclose()


async def pair(serve: Serve, server: Redis, **settings: object) -> Pair:
    return Pair(
        [
            await serve(
                clock=SystemClock(), mode="synth", profile="none", redis=server.url, **settings
            )
            for _ in range(2)
        ]
    )


async def test_a_limit_is_one_limit_and_starts_over_for_all(serve: Serve, server: Redis) -> None:
    both = await pair(serve, server)
    await both.control("PUT", "limits", {"own": {**OWN, "limit": [{"rpd": 50}]}})
    asked = await asyncio.gather(
        *(both.chat(both.clients[k % 2], max_tokens=1) for k in range(200))
    )
    assert Counter(one.status_code for one in asked) == {200: 50, 429: 150}
    left = [one.headers["x-ratelimit-remaining-requests"] for one in asked if one.is_success]
    assert sorted(map(int, left)) == list(range(50))
    for client in both.clients:
        (row,) = (await client.get("/_fakeai/v1/limits")).json()["data"]
        assert (row["owner"], row["limit"], row["remaining"]) == ("org-fakeai", 50, 0)
    await both.control("POST", "reset")
    assert await both.each() == [200, 200]
    await both.control("PUT", "limits", {"scale": 0.02})
    assert await both.each() == [429, 429]
    await both.control("PUT", "limits", {"scale": 1, "exhaust": ["*"]})
    assert await both.each() == [429, 429]
    await both.close()


async def test_what_is_held_is_held_for_all_and_free_when_its_process_is_gone(
    serve: Serve, server: Redis
) -> None:
    from redis.asyncio import Redis as Client

    both = await pair(serve, server)
    await both.control("PUT", "limits", {"own": {**OWN, "limit": [{"concurrent": 1}]}})
    assert await both.each() == [200, 200]
    await settled(both)
    held = f"{both.prefix}row:*:held:*"
    async with Client.from_url(server.url) as client:
        (name,) = [one async for one in client.scan_iter(held)]
        await client.hset(name, "another-process", "1")
        await client.set(f"{both.prefix}alive:another-process", 1)
        assert await both.each() == [429, 429]
        await client.delete(f"{both.prefix}alive:another-process")
        assert await both.each() == [200, 200]
    await both.close()


async def settled(both: Pair) -> None:
    for app in both.apps:
        assert app.company.replicas is not None
        while app.company.replicas._asked:
            await both.clients[0].get("/_fakeai/health")


async def test_control_reaches_all_and_who_comes_later(serve: Serve, server: Redis) -> None:
    both = await pair(serve, server)
    rule = await both.control("POST", "faults", {"rule": "503:first=1"})
    assert sorted(await both.each()) == [200, 503], "attempts are counted together"
    scenario = {**OWN, "illustrative": True, "phase": [{"name": "outage", "faults": ["418"]}]}
    await both.control("PUT", "scenario", {"own": scenario})
    third = await serve(mode="synth", profile="none", redis=server.url)
    async with httpx.AsyncClient(base_url=third.url, headers={"authorization": "Bearer k"}) as late:
        both.clients.append(late)
        assert await both.each(text="Another") == [503, 418, 418]
        told = (await late.get("/_fakeai/v1/faults")).json()["data"]
        assert told[0]["id"] == rule["id"]
        await both.control("DELETE", "scenario")
        await both.control("DELETE", "faults")
        while (await both.chat(late)).status_code != 200:
            pass
        both.clients.pop()
    await both.close()


async def test_ids_of_replicas_are_their_own(serve: Serve, server: Redis) -> None:
    both = await pair(serve, server)
    one, other = [(await both.chat(client)).json() for client in both.clients]
    assert one["id"] != other["id"]
    assert one["choices"] == other["choices"]
    await both.close()


async def test_without_redis_limited_requests_wait_and_all_recovers(
    serve: Serve, server: Redis
) -> None:
    both = await pair(serve, server)
    await both.control("PUT", "limits", {"own": {**OWN, "limit": [{"rpd": 5}]}})
    assert await both.each() == [200, 200]
    server.stop()
    try:
        answer = await both.chat(both.clients[0])
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        error = answer.json()["error"]
        assert error["code"] == "limits_unavailable"
        assert f"Redis at 127.0.0.1:{server.port}" in error["message"]
        assert PASSWORD not in answer.text
        refused = await both.clients[0].put("/_fakeai/v1/limits", json={"limits": []})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert (await both.clients[1].get("/v1/models")).status_code == 200
    finally:
        server.start()
    assert await both.each() == [200, 200], "it is used again, and knows what was counted"
    assert (await both.chat(both.clients[0])).headers["x-ratelimit-remaining-requests"] == "0"
    await both.control("PUT", "limits", {"limits": []})
    assert await both.each() == [200, 200]
    await both.close()


async def test_a_redis_that_lost_everything_is_as_good_as_a_fresh_one(
    serve: Serve, server: Redis
) -> None:
    both = await pair(serve, server)
    await both.control("PUT", "limits", {"own": {**OWN, "limit": [{"rpd": 2}]}})
    assert await both.each() == [200, 200]
    server.stop(signal.SIGKILL)
    server.start()
    assert await both.each() == [200, 200]
    assert await both.each() == [429, 429]
    await both.close()


@pytest.mark.parametrize("wrong", ["port", "password"])
async def test_a_redis_that_cannot_be_used_is_said_at_the_start(server: Redis, wrong: str) -> None:
    url = f"redis://:{PASSWORD}@127.0.0.1:1" if wrong == "port" else server.url.replace("s3", "s4")
    app = App(Config.load(flags={"mode": "synth", "redis": url, "listen": "127.0.0.1:0"}))
    with pytest.raises(ConfigError, match=r"redis: Redis at 127\.0\.0\.1:") as caught:
        await app.start()
    assert "cret-of-redis" not in str(caught.value)


def test_neither_settings_nor_their_errors_show_the_password() -> None:
    config = Config.load(flags={"redis": f"redis://:{PASSWORD}@h:1/0"})
    assert PASSWORD not in repr(config)
    with pytest.raises(ConfigError) as caught:
        Config.load(flags={"redis": f"http://:{PASSWORD}@h:1/0"})
    assert PASSWORD not in str(caught.value)


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"fakeai-proxy\[scale\]"):
        App(Config.load(flags={"redis": "redis://h"}))


def test_the_tests_ran_against_a_real_server(server: Redis) -> None:
    assert server_of_redis.binary() is not None
