"""GET /health, where load balancers and benchmark clients ask whether a server is up before they send
anything, with FakeAI's body. Clients of vLLM and SGLang look at the status alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from fakeai_proxy.clock import Clock
from fakeai_proxy.fleet.site import Site
from fakeai_proxy.observe.aggregates import Aggregates
from fakeai_proxy.observe.endpoint_view import detailed_health
from fakeai_proxy.observe.pages import Answer, Call, Route


def health_routes(
    site: Site | None, clock: Clock, shown: Mapping[str, str], aggregates: Aggregates
) -> tuple[Route, ...]:
    """`site` is None where no fleet is simulated: it is up then, once it listens. `shown` is what else
    the answer tells."""

    def health(call: Call) -> Answer:
        state = "healthy" if site is None else _state(site)
        ready = state == "healthy"
        at = datetime.fromtimestamp(clock.wall(), UTC).isoformat()
        body = {"status": state, "ready": ready, "timestamp": at, **shown}
        return Answer(body, 200 if ready else 503)

    async def detailed(call: Call) -> Answer:
        sums = await aggregates.of_all()
        state = "healthy" if site is None else _state(site)
        return Answer(
            lambda: detailed_health(sums, state, clock.wall()), 200 if state == "healthy" else 503
        )

    return (
        Route("GET", "/health", health, "Whether a worker is ready; 503 while there is none."),
        Route("GET", "/health/detailed", detailed,
              "The same with the last minute's rates, latencies and errors."),
    )  # fmt: skip


def _state(site: Site) -> str:
    lives = {worker.life for worker in site.workers}
    if "ready" in lives:
        return "healthy"
    return "starting" if "starting" in lives else "unhealthy"
