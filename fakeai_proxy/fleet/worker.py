"""One worker: an engine, what it has counted, and whether it serves."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from math import exp, log
from random import Random
from typing import Literal

from fakeai_proxy.fleet.cost import StepModel
from fakeai_proxy.fleet.engine import Engine
from fakeai_proxy.fleet.kv_events import KvFeed
from fakeai_proxy.fleet.sequence import EngineSequence
from fakeai_proxy.fleet.step import Step
from fakeai_proxy.profiles.fleet import Frontend, Pool

#: `starting` loads its weights, `draining` takes nothing any more, `dead` has lost everything.
Life = Literal["starting", "ready", "draining", "dead"]
#: As vLLM's request_success_total names them.
End = Literal["stop", "length", "abort", "error"]

#: What a retry is told to wait where nothing has been finished yet.
_RETRY_S = 1.0


class Worker:
    """`number` orders workers by when they joined the fleet. What is counted here is lost with the
    process, as a real worker's counters are."""

    def __init__(
        self,
        name: str,
        pool: Pool,
        model: StepModel,
        rng: Random,
        ready_at: float = -math.inf,
        feed: KvFeed | None = None,
        number: int = 0,
    ) -> None:
        self.name = name
        self.number = number
        self.pool = pool
        self.model = model
        self.life: Life = "starting" if ready_at > -math.inf else "ready"
        self.ready_at = ready_at
        self.feed = feed
        #: Whether it is this process's own, where several share the fleet.
        self.here = True
        #: Leaves the fleet when its last request has ended.
        self.retiring = False
        #: Why it is dead, "" otherwise.
        self.died_of = ""
        #: When it is looked at next; kept by the cluster.
        self.watched_at = math.inf
        #: Told of transfers that are over.
        self.fetched: Callable[[EngineSequence, float], None] | None = None
        self._rng = rng
        self._jitter = _jitter(pool, rng)
        self.reset()

    def reset(self) -> None:
        """A fresh process: nothing cached, nothing counted."""
        pool, model = self.pool, self.model
        self.engine = Engine(pool.engine, model, kv_blocks(pool, model), self._jitter, self.feed)
        self.engine.fetched = self.fetched
        #: Requests it has taken and not ended, from its front end on; in the order in which they
        #: came.
        self.sequences: dict[EngineSequence, None] = {}
        #: When its server has done with the requests before (see `Frontend`).
        self.frontend_free_at = 0.0
        #: When adapters that were asked for are there.
        self.loras: dict[str, float] = {}
        self.ended: Counter[End] = Counter()
        self.prompt_tokens = 0
        self.generation_tokens = 0
        #: KV cache that went to and came from other workers, over all GPUs.
        self.kv_sent_bytes = 0.0
        self.kv_received_bytes = 0.0
        self._ended_at = -math.inf
        self._between_ends_s = _RETRY_S

    def tune(self, pool: Pool) -> None:
        """It goes on as a worker of `pool`, which asks for no other engine."""
        self.pool = pool
        self._jitter = self.engine.jitter = _jitter(pool, self._rng)

    @property
    def load(self) -> int:
        """Requests that run or wait here."""
        return len(self.engine.running) + self.engine.queued

    @property
    def waiting(self) -> int:
        """Requests that do not run yet, those in its front end included."""
        return len(self.sequences) - len(self.engine.running)

    @property
    def idle(self) -> bool:
        """Whether nothing is there that anybody needs."""
        return not self.sequences and not self.engine.held

    @property
    def retry_after_s(self) -> float:
        """A guess when a place in the queue is free."""
        return self._between_ends_s

    def through_frontend(self, at: float, prompt_tokens: int, frontend: Frontend) -> float:
        """When a request that comes at `at` is at the engine."""
        if frontend.service_ms or frontend.service_us_per_token:
            service_s = frontend.service_ms / 1e3
            service_s += frontend.service_us_per_token * prompt_tokens / 1e6
            at = self.frontend_free_at = max(at, self.frontend_free_at) + service_s
        return at + frontend.latency_s(prompt_tokens)

    def has_adapter_at(self, lora: str, at: float) -> float:
        """When a request for it that comes at `at` can be queued."""
        load_s = self.pool.lora_load_s
        if not lora or not load_s:
            return at
        return max(at, self.loras.setdefault(lora, at + load_s))

    def count(self, step: Step) -> None:
        """A step's tokens."""
        tokens = 0
        for _, sequences in step.gaps:
            tokens += sequences
        for sequence in step.first:
            self.prompt_tokens += sequence.prompt_tokens
            tokens += sequence.output_tokens > 0
        self.generation_tokens += tokens

    def count_end(self, end: End, at: float) -> None:
        self.ended[end] += 1
        if self._ended_at > -math.inf:
            self._between_ends_s += 0.1 * (at - self._ended_at - self._between_ends_s)
        self._ended_at = at


def kv_blocks(pool: Pool, model: StepModel) -> int:
    return max(1, pool.num_gpu_blocks or model.kv_capacity_tokens // pool.engine.block_size)


def _jitter(pool: Pool, rng: Random) -> Callable[[float], float] | None:
    """Each step takes a log-normal multiple of its time, with a mean of one; a few stall besides.
    How many steps it is until the next stall is drawn once for each stall: a step costs one draw."""
    stall_p, (least_ms, most_ms) = pool.stall_p, pool.stall_ms
    if not pool.jitter_sigma and not stall_p:
        return None
    mu, sigma, gauss, random = -(pool.jitter_sigma**2) / 2, pool.jitter_sigma, rng.gauss, rng.random
    # log1p(-1) is minus infinity: with a share of 1, every step stalls.
    scale = 0.0 if stall_p >= 1 else 1 / log(1 - stall_p) if stall_p else -math.inf

    def until_stall() -> float:
        return 1 + int(log(1 - random()) * scale) if stall_p else math.inf

    left = until_stall()

    def jitter(seconds: float) -> float:
        nonlocal left
        if sigma:
            seconds *= exp(gauss(mu, sigma))
        left -= 1
        if left <= 0:
            left = until_stall()
            seconds += rng.uniform(least_ms, most_ms) / 1e3
        return seconds

    return jitter
