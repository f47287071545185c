"""The control API's rows of the fleet: what its workers do, and what an operator can do to them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from fakeai_proxy import errors
from fakeai_proxy.fleet.faults import Ecc, Fault, PowerCap, Thermal, Xid
from fakeai_proxy.fleet.site import Site
from fakeai_proxy.fleet.worker import Worker
from fakeai_proxy.observe.collecting import collected
from fakeai_proxy.observe.fleet_view import fleet_view
from fakeai_proxy.observe.pages import CONTROL, Answer, Call, Handler, Parameter, Route

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
    """`grown` is awaited when there may be more nodes than before."""

    def __init__(self, site: Site | None, grown: Callable[[], Awaitable[None]]) -> None:
        self._site = site
        self._grown = grown

    def routes(self) -> tuple[Route, ...]:
        fleet = f"{CONTROL}fleet"
        each = fleet + "/workers/{name}"

        def post(verb: str, handler: Handler, summary: str, body: type[BaseModel]) -> Route:
            return Route("POST", f"{each}/{verb}", handler, summary, body=body)

        return (
            Route("GET", fleet, self._view, "The fleet: its pools, and what each worker does."),
            Route("GET", f"{fleet}/kv-events", self._kv_events,
                  "What the workers' KV caches stored and removed, as vLLM's events tell it.", _EVENTS),
            Route("POST", f"{fleet}/pools/{{name}}/scale", self._scale,
                  "So many workers: more start cold, too many drain and leave.", body=Replicas),
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
        site = self._require()
        workers, now = list(site.workers), site.now
        gpus = [site.instruments.last_of(worker) for worker in workers]
        seen = iter(await collected([each for each in gpus if each is not None], now))
        samples = [[] if each is None else next(seen) for each in gpus]
        return Answer(fleet_view(site, workers, samples))

    def _kv_events(self, call: Call) -> Answer:
        site, name = self._require(), call.query["worker"]
        workers = site.workers if name is None else [self._worker(name)]
        logs = site.cluster.roster.logs
        after, limit = call.query["after"], call.query["limit"]
        found = {
            worker.name: logs[worker.name].after(after, limit + 1)
            for worker in workers
            if worker.name in logs
        }
        return Answer(
            lambda: {
                "object": "list",
                "workers": {
                    name: {"batches": batches[:limit], "has_more": len(batches) > limit}
                    for name, batches in found.items()
                },
            }
        )

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
