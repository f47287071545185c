"""A request in the fleet, from its arrival to its last token."""

from __future__ import annotations

from fakeai_proxy.exchange import Workload
from fakeai_proxy.fleet.sequence import EngineSequence
from fakeai_proxy.fleet.worker import Worker


class Job:
    """`sequences` are its samples, all on one worker. `on_step` is called after each step that may
    have brought it tokens; its owner puts it there."""

    __slots__ = (
        "arrived_at", "failed", "finished_at", "hashes", "sequences", "worker", "workload",
    )  # fmt: skip

    def __init__(self, workload: Workload, arrived_at: float) -> None:
        self.workload = workload
        self.arrived_at = arrived_at
        self.hashes: list[int] = []
        self.sequences: list[EngineSequence] = []
        self.worker: Worker | None = None
        self.finished_at: float | None = None
        #: Why it will get no more tokens, "" otherwise.
        self.failed = ""

    @property
    def generated(self) -> int:
        """Tokens it has got, all samples together."""
        assert self.worker is not None
        generated = self.worker.engine.generated
        return sum([generated(sequence) for sequence in self.sequences])

    @property
    def cached_tokens(self) -> int:
        return self.sequences[0].cached_tokens if self.sequences else 0

    @property
    def queue_s(self) -> float:
        """From its arrival to the first step that worked on it."""
        scheduled = [s.scheduled_at for s in self.sequences if s.scheduled_at is not None]
        return max(0.0, min(scheduled) - self.arrived_at) if scheduled else 0.0
