"""GET /health as load balancers and benchmark clients ask it: without a key, before anything else."""

from __future__ import annotations

from fakeai_proxy.clock import VirtualClock
from tests.conftest import Serve
from tests.observe.asking import ask

WORKERS = "/_fakeai/v1/fleet/workers"


async def test_a_server_is_healthy_and_asks_for_no_key(serve: Serve) -> None:
    got = await ask(await serve(), "/health")
    assert (got.status, got.body["status"], got.body["ready"]) == (200, "healthy", True)


async def test_health_follows_the_workers(serve: Serve) -> None:
    clock = VirtualClock(autojump=False)
    app = await serve(clock, profile="1xh100-8b")
    assert (await ask(app, "/health")).status == 200

    await ask(app, f"{WORKERS}/pool-0/kill", "POST")
    dead = await ask(app, "/health")
    assert (dead.status, dead.body["status"], dead.body["ready"]) == (503, "unhealthy", False)

    await ask(app, f"{WORKERS}/pool-0/restart", "POST")
    starting = await ask(app, "/health")
    assert (starting.status, starting.body["status"]) == (503, "starting")

    clock.advance(61)
    assert (await ask(app, "/health")).body["status"] == "healthy"


async def test_an_upstreams_health_is_asked_of_the_upstream(serve: Serve) -> None:
    """Which is not there: a 502 of ours, no page."""
    app = await serve(mode="pass", upstream="http://127.0.0.1:9")
    assert (await ask(app, "/health")).status == 502


async def test_an_upstreams_metrics_are_its_own(serve: Serve) -> None:
    """As its health; where answers follow a profile, the metrics are the profile's."""
    app = await serve(mode="pass", upstream="http://127.0.0.1:9")
    assert (await ask(app, "/metrics")).status == 502
    paced = await serve(mode="pass", upstream="http://127.0.0.1:9", timing="profile")
    assert (await ask(paced, "/metrics")).status == 200


async def test_health_tells_what_makes_the_vectors(serve: Serve) -> None:
    for kind in ("hashed", "semantic"):
        app = await serve(mode="synth", embedder=kind)
        assert (await ask(app, "/health")).body["embedder"] == kind
