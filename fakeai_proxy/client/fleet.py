"""The rows of the fleet: what its workers do, and what an operator can do to them."""

from __future__ import annotations

from typing import Literal

from fakeai_proxy.client.asking import CONTROL, Asked, Row, do, get, part
from fakeai_proxy.observe import fleet_shapes


def _worker(name: str, verb: str, **body: object) -> Asked[fleet_shapes.Life]:
    path = f"fleet/workers/{part(name)}/{verb}"
    return do("POST", path, fleet_shapes.Life.model_validate_json, **body)


class FleetRows:
    """A part of both clients."""

    @Row
    def fleet(self) -> Asked[fleet_shapes.Fleet]:
        return get(f"{CONTROL}/fleet", fleet_shapes.Fleet.model_validate_json)

    @Row
    def kv_events(
        self, worker: str | None = None, *, after: int = -1, limit: int = 100
    ) -> Asked[fleet_shapes.KvEvents]:
        read = fleet_shapes.KvEvents.model_validate_json
        return get(f"{CONTROL}/fleet/kv-events", read, worker=worker, after=after, limit=limit)

    @Row
    def scale(self, pool: str, replicas: int) -> Asked[fleet_shapes.Scaled]:
        path, read = f"fleet/pools/{part(pool)}/scale", fleet_shapes.Scaled.model_validate_json
        return do("POST", path, read, replicas=replicas)

    @Row
    def kill(self, worker: str, reason: str = "") -> Asked[fleet_shapes.Life]:
        return _worker(worker, "kill", reason=reason)

    @Row
    def drain(self, worker: str) -> Asked[fleet_shapes.Life]:
        return _worker(worker, "drain")

    @Row
    def resume(self, worker: str) -> Asked[fleet_shapes.Life]:
        return _worker(worker, "resume")

    @Row
    def restart(self, worker: str) -> Asked[fleet_shapes.Life]:
        return _worker(worker, "restart")

    @Row
    def heal(self, worker: str) -> Asked[fleet_shapes.Life]:
        return _worker(worker, "heal")

    @Row
    def slow(self, worker: str, factor: float) -> Asked[fleet_shapes.Life]:
        return _worker(worker, "slow", factor=factor)

    @Row
    def xid(self, worker: str, code: int, *, gpu: int = 0) -> Asked[fleet_shapes.Life]:
        return _worker(worker, "xid", code=code, gpu=gpu)

    @Row
    def ecc(
        self, worker: str, kind: Literal["sbe", "dbe"] = "sbe", *, count: int = 1, gpu: int = 0
    ) -> Asked[fleet_shapes.Life]:
        return _worker(worker, "ecc", kind=kind, count=count, gpu=gpu)

    @Row
    def thermal(
        self,
        worker: str,
        *,
        ambient_c: float | None = None,
        resistance: float = 1.0,
        gpu: int | None = None,
    ) -> Asked[fleet_shapes.Life]:
        return _worker(worker, "thermal", ambient_c=ambient_c, resistance=resistance, gpu=gpu)

    @Row
    def power_cap(
        self, worker: str, limit_w: float, *, gpu: int | None = None
    ) -> Asked[fleet_shapes.Life]:
        return _worker(worker, "power-cap", limit_w=limit_w, gpu=gpu)
