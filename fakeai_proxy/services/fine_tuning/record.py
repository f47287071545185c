"""What is kept of fine-tuning: jobs, their events and checkpoints, and who else may use a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.dice import Dice
from fakeai_proxy.services.resources import Resource
from fakeai_proxy.store import Insert, Key, Row

#: What a job's document has for ourselves.
PRIVATE = "training"
#: The part of a fine-tuned model's name that says whose it is, and the id that goes with it.
ORGANIZATION, ORGANIZATION_ID = "fakeai", "org-fakeai"
OVER = ("succeeded", "failed", "cancelled")


def _show(row: Row, now: float) -> Mapping[str, Any]:
    return {name: value for name, value in row.document.items() if name != PRIVATE}


JOBS = Resource(
    kind="fine_tuning.job",
    object="fine_tuning.job",
    prefix="ftjob-",
    path="/fine_tuning/jobs",
    param="fine_tuning_job_id",
    missing=errors.no_such_job,
    show=_show,
    has_ids=False,
)
EVENTS = Resource(
    kind="fine_tuning.job.event",
    object="fine_tuning.job.event",
    prefix="ftevent-",
    path="/fine_tuning/jobs/{fine_tuning_job_id}/events",
    param="event_id",
    missing=errors.no_such_event,
    within=JOBS,
    has_ids=False,
    limit_max=10_000,
)
CHECKPOINTS = Resource(
    kind="fine_tuning.job.checkpoint",
    object="fine_tuning.job.checkpoint",
    prefix="ftckpt_",
    path="/fine_tuning/jobs/{fine_tuning_job_id}/checkpoints",
    param="checkpoint_id",
    missing=errors.no_such_checkpoint,
    within=JOBS,
    limit_default=10,
    limit_max=10_000,
)


def event(
    dice: Dice, job: Key, salt: str | int, now: float, message: str, *, level: str = "info",
    data: Mapping[str, Any] | None = None,
) -> Insert:  # fmt: skip
    """What a job tells of itself. `salt` tells its events apart; `data` are metrics of a step."""
    event_id = EVENTS.prefix + dice.text_id(job.id, EVENTS.kind, salt)
    document = {
        "object": EVENTS.object, "id": event_id, "created_at": int(now), "level": level,
        "message": message, "data": data or {}, "type": "metrics" if data else "message",
    }  # fmt: skip
    return Insert(Row(job.child(EVENTS.kind, event_id), document, now))


def checkpoint(
    dice: Dice, job: Key, step: int, now: float, model: str, metrics: Mapping[str, float]
) -> Insert:
    checkpoint_id = CHECKPOINTS.prefix + dice.text_id(job.id, CHECKPOINTS.kind, step)
    document = {
        "object": CHECKPOINTS.object, "id": checkpoint_id, "created_at": int(now),
        "fine_tuned_model_checkpoint": model, "fine_tuning_job_id": job.id,
        "metrics": {"step": step, **metrics}, "step_number": step,
    }  # fmt: skip
    return Insert(Row(job.child(CHECKPOINTS.kind, checkpoint_id), document, now))


def idle(row: Row) -> Row:
    """Nobody works on it any longer; who did will notice."""
    return replace(row, due_at=None, owner="")
