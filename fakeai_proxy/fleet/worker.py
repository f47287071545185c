"""One worker: an engine, what it has counted, and whether it serves."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Literal

from fakeai_proxy.fleet.cost import StepModel
from fakeai_proxy.fleet.engine import Engine
from fakeai_proxy.fleet.kv_cache import KvListener
from fakeai_proxy.profiles.fleet import Pool

#: `starting` loads its weights, `draining` takes nothing any more, `dead` has lost everything.
Life = Literal["starting", "ready", "draining", "dead"]


class Worker:
    def __init__(
        self,
        name: str,
        pool: Pool,
        model: StepModel,
        rng: Random,
        ready_at: float = -math.inf,
        listener: KvListener | None = None,
    ) -> None:
        self.name = name
        self.pool = pool
        self.model = model
        self.life: Life = "starting" if ready_at > -math.inf else "ready"
        self.ready_at = ready_at
        blocks = pool.num_gpu_blocks or model.kv_capacity_tokens // pool.engine.block_size
        self.engine = Engine(pool.engine, model, max(blocks, 1), _jitter(pool, rng), listener)
        #: When its server has done with the requests before (see `Frontend`).
        self.frontend_free_at = 0.0

    @property
    def load(self) -> int:
        """Requests that run or wait here."""
        return len(self.engine.running) + self.engine.queued


def _jitter(pool: Pool, rng: Random) -> Callable[[], float] | None:
    """A factor on each step's time: log-normal, with a mean of one."""
    if not pool.jitter_sigma:
        return None
    mu, sigma, draw = -(pool.jitter_sigma**2) / 2, pool.jitter_sigma, rng.lognormvariate
    return lambda: draw(mu, sigma)
