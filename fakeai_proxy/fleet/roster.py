"""The workers of a fleet, by pool, with the router of each model and the log of their KV events.

Knows nothing of requests.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from fakeai_proxy.dice import Dice
from fakeai_proxy.fleet.cost import StepModel
from fakeai_proxy.fleet.kv_events import KvFeed, KvLog
from fakeai_proxy.fleet.routing import Router
from fakeai_proxy.fleet.share import WHOLE, Share
from fakeai_proxy.fleet.worker import Worker, kv_blocks
from fakeai_proxy.profiles.fleet import FleetProfile, Pool
from fakeai_proxy.profiles.fleet_changes import is_tuned
from fakeai_proxy.profiles.serving import Server


class Roster:
    def __init__(
        self,
        profile: FleetProfile,
        dice: Dice,
        model: Callable[[Pool, Server], StepModel],
        share: Share = WHOLE,
    ) -> None:
        #: In the order in which they joined.
        self.workers: list[Worker] = []
        self.pools = {pool.name: pool for pool in profile.pool}
        #: By the name of the worker.
        self.logs: dict[str, KvLog] = {}
        self.share = share
        self._model = model
        self._profile = profile
        self._dice = dice
        self._models = {pool.name: model(pool, profile.server) for pool in profile.pool}
        self._kv_tokens = {
            pool.name: kv_blocks(pool, self._models[pool.name]) * pool.engine.block_size
            for pool in profile.pool
        }
        #: What it holds when all workers are as their pools are.
        self._room = dict(self._kv_tokens)
        self._by_pool: dict[str, list[Worker]] = {pool.name: [] for pool in profile.pool}
        self._routers = {
            pool.model: Router(
                profile.router, pool.engine.block_size, dice.roll("router", pool.model)
            )
            for pool in profile.pool
        }
        #: Workers whose KV events a router is told of.
        self._heard: set[str] = set()
        self._joined = 0
        self._named: Counter[str] = Counter()

    def of(self, pool: Pool) -> Sequence[Worker]:
        return self._by_pool[pool.name]

    def kv_tokens(self, pool: Pool) -> int:
        """What the KV cache of one worker holds."""
        return self._kv_tokens[pool.name]

    def context_tokens(self, pool: Pool) -> int:
        """The longest prompt with its answer; 0 is no limit but the KV cache."""
        return pool.max_model_len or self._models[pool.name].context_tokens

    def ready(self, pools: Sequence[Pool]) -> list[Worker]:
        """Those of our share; where none of these is, we stand in for the others."""
        ready = [
            worker
            for pool in pools
            for worker in self._by_pool[pool.name]
            if worker.life == "ready"
        ]
        if self.share.of == 1:
            return ready
        return [worker for worker in ready if worker.here] or ready

    def router(self, pool: Pool) -> Router:
        return self._routers[pool.model]

    def add(self, pool: Pool, ready_at: float = -math.inf) -> Worker:
        """One more; its name is nobody else's, ever."""
        name = f"{pool.name}-{self._named[pool.name]}"
        self._named[pool.name] += 1
        router, feed = self.router(pool), None
        if router.listens or self._profile.kv_event_blocks:
            feed = KvFeed()
        rng = self._dice.roll("worker", name)
        worker = Worker(
            name, pool, self._models[pool.name], rng, ready_at, feed, number=self._joined
        )
        worker.here = self.share.has_named(name)
        self._joined += 1
        self.workers.append(worker)
        self._by_pool[pool.name].append(worker)
        router.join(worker)
        if router.listens:
            self._hear(worker, 0.0)
        if feed is not None and self._profile.kv_event_blocks:
            log = KvLog(pool.engine.block_size, self._profile.kv_event_blocks)
            self.logs[name] = log
            feed.readers.append(log.read)
        return worker

    def remove(self, worker: Worker) -> None:
        self.workers.remove(worker)
        self._by_pool[worker.pool.name].remove(worker)
        self.logs.pop(worker.name, None)
        self._heard.discard(worker.name)
        if worker in self.router(worker.pool).views:
            self.router(worker.pool).leave(worker)

    def models_of(self, profile: FleetProfile) -> dict[str, StepModel]:
        """Of its pools that ask for other engines than there are; a moment's work, in any thread. Raises
        ConfigError where a model does not fit."""
        return {
            pool.name: self._model(pool, profile.server)
            for pool in profile.pool
            if not is_tuned(self.pools[pool.name], pool)
        }

    def renew(self, profile: FleetProfile, models: Mapping[str, StepModel], at: float) -> None:
        """Routers and pools are as `profile` has them; workers go on as far as they can. Of a pool that
        is in `models`, those there are keep what they were made as."""
        self._profile = profile
        for pool in profile.pool:
            self.pools[pool.name] = pool
            if pool.name in models:
                model = self._models[pool.name] = models[pool.name]
                room = self._room[pool.name] = kv_blocks(pool, model) * pool.engine.block_size
                # Until all are so, a request has to fit into either.
                self._kv_tokens[pool.name] = min(room, self._kv_tokens[pool.name])
                continue
            for worker in self._by_pool[pool.name]:
                if is_tuned(worker.pool, pool):
                    worker.tune(pool)
        for router in self._routers.values():
            router.settings = profile.router
        for worker in self.workers:
            if self.router(worker.pool).listens:
                self._hear(worker, at)

    def settled(self, pool: Pool) -> None:
        """Whoever serves in it is as it is."""
        self._kv_tokens[pool.name] = self._room[pool.name]

    def _hear(self, worker: Worker, at: float) -> None:
        """The router knows what the worker has cached, and is told of what comes and goes."""
        feed, router = worker.feed, self.router(worker.pool)
        if feed is None or worker.name in self._heard:
            return
        feed.flush(at)
        if worker in router.views:
            router.cached.add(router.views[worker].bit, list(worker.engine.cache.names()))
        feed.readers.append(lambda _, events: router.heard(worker, events))
        self._heard.add(worker.name)

    def empty(self, worker: Worker, at: float) -> None:
        """Its process has ended: the router forgets it, its cache is lost."""
        if worker.feed is not None:
            worker.feed.flush(at)
        router = self.router(worker.pool)
        if worker in router.views:
            router.leave(worker)
        if worker.feed is not None:
            worker.feed.cleared()
            worker.feed.flush(at)
        worker.reset()

    def check(self) -> None:
        """Prove that routers believe of requests what is, and of caches what they were told."""
        for router in self._routers.values():
            router.check()
        for worker in self.workers:
            router = self.router(worker.pool)
            if worker.life == "dead":
                assert worker not in router.views, "the router evicts the dead"
                continue
            assert router.views[worker].requests == len(worker.sequences)
            if router.listens and worker.feed is not None:
                told = router.cached.held(router.views[worker].bit)
                assert worker.feed.ahead(told) == set(worker.engine.cache.names())
