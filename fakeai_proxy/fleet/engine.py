"""The step loop of one model replica, as vLLM runs it; sans-IO, no clock inside.

A step gives every running sequence its next token (*decode*) and computes parts of prompts
(*prefill*) with what is left of the token budget; it takes as long as the step model says, and its
tokens exist when it ends. Whoever drives it looks at `next_at` and calls `turn`.

Ties are settled so: running sequences come before waiting ones and go by their admission; waiting
ones go by priority, then by arrival, then by the order of `submit`; the last admitted is preempted
first and then waits before all others of its priority. What arrives at the very instant a step
begins is in it.
"""

from __future__ import annotations

import heapq
import math
from bisect import insort
from collections import Counter
from collections.abc import Callable

from fakeai_proxy.fleet.batch import DecodeBatch
from fakeai_proxy.fleet.cost import Chunk, Cost, StepModel
from fakeai_proxy.fleet.kv_cache import KvCache, KvListener
from fakeai_proxy.fleet.sequence import EngineSequence, State, by_admission, by_rank
from fakeai_proxy.fleet.step import Step
from fakeai_proxy.profiles.engine import EngineLimits


class Engine:
    """`jitter` makes of the seconds that a step should take those that it takes."""

    def __init__(
        self,
        limits: EngineLimits,
        model: StepModel,
        kv_blocks: int,
        jitter: Callable[[float], float] | None = None,
        listener: KvListener | None = None,
    ) -> None:
        self.limits = limits
        self.cache = KvCache(kv_blocks, limits.block_size, listener)
        self.next_at = math.inf
        #: Running sequences in the order of their admission; the decoding ones are told by state.
        self.running: dict[EngineSequence, None] = {}
        self.waiting: list[EngineSequence] = []
        self.decoding = DecodeBatch(limits.block_size, limits.stream_interval)
        self.steps = 0
        self.preemptions = 0
        self.prefix_queries = 0
        self.prefix_hits = 0
        #: Stretches every step: a GPU that is throttled.
        self.slowdown = 1.0
        #: Finished prompts whose blocks wait to be fetched.
        self.held: dict[EngineSequence, None] = {}
        #: Called when a transfer is over.
        self.fetched: Callable[[EngineSequence, float], None] | None = None
        self._model = model
        self.jitter = jitter
        self._arrivals: list[tuple[float, int, EngineSequence]] = []
        self._loading: list[tuple[float, int, EngineSequence]] = []
        self._prefilling: list[EngineSequence] = []
        self._loras: Counter[str] = Counter()
        self._serial = 0
        self._front = 0
        #: The step in progress: began, cost, its chunks, and whether it decodes.
        self._step: tuple[float, Cost, list[tuple[EngineSequence, int]], bool] | None = None

    # What is asked of it

    def fits(self, sequence: EngineSequence) -> bool:
        """Whether it could run here if it were alone."""
        tokens = sequence.prompt_tokens + (
            sequence.output_limit
            if self.limits.admission == "reserve_total"
            else sequence.output_tokens
        )
        return self.cache.blocks_of(tokens) <= self.cache.blocks

    def submit(self, sequence: EngineSequence, at: float) -> None:
        """Put it in the queue at `at`, which may be to come. It must fit."""
        self._serial += 1
        sequence.queued_at = at
        heapq.heappush(self._arrivals, (at, self._serial, sequence))
        if self._step is None:
            self.next_at = min(self.next_at, at)

    def cancel(self, sequence: EngineSequence) -> None:
        """Drop it wherever it is; what it holds is free at once."""
        state, sequence.state = sequence.state, State.DONE
        if state is State.WAITING:
            self.waiting.remove(sequence)
        elif state in (State.LOADING, State.PREFILL, State.DECODE):
            self._leave(sequence, state)
        sequence.hashes = ()
        # An arriving one is skipped when its time comes.

    def release(self, sequence: EngineSequence) -> None:
        """A finished prompt's blocks have been fetched, or nobody will fetch them."""
        if sequence in self.held:
            del self.held[sequence]
            self._give_back(sequence)

    def nudge(self, at: float) -> None:
        """Somebody else has made room: an engine that stands still looks again."""
        if self._step is None and self.waiting:
            self.next_at = min(self.next_at, at)

    def generated(self, sequence: EngineSequence) -> int:
        """Tokens it has given out."""
        if sequence.state is State.DECODE:
            return self.decoding.emitted(sequence)
        return sequence.emitted

    @property
    def queued(self) -> int:
        return len(self.waiting)

    # The loop

    def turn(self) -> Step | None:
        """Do what is due at `next_at`: end the step in progress and begin the next. Returns what
        ended."""
        at = self.next_at
        done = None if self._step is None else self._end(at)
        self._begin(at)
        return done

    def _begin(self, at: float) -> None:
        while self._arrivals and self._arrivals[0][0] <= at:
            sequence = heapq.heappop(self._arrivals)[2]
            if sequence.state is State.ARRIVING:
                sequence.state = State.WAITING
                self._serial += 1
                sequence.rank = (sequence.priority, self._serial)
                insort(self.waiting, sequence, key=by_rank)
        while self._loading and self._loading[0][0] <= at:
            sequence = heapq.heappop(self._loading)[2]
            if sequence.state is State.LOADING:
                self._loaded(sequence, at)
        budget = self.limits.max_num_batched_tokens
        chunks: list[tuple[EngineSequence, int]] = []
        decodes = 0
        if self.limits.mixed:
            preemptions = self.preemptions
            self._grow()
            self._prefill(budget - self.decoding.size, chunks, at, preemptions)
            decodes = self.decoding.size  # a prompt may have preempted some
        else:
            self._prefill(budget, chunks, at, self.preemptions)
            if not chunks:
                self._grow()
                decodes = self.decoding.size
        if not chunks and not decodes:
            self._step = None
            self.next_at = min(
                self._arrivals[0][0] if self._arrivals else math.inf,
                self._loading[0][0] if self._loading else math.inf,
            )
            return
        cost = self._model.cost(
            [Chunk(tokens, sequence.computed) for sequence, tokens in chunks],
            decodes + (self.decoding.extra if decodes else 0),
            self.decoding.context if decodes else 0,
        )
        seconds = cost.seconds * self.slowdown
        if self.jitter is not None:
            seconds = self.jitter(seconds)
        self._step = (at, cost, chunks, decodes > 0)
        self.next_at = at + seconds

    def _end(self, at: float) -> Step:
        assert self._step is not None
        began_at, cost, chunks, decoded = self._step
        self.steps += 1
        first: list[EngineSequence] = []
        finished: list[EngineSequence] = []
        gaps: list[tuple[float, int]] = []
        prefilled: list[EngineSequence] = []
        decodes = self.decoding.size + self.decoding.extra if decoded else 0
        if decoded:
            gaps = self.decoding.tick(at)
            self.decoding.show(at)
            finished = self.decoding.ended()
        prompt_tokens = 0
        for sequence, tokens in chunks:
            if sequence.state is not State.PREFILL:
                continue
            prompt_tokens += tokens
            sequence.computed += tokens
            if sequence.computed == sequence.target:
                self._prefilling.remove(sequence)
                prefilled.append(sequence)
                gap_s = self._prefilled(sequence, at, first, finished)
                if gap_s is not None:
                    gaps.append((gap_s, 1))
        for sequence in finished:
            self._finish(sequence, at)
        return Step(began_at, at, cost, prompt_tokens, decodes, first, finished, gaps, prefilled)

    def _prefilled(
        self,
        sequence: EngineSequence,
        at: float,
        first: list[EngineSequence],
        finished: list[EngineSequence],
    ) -> float | None:
        """The end of a prefill is a token, too. Returns the seconds since the one before, if there
        was one."""
        gap_s = None if sequence.first_token_at is None else at - sequence.last_token_at
        if sequence.output_tokens:
            sequence.emitted += 1
        if sequence.first_token_at is None:
            sequence.first_token_at = at
            sequence.shown_at = at if self.limits.stream_interval == 1 else None
            first.append(sequence)
        sequence.last_token_at = at
        if sequence.emitted >= sequence.output_tokens:
            finished.append(sequence)
        else:
            self.decoding.join(sequence)
        return gap_s

    # Growing, and being in the way

    def _grow(self) -> None:
        """A block for each decoding sequence whose last one is full."""
        due = self.decoding.short_of_blocks()
        if self.cache.take(len(due)):  # room for all: who comes first does not matter
            self.decoding.grew(due)
            return
        for sequence in sorted(due, key=by_admission):
            while sequence.state is State.DECODE and not self.cache.take(1):
                self._preempt_last()
            if sequence.state is State.DECODE:
                self.decoding.grew([sequence])

    def _preempt_last(self) -> EngineSequence:
        victim = next(reversed(self.running))
        state, victim.state = victim.state, State.WAITING
        self._leave(victim, state)
        victim.target = victim.prompt_tokens + victim.emitted
        victim.computed = 0
        victim.prefilled = False  # a transferred prompt is computed here the next time
        victim.preemptions += 1
        self.preemptions += 1
        self._front -= 1
        victim.rank = (victim.priority, self._front)
        insort(self.waiting, victim, key=by_rank)
        return victim

    # Prompts

    def _prefill(
        self, budget: int, chunks: list[tuple[EngineSequence, int]], at: float, preemptions: int
    ) -> None:
        """Fill `chunks` with parts of prompts, those begun first. Nobody is admitted in a step in
        which somebody was preempted: there were `preemptions` when it began."""
        for sequence in list(self._prefilling):
            tokens = min(sequence.target - sequence.computed, budget)
            if tokens <= 0 or sequence.state is not State.PREFILL:
                continue
            if not self._room_for(sequence, tokens):
                return
            self._take_chunk(sequence, tokens, chunks)
            budget -= tokens
        place = 0
        while budget > 0 and place < len(self.waiting) and self.preemptions == preemptions:
            if len(self.running) >= self.limits.max_num_seqs:
                return
            sequence = self.waiting[place]
            if self._adapter_is_full(sequence):
                place += 1
                continue
            if not self._admit(sequence, budget, at):
                return
            del self.waiting[place]
            if sequence.state is State.LOADING:
                continue
            tokens = min(sequence.target - sequence.computed, budget)
            self._take_chunk(sequence, tokens, chunks)
            budget -= tokens

    def _room_for(self, sequence: EngineSequence, tokens: int) -> bool:
        """Blocks for the next chunk of a prompt that runs already, by preemption if it must be."""
        need = self.cache.blocks_of(sequence.computed + tokens) - sequence.blocks
        while need > 0 and not self.cache.take(need):
            if self._preempt_last() is sequence:
                return False
        sequence.blocks += max(need, 0)
        return True

    def _admit(self, sequence: EngineSequence, budget: int, at: float) -> bool:
        """Let a waiting sequence run, if there is room for it."""
        cache = self.cache
        hit = cache.find(sequence.hashes, self._hit_blocks_max(sequence))
        computed = sequence.target if sequence.prefilled else hit.blocks * cache.block_tokens
        chunk = min(sequence.target - computed, budget)
        first = cache.blocks_of(sequence.target + 1 if sequence.prefilled else computed + chunk)
        wanted = {
            "full_isl": cache.blocks_of(sequence.target),
            "first_chunk": first,
            "reserve_total": cache.blocks_of(sequence.prompt_tokens + sequence.output_limit),
        }[self.limits.admission]
        if max(wanted, first) - hit.blocks > cache.available - hit.idle:
            return False
        held = wanted if self.limits.admission == "reserve_total" else first
        shared = sequence.hashes[: hit.blocks]
        cache.share(shared)
        cache.take(held - hit.blocks)
        sequence.shared = list(shared)
        sequence.named = hit.blocks
        sequence.blocks = held
        sequence.computed = computed
        self._serial += 1
        sequence.rank = (sequence.priority, self._serial)
        self.running[sequence] = None
        if sequence.lora:
            self._loras[sequence.lora] += 1
        self._count_hit(sequence, hit.blocks * cache.block_tokens, at)
        if sequence.prefilled:
            self._load(sequence, hit.blocks * cache.block_tokens, at)
        else:
            sequence.state = State.PREFILL
            self._prefilling.append(sequence)
        return True

    def _hit_blocks_max(self, sequence: EngineSequence) -> int:
        """The last token of a prompt is always computed: its logits are needed."""
        if not self.limits.enable_prefix_caching:
            return 0
        return max(0, sequence.target - 1) // self.cache.block_tokens

    def _count_hit(self, sequence: EngineSequence, tokens: int, at: float) -> None:
        sequence.hit_tokens = tokens
        if sequence.scheduled_at is not None:
            return  # vLLM counts a recomputation as a hit (vllm-project/vllm#25780); this does not
        sequence.scheduled_at = at
        sequence.cached_tokens = tokens
        if self.limits.enable_prefix_caching:
            self.prefix_queries += sequence.target
            self.prefix_hits += tokens

    def _adapter_is_full(self, sequence: EngineSequence) -> bool:
        most, lora = self.limits.max_loras, sequence.lora
        return bool(most and lora and lora not in self._loras and len(self._loras) >= most)

    def _take_chunk(
        self, sequence: EngineSequence, tokens: int, chunks: list[tuple[EngineSequence, int]]
    ) -> None:
        chunks.append((sequence, tokens))
        self._name_blocks(sequence, sequence.computed + tokens)

    def _name_blocks(self, sequence: EngineSequence, tokens: int) -> None:
        """Others may hit what this step computes: they run in the same step or later."""
        if not self.limits.enable_prefix_caching:
            return
        full = min(tokens // self.cache.block_tokens, len(sequence.hashes))
        if full > sequence.named:
            sequence.shared += self.cache.name(
                sequence.hashes, sequence.named, full, sequence.owner
            )
            sequence.named = full

    # Joining and leaving

    def _load(self, sequence: EngineSequence, hit_tokens: int, at: float) -> None:
        """Its blocks are there; what they hold comes from the prefill worker."""
        sequence.state = State.LOADING
        sequence.transferred_tokens = sequence.target - hit_tokens
        share = sequence.transferred_tokens / max(sequence.target, 1)
        ready_at = at + sequence.transfer_latency_s + sequence.transfer_s * share
        heapq.heappush(self._loading, (ready_at, self._serial, sequence))

    def _loaded(self, sequence: EngineSequence, at: float) -> None:
        self._name_blocks(sequence, sequence.computed)
        sequence.last_token_at = max(sequence.last_token_at, sequence.queued_at)
        self.decoding.join(sequence)
        if self.fetched is not None:
            self.fetched(sequence, at)

    def _finish(self, sequence: EngineSequence, at: float) -> None:
        state, sequence.state = sequence.state, State.DONE
        self._leave(sequence, state, sequence.holds)
        sequence.finished_at = sequence.last_token_at = at
        sequence.shown_at = sequence.shown_at or (None if sequence.holds else at)
        sequence.hashes = ()

    def _leave(self, sequence: EngineSequence, state: State, holds: bool = False) -> None:
        """Out of the batch, with all its blocks unless it `holds` them."""
        if state is State.DECODE:
            self.decoding.leave(sequence)
            self._name_blocks(sequence, sequence.computed)
        elif state is State.PREFILL and sequence in self._prefilling:
            self._prefilling.remove(sequence)
        del self.running[sequence]
        if sequence.lora:
            self._loras[sequence.lora] -= 1
            if not self._loras[sequence.lora]:
                del self._loras[sequence.lora]
        if holds:
            self.held[sequence] = None
        else:
            self._give_back(sequence)

    def _give_back(self, sequence: EngineSequence) -> None:
        self.cache.release(sequence.shared, sequence.blocks - len(sequence.shared))
        sequence.shared, sequence.blocks, sequence.named = [], 0, 0

    def check(self) -> None:
        """Prove the invariants; for tests, at any moment."""
        running = list(self.running)
        decoding = [each for each in running if each.state is State.DECODE]
        self.decoding.check(decoding)
        assert len(running) <= self.limits.max_num_seqs, "no more run than may"
        assert [each.rank[1] for each in running] == sorted(each.rank[1] for each in running)
        assert all(each.state is State.WAITING and not each.blocks for each in self.waiting)
        assert self.waiting == sorted(self.waiting, key=by_rank), "those who wait stand in order"
        holding = running + list(self.held)
        shared = sum(len(each.shared) for each in holding)
        self.cache.check(shared, sum(each.blocks for each in holding) - shared)
