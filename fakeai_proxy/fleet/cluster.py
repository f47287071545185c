"""The fleet as one thing: takes jobs, gives them to workers, tells of every step. Sans-IO: whoever
drives it looks at `next_at` and calls `advance`.

What is due at the same instant happens in the order in which the workers joined.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping
from itertools import accumulate

from fakeai_proxy.dice import Dice
from fakeai_proxy.fleet.cost import StepModel
from fakeai_proxy.fleet.job import Job
from fakeai_proxy.fleet.listeners import Listener, WorkerListener
from fakeai_proxy.fleet.placement import Placement, adapter
from fakeai_proxy.fleet.prefix import block_hashes
from fakeai_proxy.fleet.refusals import Refusal
from fakeai_proxy.fleet.roster import Roster
from fakeai_proxy.fleet.routing import Ask
from fakeai_proxy.fleet.sequence import EngineSequence, State
from fakeai_proxy.fleet.share import WHOLE, Share
from fakeai_proxy.fleet.staffing import Staffing
from fakeai_proxy.fleet.step import Step
from fakeai_proxy.fleet.step_model import step_model
from fakeai_proxy.fleet.worker import End, Worker
from fakeai_proxy.profiles.fleet import FleetProfile, Pool
from fakeai_proxy.profiles.serving import Server


class Cluster:
    def __init__(
        self,
        profile: FleetProfile,
        dice: Dice,
        listeners: tuple[Listener, ...] = (),
        model: Callable[[Pool, Server], StepModel] = step_model,
        share: Share = WHOLE,
    ) -> None:
        self.profile = profile
        self.listeners = list(listeners)
        self.worker_listeners: list[WorkerListener] = []
        self.roster = Roster(profile, dice, model, share)
        self.placement = Placement(profile, self.roster)
        self.staffing = Staffing(self.roster, self._add, self._let_leave)
        #: Told whenever a worker has done with a sequence, and how that ended.
        self.departures: list[Callable[[Worker, EngineSequence, End, float], None]] = []
        #: The last event.
        self.now = 0.0
        self._heap: list[tuple[float, int, Worker]] = []
        #: By a decode sequence whose prompt is on its way: where it comes from.
        self._fetching: dict[EngineSequence, tuple[Worker, EngineSequence]] = {}
        for pool in profile.pool:
            for _ in range(pool.replicas):
                self._add(pool)

    @property
    def workers(self) -> list[Worker]:
        return self.roster.workers

    @property
    def next_at(self) -> float:
        return self._heap[0][0] if self._heap else math.inf

    def worker(self, name: str) -> Worker | None:
        return next((worker for worker in self.workers if worker.name == name), None)

    # Jobs

    def hashes(self, job: Job) -> list[int]:
        """Names of its KV blocks; for a long prompt a millisecond of work, in any thread. Raises
        NoSuchModel."""
        workload = job.workload
        pools = self.placement.pools(workload)
        # The answers of several samples differ: only the prompt is theirs together.
        output = workload.output if workload.samples == 1 else ()
        tokens = [*workload.prompt, *output]
        lora = adapter(workload, pools)
        return block_hashes(tokens, pools[0].engine.block_size, lora, workload.cache_salt)

    def submit(self, job: Job) -> None:
        """Queue a job at its `arrived_at`, with its `hashes`. Raises Refusal; the job is not in the
        fleet then."""
        at, workload = job.arrived_at, job.workload
        self.now = max(self.now, at)
        share, rest = divmod(workload.output_tokens, workload.samples)
        job.shares = [share + (k < rest) for k in range(workload.samples)]
        if workload.samples == 1:
            job.leaps = list(accumulate(workload.strides))
        pools = self.placement.fitting(job, self.placement.pools(workload))
        job.lora = adapter(workload, pools)
        self.placement.must_decode_somewhere(pools, at)
        ask = self.placement.ask(job, 0, at)
        worker = self.placement.choose(pools, ask)
        frontend = self.profile.frontend
        queued_at = worker.through_frontend(at, workload.prompt_tokens, frontend)
        for k in range(workload.samples):
            job.sequences.append(self._leg(job, k, worker, 0))
            job.workers.append(worker)
            self._place(job, k, job.sequences[k], worker, ask, queued_at, first=k == 0)

    def cancel(self, job: Job) -> None:
        """Drop it wherever it is; what it holds is free at once."""
        self._drop(job, "abort", self.now)

    def advance(self, now: float) -> None:
        """Everything that happens until `now`, in order."""
        while self._heap and self._heap[0][0] <= now:
            at, _, worker = heapq.heappop(self._heap)
            self.now = max(self.now, at)
            if at == worker.watched_at:
                worker.watched_at = math.inf
            if worker.life == "starting":
                if at == worker.ready_at:
                    worker.life = "ready"
                    self.staffing.relieve(worker.pool.name, at)
                continue
            if at != worker.engine.next_at:
                continue  # it has something else to do before
            step = worker.engine.turn()
            self._watch(worker)
            if step is not None:
                self._tell(worker, step)
        if now < math.inf:
            self.now = max(self.now, now)

    # Samples on their way

    def _leg(self, job: Job, k: int, worker: Worker, generated: int) -> EngineSequence:
        """A sample as the worker's engine sees it, when so many of its tokens are there."""
        workload, share = job.workload, job.shares[k]
        prompt = max(1, workload.prompt_tokens)
        prefills = worker.pool.role == "prefill"
        sequence = EngineSequence(
            prompt, min(share, generated + 1) if prefills else share, job.hashes, owner=job,
            output_limit=workload.output_limit, priority=workload.priority, lora=job.lora,
            leaps=job.leaps,
        )  # fmt: skip
        sequence.holds = prefills and share > generated + 1
        sequence.emitted = generated
        sequence.target = prompt + generated
        sequence.arrived_at = job.arrived_at
        if generated:
            before = job.sequences[k]
            sequence.first_token_at = before.first_token_at
            sequence.shown_at = before.shown_at
            sequence.last_token_at = before.last_token_at
        return sequence

    def _place(
        self, job: Job, k: int, sequence: EngineSequence, worker: Worker, ask: Ask, at: float,
        first: bool = True,
    ) -> None:  # fmt: skip
        job.sequences[k], job.workers[k], job.worker = sequence, worker, worker
        job.legs.append(sequence)
        worker.sequences[sequence] = None
        self.roster.router(worker.pool).routed(worker, sequence, ask, first)
        worker.engine.submit(sequence, worker.has_adapter_at(job.lora, at))
        self._watch(worker)

    def _hand_over(self, job: Job, k: int, prefilled: EngineSequence, at: float) -> None:
        """From prefill to decode: room there first, then the transfer."""
        source = job.workers[k]
        ask = self.placement.ask(job, prefilled.target - prefilled.prompt_tokens, at, decode=True)
        siblings = [each for each in job.workers if each.pool.role == "decode"]
        try:
            if siblings and siblings[0].life == "ready":
                worker = siblings[0]  # the prompt is there already, or soon
            else:
                worker = self.placement.choose(self.placement.pools(job.workload), ask, again=True)
        except Refusal as refusal:
            source.engine.release(prefilled)
            self._fail(job, at, str(refusal))
            return
        sequence = self._leg(job, k, worker, prefilled.emitted)
        sequence.target = prefilled.target
        sequence.prefilled = True
        link = self.profile.transfer
        size_bytes = prefilled.target * source.model.kv_bytes_per_token
        sequence.transfer_latency_s = link.latency_ms / 1e3
        sequence.transfer_s = size_bytes / (link.gb_s * 1e9)
        self._fetching[sequence] = (source, prefilled)
        self._place(job, k, sequence, worker, ask, at)

    def _fetched(self, sequence: EngineSequence, at: float) -> None:
        source, _ = self._fetching[sequence]
        size_bytes = sequence.transferred_tokens * source.model.kv_bytes_per_token
        job = _job(sequence)
        target = job.workers[job.sequences.index(sequence)]
        source.kv_sent_bytes += size_bytes
        target.kv_received_bytes += size_bytes
        for listener in self.worker_listeners:
            listener.transferred(source, target, size_bytes, at)
        self._let_go(sequence, at)

    def _let_go(self, sequence: EngineSequence, at: float) -> None:
        """The prefill worker need not hold its blocks any more."""
        fetched = self._fetching.pop(sequence, None)
        if fetched is not None:
            source, prefilled = fetched
            source.engine.release(prefilled)
            self._made_room(source, at)

    def _made_room(self, worker: Worker, at: float) -> None:
        worker.engine.nudge(at)
        self._watch(worker)
        self._let_leave(worker, at)

    # Ends

    def _tell(self, worker: Worker, step: Step) -> None:
        at = step.ended_at
        worker.count(step)
        if worker.feed is not None:
            worker.feed.flush(at)
        router = self.roster.router(worker.pool)
        for sequence in step.prefilled:
            router.prefilled(sequence)
        for listener in self.listeners:
            listener.stepped(worker, step)
        # A listener may have cancelled some, or one's failure others.
        ended = [each for each in step.finished if each in worker.sequences]
        for sequence in ended:
            job = _job(sequence)
            if job.failed:
                continue
            k = job.sequences.index(sequence)
            self._over(worker, sequence, _end(job, sequence), at)
            if sequence.emitted < job.shares[k]:
                self._hand_over(job, k, sequence, at)
            self._made_room(worker, at)
        for sequence in ended:  # when all that ends in this step has ended
            job = _job(sequence)
            if job.finished_at is None and not job.failed and job.complete:
                job.finished_at = at
                for listener in self.listeners:
                    listener.finished(job, at)

    def _over(self, worker: Worker, sequence: EngineSequence, end: End, at: float) -> None:
        """Whatever became of it, this worker has done with it."""
        del worker.sequences[sequence]
        self.roster.router(worker.pool).freed(sequence)
        worker.count_end(end, at)
        for tell in self.departures:
            tell(worker, sequence, end, at)
        self._let_go(sequence, at)

    def _drop(self, job: Job, end: End, at: float) -> None:
        for worker, sequence in zip(job.workers, job.sequences, strict=True):
            if sequence in worker.sequences:
                worker.engine.cancel(sequence)
                worker.engine.release(sequence)
                self._over(worker, sequence, end, at)
                self._made_room(worker, at)

    def _fail(self, job: Job, at: float, reason: str) -> None:
        job.failed = reason
        self._drop(job, "error", at)
        for listener in self.listeners:
            listener.failed(job, at)

    # The workers' lives

    def kill(self, worker: Worker, at: float, reason: str = "") -> None:
        """It is gone at once, with its cache. Its requests are computed again elsewhere or fail, as
        the profile says."""
        self.advance(at)
        if worker.life == "dead":
            return
        worker.life, worker.ready_at = "dead", math.inf
        retiring, worker.retiring = worker.retiring, False
        worker.died_of = reason or f"worker {worker.name} died"
        fetching = [key for key, (source, _) in self._fetching.items() if source is worker]
        lost = [*worker.sequences, *(key for key in fetching if key not in worker.sequences)]
        for sequence in lost:
            self._lose(worker, sequence, at)
        self.roster.empty(worker, at)
        for listener in self.worker_listeners:
            listener.stopped(worker, at)
        for job in dict.fromkeys(map(_job, lost)):
            job.migrations += 1
        for sequence in lost:
            job = _job(sequence)
            if not job.failed:
                self._migrate(job, job.sequences.index(sequence), at, worker.died_of)
        if retiring:
            self.roster.remove(worker)

    def _lose(self, dead: Worker, sequence: EngineSequence, at: float) -> None:
        """It was on the dead worker, or its prompt was still there."""
        job = _job(sequence)
        worker = job.workers[job.sequences.index(sequence)]
        if worker is dead:
            sequence.emitted = worker.engine.generated(sequence)
            sequence.state = State.DONE
        else:
            worker.engine.cancel(sequence)
        self._over(worker, sequence, "error", at)
        self._made_room(worker, at)

    def _migrate(self, job: Job, k: int, at: float, reason: str) -> None:
        """Compute prompt and answer so far again, on another worker."""
        if self.profile.on_death == "fail" or job.migrations > self.profile.migration_limit:
            self._fail(job, at, reason)
            return
        generated = job.sequences[k].emitted
        ask = self.placement.ask(job, generated, at)
        try:
            pools = self.placement.fitting(job, self.placement.pools(job.workload))
            worker = self.placement.choose(pools, ask, again=True)
        except Refusal as refusal:
            self._fail(job, at, f"{reason}; {refusal}")
            return
        self._place(job, k, self._leg(job, k, worker, generated), worker, ask, at)

    def drain(self, worker: Worker, at: float) -> None:
        """It finishes what it has and takes nothing any more."""
        self.advance(at)
        if worker.life in ("ready", "starting"):
            worker.life = "draining"

    def resume(self, worker: Worker, at: float) -> None:
        """A draining worker takes requests again."""
        self.advance(at)
        if worker.life == "draining" and not worker.retiring:
            worker.life = "ready" if worker.ready_at <= at else "starting"

    def restart(self, worker: Worker, at: float) -> None:
        """A fresh process, which serves after its cold start. What a living one had is lost as if
        it were killed."""
        self.kill(worker, at, f"worker {worker.name} was restarted")
        worker.life, worker.died_of, worker.ready_at = "starting", "", at + worker.pool.cold_start_s
        self.roster.router(worker.pool).join(worker)
        self._begin(worker, at)

    def scale(self, pool: str, replicas: int, at: float) -> None:
        """Until so many of the pool serve or start: more start cold; too many drain, the last to
        join first, and leave. The dead do not count. Raises KeyError for an unknown pool."""
        self.advance(at)
        self.staffing.scale(pool, replicas, at)

    def renew(self, profile: FleetProfile, models: Mapping[str, StepModel], at: float) -> None:
        """From now on the fleet is as `profile` has it, with the models that `Roster.models_of` made for
        it. Workers that cannot go on so serve until others have started, one after the other."""
        self.advance(at)
        self.profile = profile
        self.placement.renew(profile)
        self.roster.renew(profile, models, at)
        for pool in profile.pool:
            self.scale(pool.name, pool.replicas, at)

    def check(self) -> None:
        """Prove the invariants; for tests, at any moment between two calls."""
        held: list[EngineSequence] = []
        for worker in self.workers:
            engine = worker.engine
            engine.check()
            held += engine.held
            assert worker.sequences.keys() >= engine.running.keys() | set(engine.waiting)
            assert worker.idle or worker.life != "dead", "the dead have nothing"
            for sequence in worker.sequences:
                job = _job(sequence)
                assert not job.failed, "who has failed is nowhere"
                assert job.workers[job.sequences.index(sequence)] is worker
        fetched = [prefilled for _, prefilled in self._fetching.values()]
        assert len(fetched) == len(held), "what is held will be fetched"
        assert set(fetched) == set(held)
        self.roster.check()

    def _add(self, pool: Pool, at: float = 0.0, ready_at: float = -math.inf) -> None:
        worker = self.roster.add(pool, ready_at)
        worker.fetched = worker.engine.fetched = self._fetched
        self._begin(worker, at)

    def _begin(self, worker: Worker, at: float) -> None:
        if worker.life == "starting":
            heapq.heappush(self._heap, (worker.ready_at, worker.number, worker))
        for listener in self.worker_listeners:
            listener.started(worker, at)

    def _let_leave(self, worker: Worker, at: float) -> None:
        """Out of the fleet, if it is to leave and nobody needs it any more."""
        if not worker.retiring or not worker.idle:
            return
        worker.life, worker.retiring = "dead", False
        self.roster.remove(worker)
        for listener in self.worker_listeners:
            listener.stopped(worker, at)

    def _watch(self, worker: Worker) -> None:
        at = worker.engine.next_at
        if at < math.inf and at != worker.watched_at:
            worker.watched_at = at
            heapq.heappush(self._heap, (at, worker.number, worker))


def _job(sequence: EngineSequence) -> Job:
    job = sequence.owner
    assert isinstance(job, Job)
    return job


def _end(job: Job, sequence: EngineSequence) -> End:
    """A prefill worker is asked for one token: what it does ends by length."""
    k, workload = job.sequences.index(sequence), job.workload
    if sequence.emitted < job.shares[k]:
        return "length"
    if workload.finishes:
        return workload.finishes[k]
    return "length" if workload.output_limit and job.shares[k] >= workload.output_limit else "stop"
