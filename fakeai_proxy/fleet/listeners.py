"""Who may be told what happens in a fleet."""

from __future__ import annotations

from typing import Protocol

from fakeai_proxy.fleet.job import Job
from fakeai_proxy.fleet.step import Step
from fakeai_proxy.fleet.worker import Worker


class Listener(Protocol):
    """Told as it happens; several may listen."""

    def stepped(self, worker: Worker, step: Step) -> None:
        """Jobs of this worker may have more tokens. One whose prompt was computed on a prefill
        worker goes on elsewhere afterwards: it is among `step.finished`, and not yet done."""

    def finished(self, job: Job, at: float) -> None:
        """All its samples have their last token."""

    def failed(self, job: Job, at: float) -> None:
        """It will get no more tokens; `job.failed` says why."""


class WorkerListener(Protocol):
    """Told of what becomes of workers."""

    def started(self, worker: Worker, at: float) -> None:
        """A process begins: it loads its weights if it is `starting`."""

    def stopped(self, worker: Worker, at: float) -> None:
        """It has ended; a dead worker may start again."""

    def transferred(self, source: Worker, target: Worker, size_bytes: float, at: float) -> None:
        """KV cache, over all GPUs of each, has arrived."""
