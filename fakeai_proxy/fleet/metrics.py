"""What a fleet counts: of each worker, as its engine would, and of the requests of the last minute.
A listener of the cluster. Knows no metric names: `observe/` has those.

Times are vLLM's: a queue ends and prefill begins with the first step that works on a sequence, prefill
ends with its first token, decode and all with its last; TTFT and E2E count from the request's arrival.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from fakeai_proxy.fleet import buckets
from fakeai_proxy.fleet.buckets import Histogram
from fakeai_proxy.fleet.cost import Chunk
from fakeai_proxy.fleet.job import Job
from fakeai_proxy.fleet.sequence import EngineSequence
from fakeai_proxy.fleet.step import Step
from fakeai_proxy.fleet.worker import End, Life, Worker
from fakeai_proxy.profiles.fleet import Pool

#: How far back rates and the request history look.
RECENT_S = 60
#: Requests kept of that time.
RECENT_REQUESTS = 10_000
#: The span of a worker's tokens per second.
RATE_S = 5
#: Of a model whose profile does not say.
_CONTEXT_TOKENS = 131_072


class Recent:
    """Amounts of the last minute, second by second: how much, how often and at most."""

    __slots__ = ("_seconds",)

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, float, int, float]] = deque(maxlen=RECENT_S + 1)

    def add(self, at: float, amount: float) -> None:
        second, seconds = int(at), self._seconds
        if seconds and seconds[-1][0] >= second:
            last, before, times, most = seconds[-1]
            seconds[-1] = (last, before + amount, times + 1, most if most > amount else amount)
        else:
            seconds.append((second, amount, 1, amount))

    def per_second(self, now: float, span_s: int = RATE_S) -> float:
        """Over the `span_s` whole seconds before `now`, or as many as there were."""
        end = int(now)
        since = max(0, end - span_s)
        return sum([s[1] for s in self._seconds if since <= s[0] < end]) / max(1, end - since)

    def mean(self, now: float) -> float:
        """0 where there was nothing."""
        kept = self._kept(now)
        return sum([s[1] for s in kept]) / max(1, sum([s[2] for s in kept]))

    def most(self, now: float) -> float:
        return max([s[3] for s in self._kept(now)], default=0.0)

    def _kept(self, now: float) -> list[tuple[int, float, int, float]]:
        since = int(now) - RECENT_S
        return [each for each in self._seconds if each[0] >= since]


def _histograms() -> dict[str, Histogram]:
    return {
        "ttft_s": Histogram(buckets.TTFT_S),
        "itl_s": Histogram(buckets.ITL_S),
        "tpot_s": Histogram(buckets.ITL_S),
        "e2e_s": Histogram(buckets.REQUEST_S),
        "queue_s": Histogram(buckets.REQUEST_S),
        "prefill_s": Histogram(buckets.REQUEST_S),
        "decode_s": Histogram(buckets.REQUEST_S),
        "inference_s": Histogram(buckets.REQUEST_S),
        "step_tokens": Histogram(buckets.VLLM_STEP_TOKENS),
        "prompt_tokens": Histogram(buckets.INPUT_TOKENS),
        "computed_tokens": Histogram(buckets.INPUT_TOKENS),
        "cached_tokens": Histogram(buckets.INPUT_TOKENS),
        "generation_tokens": Histogram(buckets.OUTPUT_TOKENS),
        "longest_generation_tokens": Histogram(buckets.OUTPUT_TOKENS),
        "max_tokens": Histogram(buckets.OUTPUT_TOKENS),
        "samples": Histogram(buckets.VLLM_SAMPLES),
    }


@dataclass(slots=True)
class Counts:
    """Of one worker's process: one that was started again counts from zero, as a real one does.
    Prompt tokens are counted with the first token: those computed here, found in the cache, and
    fetched from a prefill worker."""

    computed_tokens: int = 0
    cached_tokens: int = 0
    fetched_tokens: int = 0
    generation_tokens: int = 0
    steps: int = 0
    #: Prompts of which something was in the cache, and others.
    hits: int = 0
    misses: int = 0
    #: Estimates: what the hits' TTFTs would have been without them, and what they were.
    uncached_ttft_s: float = 0.0
    cached_ttft_s: float = 0.0
    #: Sum of the shares of prompts that were cached.
    hit_shares: float = 0.0
    transfer_s: float = 0.0
    #: Sequences that ended, by why.
    ended: dict[End, int] = field(
        default_factory=lambda: {"stop": 0, "length": 0, "abort": 0, "error": 0}
    )
    #: The engine's own counts.
    preemptions: int = 0
    prefix_queries: int = 0
    prefix_hits: int = 0
    last_ttft_s: float = 0.0
    last_itl_s: float = 0.0
    last_prompt_tokens: int = 0

    @property
    def prompt_tokens(self) -> int:
        return self.computed_tokens + self.cached_tokens + self.fetched_tokens


@dataclass(frozen=True, slots=True)
class Reading:
    """One worker at one instant; nobody changes it any more."""

    number: int
    name: str
    pool: Pool
    life: Life
    running: int
    waiting: int
    decoding: int
    kv_used: int
    kv_blocks: int
    cached_blocks: int
    context_tokens: int
    model_tokens_max: int
    #: Adapters, by whether their requests run.
    running_loras: tuple[str, ...]
    waiting_loras: tuple[str, ...]
    #: When it began to serve.
    since: float
    #: KV cache that came from other workers.
    received_bytes: float
    tokens_s: float
    prompt_tokens_s: float
    counts: Counts
    histograms: dict[str, Histogram]

    @property
    def kv_usage(self) -> float:
        return self.kv_used / self.kv_blocks

    @property
    def hit_rate(self) -> float:
        queries = self.counts.prefix_queries
        return self.counts.prefix_hits / queries if queries else 0.0


@dataclass(frozen=True, slots=True)
class Finished:
    """A request that ended, with its last token or without."""

    at: float
    model: str
    ok: bool
    total_s: float
    queue_s: float | None
    ttft_s: float | None
    prefill_s: float | None
    decode_s: float | None
    #: Mean time between tokens of one sample.
    itl_s: float | None
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int


class WorkerMetrics:
    def __init__(self, worker: Worker, model_tokens_max: int) -> None:
        self.model_tokens_max = model_tokens_max
        self.engine = worker.engine
        self.counts = Counts()
        self.histograms = _histograms()
        self.generated = Recent()
        self.prompted = Recent()
        self._model = worker.model
        h = self.histograms
        self._step_tokens, self._itl, self._ttft = h["step_tokens"], h["itl_s"], h["ttft_s"]

    def stepped(self, step: Step) -> None:
        counts, at = self.counts, step.ended_at
        counts.steps += 1
        tokens = 0
        observe = self._itl.observe
        for gap_s, times in step.gaps:
            observe(gap_s, times)
            tokens += times
            counts.last_itl_s = gap_s
        prompted = 0
        for sequence in step.first:
            tokens += sequence.output_tokens > 0
            prompted += sequence.prompt_tokens
            self._first(sequence, at - sequence.arrived_at)
        counts.generation_tokens += tokens
        # As vLLM: a prompt counts whole in the step that finishes it.
        self._step_tokens.observe(tokens + prompted)
        self.generated.add(at, tokens)
        if prompted:
            self.prompted.add(at, prompted)

    def _first(self, sequence: EngineSequence, ttft_s: float) -> None:
        counts, cached = self.counts, sequence.cached_tokens
        self._count_prompt(sequence)
        counts.last_ttft_s, counts.last_prompt_tokens = ttft_s, sequence.prompt_tokens
        self._ttft.observe(ttft_s)
        if not cached:
            counts.misses += 1
            return
        counts.hits += 1
        counts.hit_shares += cached / sequence.prompt_tokens
        counts.cached_ttft_s += ttft_s
        counts.uncached_ttft_s += ttft_s + self._model.cost([Chunk(cached, 0)], 0, 0).busy_s

    def _count_prompt(self, sequence: EngineSequence) -> None:
        counts = self.counts
        computed, cached, fetched = _origins(sequence)
        counts.computed_tokens += computed
        counts.cached_tokens += cached
        counts.fetched_tokens += fetched

    def left(self, sequence: EngineSequence, end: End, at: float) -> None:
        """Its times as far as it came."""
        self.counts.ended[end] += 1
        h, generated = self.histograms, sequence.emitted
        h["e2e_s"].observe(at - sequence.arrived_at)
        h["prompt_tokens"].observe(sequence.prompt_tokens)
        h["generation_tokens"].observe(generated)
        scheduled_at, first_at = sequence.scheduled_at, sequence.first_token_at
        if scheduled_at is None:
            return
        computed, cached, fetched = _origins(sequence)
        if fetched:
            self._count_prompt(sequence)
            share = sequence.transferred_tokens / max(sequence.target, 1)
            self.counts.transfer_s += sequence.transfer_latency_s + sequence.transfer_s * share
        h["cached_tokens"].observe(cached)
        h["computed_tokens"].observe(computed)
        h["queue_s"].observe(max(0.0, scheduled_at - sequence.queued_at))
        h["inference_s"].observe(at - scheduled_at)
        if first_at is None:
            return
        # A first token that came from elsewhere was there before this worker began.
        decode_s = at - max(first_at, scheduled_at)
        h["prefill_s"].observe(max(0.0, first_at - scheduled_at))
        h["decode_s"].observe(decode_s)
        h["tpot_s"].observe(decode_s / (generated - 1) if generated > 1 else 0.0)

    def reading(self, worker: Worker, now: float, histograms: bool = True) -> Reading:
        engine = worker.engine
        cache = engine.cache
        counts = replace(
            self.counts,
            ended=dict(self.counts.ended),
            preemptions=engine.preemptions,
            prefix_queries=engine.prefix_queries,
            prefix_hits=engine.prefix_hits,
        )
        adapters = bool(worker.pool.lora)
        return Reading(
            number=worker.number,
            name=worker.name,
            pool=worker.pool,
            life=worker.life,
            running=len(engine.running),
            waiting=engine.queued,
            decoding=engine.decoding.size,
            kv_used=cache.used,
            kv_blocks=cache.blocks,
            cached_blocks=cache.cached,
            context_tokens=engine.decoding.context,
            model_tokens_max=self.model_tokens_max,
            running_loras=_adapters(engine.running) if adapters else (),
            waiting_loras=_adapters(engine.waiting) if adapters else (),
            since=max(worker.ready_at, 0.0),
            received_bytes=worker.kv_received_bytes,
            tokens_s=self.generated.per_second(now),
            prompt_tokens_s=self.prompted.per_second(now),
            counts=counts,
            histograms=(
                {name: each.copy() for name, each in self.histograms.items()} if histograms else {}
            ),
        )


class FleetMetrics:
    """A listener."""

    def __init__(self) -> None:
        self._workers: dict[str, WorkerMetrics] = {}
        self._depths: dict[str, int] = {}
        #: Requests that wait, in the whole fleet, after each step; sequences of each step.
        self.depths = Recent()
        self.batches = Recent()
        self.recent: deque[Finished] = deque(maxlen=RECENT_REQUESTS)
        #: Requests, by how they ended.
        self.finished_total = 0
        self.failed_total = 0
        self.aborted_total = 0

    def of(self, worker: Worker) -> WorkerMetrics:
        """A process that was started again counts from zero; one that is dead shows what it had."""
        found = self._workers.get(worker.name)
        if found is None or (found.engine is not worker.engine and worker.life != "dead"):
            most = worker.pool.max_model_len or worker.model.context_tokens
            found = WorkerMetrics(worker, most or _CONTEXT_TOKENS)
            self._workers[worker.name] = found
        return found

    def has_worked(self, worker: Worker) -> bool:
        known = self._workers.get(worker.name)
        return known is not None and known.counts.steps > 0

    def readings(
        self, workers: Sequence[Worker], now: float, histograms: bool = True
    ) -> list[Reading]:
        """A snapshot, for pages that are rendered in a thread."""
        return [self.of(worker).reading(worker, now, histograms) for worker in workers]

    def forget_all_but(self, workers: Sequence[Worker]) -> None:
        for name in self._workers.keys() - {worker.name for worker in workers}:
            del self._workers[name]
            self._depths.pop(name, None)

    # What the cluster tells

    def stepped(self, worker: Worker, step: Step) -> None:
        self.of(worker).stepped(step)
        depths, name = self._depths, worker.name
        depths[name] = worker.engine.queued
        self.depths.add(step.ended_at, sum(depths.values()))
        self.batches.add(step.ended_at, step.decodes + len(step.first))

    def left(self, worker: Worker, sequence: EngineSequence, end: End, at: float) -> None:
        self.of(worker).left(sequence, end, at)
        self._depths[worker.name] = worker.engine.queued
        job = sequence.owner
        assert isinstance(job, Job)
        if end == "abort" and not any(
            each in place.sequences for place, each in zip(job.workers, job.sequences, strict=True)
        ):
            self.aborted_total += 1
            self._remember(job, at, ok=False)

    def finished(self, job: Job, at: float) -> None:
        self.finished_total += 1
        self._remember(job, at, ok=True)
        assert job.worker is not None
        metrics, workload = self.of(job.worker), job.workload
        most = workload.output_limit or metrics.model_tokens_max - workload.prompt_tokens
        h = metrics.histograms
        h["samples"].observe(workload.samples)
        h["longest_generation_tokens"].observe(max(each.emitted for each in job.sequences))
        h["max_tokens"].observe(max(most, 0), workload.samples)

    def failed(self, job: Job, at: float) -> None:
        self.failed_total += 1
        self._remember(job, at, ok=False)

    def _remember(self, job: Job, at: float, ok: bool) -> None:
        firsts = [leg.first_token_at for leg in job.legs if leg.first_token_at is not None]
        starts = [leg.scheduled_at for leg in job.legs if leg.scheduled_at is not None]
        first_at = min(firsts) if firsts else None
        start_at = min(starts) if starts else None
        longest = max((each.emitted for each in job.sequences), default=0)
        decode_s = None if first_at is None else at - first_at
        self.recent.append(
            Finished(
                at=at,
                model=job.workload.model,
                ok=ok,
                total_s=at - job.arrived_at,
                queue_s=None if start_at is None else max(0.0, start_at - job.arrived_at),
                ttft_s=None if first_at is None else first_at - job.arrived_at,
                prefill_s=None if first_at is None or start_at is None else first_at - start_at,
                decode_s=decode_s,
                itl_s=decode_s / (longest - 1) if decode_s is not None and longest > 1 else None,
                prompt_tokens=job.workload.prompt_tokens,
                cached_tokens=job.cached_tokens,
                output_tokens=sum(each.emitted for each in job.sequences),
            )
        )


def _origins(sequence: EngineSequence) -> tuple[int, int, int]:
    """Tokens of its prompt that were computed, cached and fetched. One that had begun elsewhere
    brings tokens of its answer along, which are none of these."""
    cached = min(sequence.cached_tokens, sequence.prompt_tokens)
    fetched = min(sequence.transferred_tokens, sequence.prompt_tokens - cached)
    return sequence.prompt_tokens - cached - fetched, cached, fetched


def _adapters(sequences: Sequence[EngineSequence] | dict[EngineSequence, None]) -> tuple[str, ...]:
    return tuple(sorted({each.lora for each in sequences if each.lora}))
