"""One answer on its way through an engine."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Sequence
from enum import Enum


class State(Enum):
    """Where a sequence is; a preempted one waits again."""

    ARRIVING = "arriving"
    WAITING = "waiting"
    LOADING = "loading"
    PREFILL = "prefill"
    DECODE = "decode"
    DONE = "done"


class EngineSequence:
    """What an engine knows of a sequence. `hashes` name its full blocks, those of the prompt and of
    as much of the answer as is known; `output_limit` is what the client allows, `output_tokens` what
    it will get. Of sequences that wait, a lower `priority` goes first.

    One that `holds` keeps its blocks when it is finished, until a decode worker has fetched them
    (`Engine.release`). A `prefilled` one comes from a prefill worker: its prompt is not computed
    here but transferred, which takes `transfer_latency_s` and of `transfer_s` the share that is not
    cached here, once there is room for it. `leaps` are its tokens after each step, where a step may make
    several; empty where each makes one.
    """

    __slots__ = (
        "arrived_at", "blocks", "cached_tokens", "computed", "emitted", "finished_at",
        "first_token_at", "hashes", "hit_tokens", "holds", "joined_tick", "last_token_at", "leaps", "lora",
        "named", "output_limit", "output_tokens", "owner", "preemptions", "prefilled", "priority",
        "prompt_tokens", "queued_at", "rank", "scheduled_at", "shared", "shown_at", "state", "target",
        "transfer_latency_s", "transfer_s", "transferred_tokens",
    )  # fmt: skip

    def __init__(
        self,
        prompt_tokens: int,
        output_tokens: int,
        hashes: Sequence[int] = (),
        *,
        owner: Hashable = None,
        output_limit: int = 0,
        priority: int = 0,
        lora: str = "",
        leaps: Sequence[int] = (),
    ) -> None:
        self.owner = owner
        self.prompt_tokens = prompt_tokens
        self.output_tokens = output_tokens
        self.output_limit = max(output_limit, output_tokens)
        self.hashes = hashes
        self.priority = priority
        self.lora = lora
        self.leaps = leaps
        self.holds = False
        self.prefilled = False
        self.transfer_latency_s = 0.0
        self.transfer_s = 0.0
        self.state = State.ARRIVING
        self.rank: tuple[int, int] = (priority, 0)
        #: Tokens whose KV is there, while it is computed; and how many there have to be.
        self.computed = 0
        self.target = prompt_tokens
        #: Tokens given out before the engine's tick `joined_tick`.
        self.emitted = 0
        self.joined_tick = 0
        #: Blocks it holds; of these `shared` go by name, `named` blocks were looked at for that.
        self.blocks = 0
        self.shared: list[int] = []
        self.named = 0
        #: Tokens of the prompt found in the cache when it was first scheduled, and last.
        self.cached_tokens = 0
        self.hit_tokens = 0
        self.transferred_tokens = 0
        self.preemptions = 0
        self.arrived_at = 0.0
        self.queued_at = 0.0
        self.scheduled_at: float | None = None
        self.first_token_at: float | None = None
        #: When its first tokens left for the client.
        self.shown_at: float | None = None
        self.last_token_at = 0.0
        self.finished_at: float | None = None

    def after(self, ticks: int) -> int:
        """Tokens given out when it has been in the batch for so many ticks."""
        if not self.leaps:
            return self.emitted + ticks
        if not ticks:
            return self.emitted
        steps = bisect_right(self.leaps, self.emitted) - 1 + ticks
        return min(self.leaps[min(steps, len(self.leaps) - 1)], self.output_tokens)

    def ticks_to(self, tokens: int) -> int:
        """Ticks in the batch until it has given out so many."""
        if not self.leaps:
            return tokens - self.emitted
        return bisect_left(self.leaps, tokens) - bisect_right(self.leaps, self.emitted) + 1


def by_rank(sequence: EngineSequence) -> tuple[int, int]:
    """The order of those who wait."""
    return sequence.rank


def by_admission(sequence: EngineSequence) -> int:
    """The order of those who run."""
    return sequence.rank[1]
