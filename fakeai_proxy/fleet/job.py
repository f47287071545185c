"""A request in the fleet, from its arrival to its last token."""

from __future__ import annotations

from fakeai_proxy.exchange import Workload
from fakeai_proxy.fleet.sequence import EngineSequence
from fakeai_proxy.fleet.worker import Worker


class Job:
    """`sequences` are its samples, each in the engine of the worker of `workers` at its place. A
    sample that goes on elsewhere (from prefill to decode, from a dead worker) does so as another
    sequence; `legs` are all there ever were."""

    __slots__ = (
        "arrived_at", "failed", "finished_at", "hashes", "leaps", "legs", "lora", "migrations",
        "sequences", "shares", "worker", "workers", "workload",
    )  # fmt: skip

    def __init__(self, workload: Workload, arrived_at: float) -> None:
        self.workload = workload
        self.arrived_at = arrived_at
        self.hashes: list[int] = []
        self.lora = workload.lora
        self.sequences: list[EngineSequence] = []
        self.workers: list[Worker] = []
        #: Tokens that each sample is to get.
        self.shares: list[int] = []
        self.legs: list[EngineSequence] = []
        #: Its tokens after each step; empty where each makes one.
        self.leaps: list[int] = []
        #: Where it was sent last.
        self.worker: Worker | None = None
        #: How many workers died under it.
        self.migrations = 0
        self.finished_at: float | None = None
        #: Why it will get no more tokens, "" otherwise.
        self.failed = ""

    @property
    def generated(self) -> int:
        """Tokens it has got, all samples together."""
        return sum(
            [
                worker.engine.generated(sequence)
                for worker, sequence in zip(self.workers, self.sequences, strict=True)
            ]
        )

    @property
    def shown(self) -> int:
        """Of these, how many have left for the client."""
        return sum(
            [
                _shown(worker, sequence, share)
                for worker, sequence, share in zip(
                    self.workers, self.sequences, self.shares, strict=True
                )
            ]
        )

    @property
    def complete(self) -> bool:
        """Whether each sample has its last token."""
        return all(
            sequence.finished_at is not None and sequence.emitted >= share
            for sequence, share in zip(self.sequences, self.shares, strict=True)
        )

    @property
    def cached_tokens(self) -> int:
        """Of its prompt, where it was first computed."""
        for leg in self.legs:
            if leg.scheduled_at is not None:
                return leg.cached_tokens
        return 0

    @property
    def queue_s(self) -> float:
        """From its arrival to the first step that worked on it."""
        scheduled = [leg.scheduled_at for leg in self.legs if leg.scheduled_at is not None]
        return max(0.0, min(scheduled) - self.arrived_at) if scheduled else 0.0


def _shown(worker: Worker, sequence: EngineSequence, share: int) -> int:
    given, interval = worker.engine.generated(sequence), worker.engine.limits.stream_interval
    return given if interval == 1 or given >= share else given - given % interval
