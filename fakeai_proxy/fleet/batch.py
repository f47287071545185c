"""The sequences that decode: each gets a token in every *tick* (a step that decodes), or several where a
prediction of its answer lets them through.

When a sequence needs its next block and when it ends is known from the tick in which it joins, so
both wait in a calendar and a tick costs the same whatever the size of the batch.
"""

from __future__ import annotations

from collections import defaultdict

from fakeai_proxy.fleet.sequence import EngineSequence, State


class DecodeBatch:
    def __init__(self, block_tokens: int, stream_interval: int = 1) -> None:
        self.size = 0
        #: Tokens whose KV is read in a tick.
        self.context = 0
        self.ticked_at = 0.0
        #: How many there have been.
        self.ticks = 0
        self._block_tokens, self._interval = block_tokens, stream_interval
        #: By tick: who needs a block before it, who ends with it, and whose first tokens leave for
        #: the client with it. An entry of somebody who left in between is told by what it should be.
        self._growing: defaultdict[int, list[EngineSequence]] = defaultdict(list)
        self._ending: defaultdict[int, list[EngineSequence]] = defaultdict(list)
        self._showing: defaultdict[int, list[EngineSequence]] = defaultdict(list)
        #: Who joined since the last tick.
        self._joined: dict[EngineSequence, None] = {}
        #: Those of which a tick may make several tokens: few, so they are looked at one by one.
        self._leaping: dict[EngineSequence, None] = {}

    def join(self, sequence: EngineSequence) -> None:
        sequence.state = State.DECODE
        sequence.joined_tick = self.ticks
        self.size += 1
        self.context += sequence.computed
        if sequence.leaps:
            self._leaping[sequence] = None
        else:
            self._growing[self._full_at(sequence)].append(sequence)
        last = self.ticks + sequence.ticks_to(sequence.output_tokens) - 1
        self._ending[last].append(sequence)
        if sequence.shown_at is None and self._interval > 1:
            shown = self.ticks + max(sequence.ticks_to(self._interval), 1) - 1
            self._showing[shown].append(sequence)
        self._joined[sequence] = None

    def leave(self, sequence: EngineSequence) -> None:
        """Settle what it has got; its state says where it goes."""
        grown = self.emitted(sequence) - sequence.emitted
        self._leaping.pop(sequence, None)
        self.size -= 1
        self.context -= sequence.computed + grown
        sequence.emitted += grown
        sequence.computed += grown
        if grown:
            sequence.last_token_at = max(sequence.last_token_at, self.ticked_at)

    def emitted(self, sequence: EngineSequence) -> int:
        """Tokens it has given out, those of earlier stays included."""
        return sequence.after(self.ticks - sequence.joined_tick)

    def computed(self, sequence: EngineSequence) -> int:
        return sequence.computed + self.emitted(sequence) - sequence.emitted

    @property
    def extra(self) -> int:
        """Tokens that come with the next tick besides one for everybody."""
        return sum([self._gain(sequence) - 1 for sequence in self._leaping])

    def _gain(self, sequence: EngineSequence) -> int:
        ticks = self.ticks - sequence.joined_tick
        return sequence.after(ticks + 1) - sequence.after(ticks)

    def short_of_blocks(self) -> list[EngineSequence]:
        """Who needs a block before the next tick; who needs several is there several times."""
        due = self._growing.pop(self.ticks, None)
        if due is None:
            return self._short_leapers() if self._leaping else []
        tick, width, decodes = self.ticks, self._block_tokens, State.DECODE
        short = [
            sequence
            for sequence in dict.fromkeys(due)
            if sequence.state is decodes
            and not sequence.leaps
            and sequence.joined_tick + sequence.blocks * width - sequence.computed == tick
        ]
        return short + self._short_leapers() if self._leaping else short

    def _short_leapers(self) -> list[EngineSequence]:
        short = []
        for sequence in self._leaping:
            tokens = self.computed(sequence) + self._gain(sequence)
            short += [sequence] * (-(-tokens // self._block_tokens) - sequence.blocks)
        return short

    def grew(self, sequences: list[EngineSequence]) -> None:
        """They were short of a block and have it: it lasts until they have filled it."""
        for sequence in sequences:
            sequence.blocks += 1
        if self._leaping:
            sequences = [sequence for sequence in sequences if not sequence.leaps]
        self._growing[self.ticks + self._block_tokens] += sequences

    def tick(self, at: float) -> list[tuple[float, int]]:
        """A token for everybody. Returns pairs: seconds since the last one, and how many waited so
        long."""
        gaps: list[tuple[float, int]] = []
        for sequence in self._joined:
            if sequence.state is State.DECODE:
                gaps.append((at - sequence.last_token_at, 1))
                sequence.last_token_at = at
        self._joined.clear()
        rest = self.size - len(gaps)
        if rest:
            gaps.append((at - self.ticked_at, rest))
        self.context += self.size + (self.extra if self._leaping else 0)
        self.ticks += 1
        self.ticked_at = at
        return gaps

    def ended(self) -> list[EngineSequence]:
        """Whose last token came with the last tick."""
        due = self._ending.pop(self.ticks - 1, None)
        if due is None:
            return []
        return [
            sequence
            for sequence in dict.fromkeys(due)
            if sequence.state is State.DECODE and self.emitted(sequence) == sequence.output_tokens
        ]

    def show(self, at: float) -> None:
        """Note whose first tokens left for the client with the last tick."""
        for sequence in self._showing.pop(self.ticks - 1, ()):
            if sequence.state is State.DECODE and self.emitted(sequence) >= self._interval:
                sequence.shown_at = sequence.shown_at or at

    def _full_at(self, sequence: EngineSequence) -> int:
        """The tick before which its blocks are full."""
        return sequence.joined_tick + sequence.blocks * self._block_tokens - sequence.computed

    def check(self, decoding: list[EngineSequence]) -> None:
        """Prove the sums, for those that decode."""
        assert self.size == len(decoding), "the count of decoding sequences is right"
        assert self.context == sum(map(self.computed, decoding)), "the context is theirs"
        for sequence in decoding:
            held = sequence.blocks * self._block_tokens
            assert held >= self.computed(sequence), "every token has its place"
            assert self.emitted(sequence) < sequence.output_tokens, "who is done has left"
