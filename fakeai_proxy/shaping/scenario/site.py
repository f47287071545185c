"""The simulated fleet, as scenarios see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from fakeai_proxy.fleet.faults import Xid
from fakeai_proxy.fleet.site import Site
from fakeai_proxy.fleet.worker import Worker
from fakeai_proxy.shaping.scenario.fleet import Seen


class SiteFleet:
    """`grown` is told when there may be more workers than before."""

    def __init__(self, site: Site, grown: Callable[[], None]) -> None:
        self._site = site
        self._grown = grown

    def pools(self) -> dict[str, int]:
        serving = Counter(seen.pool for seen in self.workers() if seen.serves)
        return {pool.name: serving[pool.name] for pool in self._site.profile.pool}

    def workers(self) -> Sequence[Seen]:
        return [
            Seen(
                worker.name,
                worker.pool.name,
                serves=worker.life in ("starting", "ready"),
                dead=worker.life == "dead",
            )
            for worker in self._site.workers
        ]

    def kill(self, worker: str, reason: str) -> None:
        self._to(worker, lambda found: self._site.kill(found, reason))

    def restart(self, worker: str) -> None:
        self._to(worker, self._site.restart)

    def drain(self, worker: str) -> None:
        self._to(worker, self._site.drain)

    def resume(self, worker: str) -> None:
        self._to(worker, self._site.resume)

    def slow(self, worker: str, factor: float) -> None:
        self._to(worker, lambda found: self._site.slow(found, factor))

    def strike(self, worker: str, xid: int, gpu: int) -> None:
        """On the last GPU where the worker has fewer."""

        def inject(found: Worker) -> None:
            self._site.inject(found, Xid(xid, min(gpu, found.pool.gpus - 1)))

        self._to(worker, inject)

    def heal(self, worker: str, xid: int, gpu: int) -> None:
        def heal(found: Worker) -> None:
            self._site.heal(found)
            if found.life == "dead":
                self._site.restart(found)

        self._to(worker, heal)

    def scale(self, pool: str, replicas: int) -> None:
        self._site.scale(pool, replicas)
        self._grown()

    def _to(self, name: str, act: Callable[[Worker], None]) -> None:
        worker = self._site.worker(name)
        if worker is not None:
            act(worker)
