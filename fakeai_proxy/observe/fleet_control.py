"""The control API's rows of the fleet: what its workers do, and what an operator can do to them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fakeai_proxy import errors
from fakeai_proxy.fleet.faults import Ecc, Fault, PowerCap, Thermal, Xid
from fakeai_proxy.fleet.site import Site
from fakeai_proxy.fleet.worker import Worker
from fakeai_proxy.observe.collecting import collected
from fakeai_proxy.observe.fleet_view import fleet_view, joined
from fakeai_proxy.observe.pages import CONTROL, Answer, Call, Handler, Parameter, Route
from fakeai_proxy.shared.commons import Commons

_GPUS_MAX = 1024


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Reason(_Body):
    reason: str = Field("", max_length=200)


class Slow(_Body):
    factor: float = Field(ge=0.1, le=1000, description="1 is as fast as its GPUs are.")


class Replicas(_Body):
    replicas: int = Field(ge=0, le=4096)


class XidBody(_Body):
    code: int = Field(ge=1, le=999)
    gpu: int = Field(0, ge=0, lt=_GPUS_MAX)


class EccBody(_Body):
    kind: Literal["sbe", "dbe"] = "sbe"
    count: int = Field(1, ge=1, le=1_000_000_000)
    gpu: int = Field(0, ge=0, lt=_GPUS_MAX)


class ThermalBody(_Body):
    ambient_c: float | None = Field(None, ge=-20, le=120)
    resistance: float = Field(1.0, ge=0.1, le=20, description="How much worse the cooling is.")
    gpu: int | None = Field(None, ge=0, lt=_GPUS_MAX)


class PowerCapBody(_Body):
    limit_w: float = Field(ge=1, le=100_000)
    gpu: int | None = Field(None, ge=0, lt=_GPUS_MAX)


_EVENTS = (
    Parameter("worker", "Of which worker; of all of them if it is not given."),
    Parameter("after", "The `seq` of the last batch that is known.", "integer", -1),
    Parameter("limit", "Batches of one worker at most.", "integer", 100, 1, 1000),
)


class FleetControl:
    """`grown` is awaited when there may be more nodes than before. Several processes that share the
    fleet know all of its workers, and do to all what is done; each tells of its own."""

    def __init__(
        self, site: Site | None, grown: Callable[[], Awaitable[None]], commons: Commons
    ) -> None:
        self._site = site
        self._grown = grown
        self._commons = commons
        commons.offer("fleet", self._own_view)
        commons.offer("fleet.events", self._own_events)

    def routes(self) -> tuple[Route, ...]:
        fleet = f"{CONTROL}fleet"
        each = fleet + "/workers/{name}"

        def post(verb: str, handler: Handler, summary: str, body: type[BaseModel]) -> Route:
            return Route("POST", f"{each}/{verb}", handler, summary, body=body, reach="machine")

        return (
            Route("GET", fleet, self._view, "The fleet: its pools, and what each worker does."),
            Route("GET", f"{fleet}/kv-events", self._kv_events,
                  "What the workers' KV caches stored and removed, as vLLM's events tell it.", _EVENTS),
            Route("POST", f"{fleet}/pools/{{name}}/scale", self._scale,
                  "So many workers: more start cold, too many drain and leave.", body=Replicas,
                  reach="machine"),
            post("kill", self._kill, "It is gone at once; its requests go elsewhere or fail.", Reason),
            post("drain", self._verb(Site.drain), "It finishes what it has and takes nothing more.", _Body),
            post("resume", self._verb(Site.resume), "A draining worker takes requests again.", _Body),
            post("restart", self._verb(Site.restart), "A fresh process on sound GPUs, after its cold start.",
                 _Body),
            post("heal", self._verb(Site.heal), "Its GPUs lose all injected faults.", _Body),
            post("slow", self._slow, "Every step takes so many times as long.", Slow),
            post("xid", self._fault(lambda b: Xid(b.code, b.gpu)),
                 "One of its GPUs reports an XID; some end the worker.", XidBody),
            post("ecc", self._fault(lambda b: Ecc(b.kind, b.count, b.gpu)),
                 "Memory errors; those of two bits end the worker.", EccBody),
            post("thermal", self._fault(lambda b: Thermal(b.ambient_c, b.resistance, b.gpu)),
                 "Warmer air or worse cooling, which slows it down.", ThermalBody),
            post("power-cap", self._fault(lambda b: PowerCap(b.limit_w, b.gpu)),
                 "A lower power limit, which slows it down.", PowerCapBody),
        )  # fmt: skip

    def _require(self) -> Site:
        """Raises 409."""
        if self._site is None:
            raise errors.no_fleet()
        return self._site

    def _worker(self, name: str) -> Worker:
        """Raises 404."""
        site = self._require()
        worker = site.worker(name)
        if worker is None:
            raise errors.not_in_the_fleet("worker", name, [each.name for each in site.workers])
        return worker

    async def _view(self, call: Call) -> Answer:
        self._require()
        views = [view for view in await self._commons.gather("fleet") if view is not None]
        return Answer(joined(views))

    async def _own_view(self) -> dict[str, Any] | None:
        site = self._site
        if site is None:
            return None
        workers, now = site.own_workers, site.now
        gpus = [site.instruments.last_of(worker) for worker in workers]
        seen = iter(await collected([each for each in gpus if each is not None], now))
        samples = [[] if each is None else next(seen) for each in gpus]
        return fleet_view(site, workers, samples)

    async def _kv_events(self, call: Call) -> Answer:
        name, limit = call.query["worker"], call.query["limit"]
        self._require() if name is None else self._worker(name)
        found: dict[str, list[dict[str, object]]] = {}
        for part in await self._commons.gather(
            "fleet.events", name, call.query["after"], limit + 1
        ):
            found |= part
        return Answer(
            lambda: {
                "object": "list",
                "workers": {
                    name: {"batches": batches[:limit], "has_more": len(batches) > limit}
                    for name, batches in found.items()
                },
            }
        )

    def _own_events(
        self, name: str | None, after: int, most: int
    ) -> dict[str, list[dict[str, object]]]:
        if self._site is None:
            return {}
        logs = self._site.cluster.roster.logs
        return {
            worker.name: logs[worker.name].after(after, most)
            for worker in self._site.own_workers
            if name in (None, worker.name) and worker.name in logs
        }

    async def _scale(self, call: Call) -> Answer:
        site, pool = self._require(), call.params["name"]
        try:
            site.scale(pool, call.body.replicas)
        except KeyError:
            known = [each.name for each in site.profile.pool]
            raise errors.not_in_the_fleet("pool", pool, known) from None
        await self._grown()
        workers = [each for each in site.workers if each.pool.name == pool]
        return Answer({"pool": pool, "workers": {each.name: each.life for each in workers}})

    def _kill(self, call: Call) -> Answer:
        worker = self._worker(call.params["name"])
        self._require().kill(worker, call.body.reason)
        return _told(worker)

    def _slow(self, call: Call) -> Answer:
        worker = self._worker(call.params["name"])
        try:
            self._require().slow(worker, call.body.factor)
        except KeyError:
            raise errors.worker_is_dead(worker.name) from None
        return _told(worker)

    def _verb(self, act: Callable[[Site, Worker], None]) -> Handler:
        def handler(call: Call) -> Answer:
            worker = self._worker(call.params["name"])
            act(self._require(), worker)
            return _told(worker)

        return handler

    def _fault(self, make: Callable[..., Fault]) -> Handler:
        def handler(call: Call) -> Answer:
            worker = self._worker(call.params["name"])
            try:
                self._require().inject(worker, make(call.body))
            except ValueError as error:
                raise errors.bad_parameter("gpu", "invalid_value", f"{error}.") from None
            return _told(worker)

        return handler


def _told(worker: Worker) -> Answer:
    return Answer({"worker": worker.name, "life": worker.life, "died_of": worker.died_of or None})
