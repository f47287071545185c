"""The queue that replicas share, on a real Redis: who is handed what, and what a death leaves."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from fakeai_proxy.clock import SystemClock
from fakeai_proxy.jobs import redis_queue
from fakeai_proxy.jobs.redis_queue import RedisQueue
from fakeai_proxy.store import Key
from tests.servers.redis import Redis

KEY = Key("errand", "errand_1", "proj")


class Replicas:
    def __init__(self, url: str) -> None:
        self._url = url
        self._changed = asyncio.Event()
        self.taken: Counter[str] = Counter()
        self.woken = 0

    def start(self, name: str, ends: bool = True) -> RedisQueue:
        async def take(kind: str) -> None:
            assert kind == KEY.kind
            self.taken[name] += 1
            self._changed.set()
            if not ends:
                await asyncio.Event().wait()

        queue = RedisQueue(self._url, name, take, self._wake, SystemClock())
        queue.start()
        return queue

    def _wake(self) -> None:
        self.woken += 1
        self._changed.set()

    async def until(self, done: Callable[[], bool], meanwhile: Callable[[], None]) -> None:
        """`meanwhile` is done again whenever nothing has happened for a second."""
        async with asyncio.timeout(30):
            while not done():
                self._changed.clear()
                try:
                    await asyncio.wait_for(self._changed.wait(), 1)
                except TimeoutError:
                    meanwhile()


async def test_each_message_goes_to_one_replica(server: Redis) -> None:
    replicas = Replicas(server.url)
    queues = [replicas.start(f"replica-{k}") for k in range(3)]
    for _ in range(30):
        queues[0].tell(KEY)
    await replicas.until(lambda: replicas.taken.total() >= 30, lambda: None)
    for queue in queues:
        await queue.close()
    assert replicas.taken.total() == 30


async def test_what_is_not_acknowledged_goes_to_another(
    server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_queue, "_IDLE_MS", 1)
    replicas = Replicas(server.url)
    dead = replicas.start("dead", ends=False)
    dead.tell(KEY)
    await replicas.until(lambda: replicas.taken["dead"] == 1, lambda: None)
    await dead.close()
    heir = replicas.start("heir")
    heir.tell(KEY)
    # With each message it looks for what others have left.
    await replicas.until(lambda: replicas.taken["heir"] == 2, lambda: None)
    await heir.close()


async def test_a_redis_that_goes_away_comes_back_without_a_restart(server: Redis) -> None:
    replicas = Replicas(server.url)
    queue = replicas.start("replica")
    queue.tell(KEY)
    await replicas.until(lambda: replicas.taken.total() == 1, lambda: None)
    server.stop()
    queue.tell(KEY)
    await replicas.until(lambda: replicas.woken == 1, lambda: None)
    server.start()
    await replicas.until(lambda: replicas.taken.total() > 1, lambda: queue.tell(KEY))
    await queue.close()
