"""Where a job may go: which pools answer to its model and have room for it, and which of their workers
the router picks, unless none takes it.
"""

from __future__ import annotations

from collections.abc import Sequence

from fakeai_proxy.exchange import Workload
from fakeai_proxy.fleet.job import Job
from fakeai_proxy.fleet.refusals import Busy, NoSuchModel, NothingReady, QueueFull, TooLong
from fakeai_proxy.fleet.roster import Roster
from fakeai_proxy.fleet.routing import Ask
from fakeai_proxy.fleet.worker import Worker
from fakeai_proxy.profiles.fleet import FleetProfile, Pool

#: Model names whose pools are remembered.
NAMES_MAX = 1024


class Placement:
    def __init__(self, profile: FleetProfile, roster: Roster) -> None:
        self._profile = profile
        self._roster = roster
        self._pools: dict[str, list[Pool]] = {}

    def renew(self, profile: FleetProfile) -> None:
        self._profile = profile
        self._pools.clear()

    def pools(self, workload: Workload) -> list[Pool]:
        pools = self._pools.get(workload.model)
        if pools is None:
            pools = self._profile.pools_for(workload.model)
            if not pools:
                raise NoSuchModel(workload.model)
            if len(self._pools) < NAMES_MAX:  # clients may make names up
                self._pools[workload.model] = pools
        return pools

    def fitting(self, job: Job, pools: Sequence[Pool]) -> list[Pool]:
        """Pools whose context and KV cache have room for it. Raises TooLong where none has."""
        prompt, longest = max(1, job.workload.prompt_tokens), max(job.shares)
        output = max(job.workload.output_limit, longest)
        fitting, refusal = [], None
        for pool in pools:
            answer = min(1, longest) if pool.role == "prefill" else longest
            held = output if pool.engine.admission == "reserve_total" else answer
            room = self._roster.kv_tokens(pool)
            context = self._roster.context_tokens(pool)
            if context and prompt + output > context:
                refusal = TooLong(prompt, output, context, f"the context of {pool.name}")
            elif prompt + held > room:
                refusal = TooLong(prompt, held, room, f"the KV cache of {pool.name}")
            else:
                fitting.append(pool)
        roles = {pool.role for pool in fitting}
        whole = "both" in roles or roles == {pool.role for pool in pools}
        if refusal is not None and not whole:
            raise refusal
        return fitting

    def ask(self, job: Job, generated: int, at: float, decode: bool = False) -> Ask:
        tokens = max(1, job.workload.prompt_tokens) + generated
        size = self.pools(job.workload)[0].engine.block_size
        return Ask(at, tokens, job.hashes[: tokens // size], decode, job.workload.session)

    def choose(self, pools: Sequence[Pool], ask: Ask, again: bool = False) -> Worker:
        """Raises Refusal. One that has been taken before is not refused for want of room."""
        pools = [pool for pool in pools if (pool.role == "decode") == ask.decode]
        workers = self._roster.ready(pools)
        if not workers:
            raise NothingReady(pools[0].name, self._ready_in_s(pools, ask.at))
        router = self._roster.router(pools[0])
        if again:
            return router.pick(workers, ask)
        # A router asks the next worker where one has refused.
        roomy = [
            worker
            for worker in workers
            if not worker.pool.max_queue or worker.waiting < worker.pool.max_queue
        ]
        if not roomy:
            shortest = min(workers, key=lambda worker: worker.waiting)
            raise QueueFull(shortest.waiting, shortest.pool.max_queue, _retry_s(workers))
        free = router.free_of(roomy)
        if not free:
            raise Busy("every worker is busy", _retry_s(workers))
        return router.pick(free, ask)

    def must_decode_somewhere(self, pools: Sequence[Pool], at: float) -> None:
        """Raises NothingReady where the prompt could be computed and nothing more."""
        decoding = [pool for pool in pools if pool.role == "decode"]
        if decoding and not self._roster.ready(decoding):
            raise NothingReady(decoding[0].name, self._ready_in_s(decoding, at))

    def _ready_in_s(self, pools: Sequence[Pool], at: float) -> float:
        starting = [
            worker.ready_at - at
            for pool in pools
            for worker in self._roster.of(pool)
            if worker.life == "starting"
        ]
        return max(0.0, min(starting, default=pools[0].cold_start_s))


def _retry_s(workers: Sequence[Worker]) -> float:
    return min(worker.retry_after_s for worker in workers)


def adapter(workload: Workload, pools: Sequence[Pool]) -> str:
    """Its LoRA adapter, which may be the name it asks for."""
    asked = workload.model
    return workload.lora or (asked if any(asked in pool.lora for pool in pools) else "")
