"""The work on a fine-tuning job, step by step: each ends in one commit and says when the next is due.

What a step finds is in the job's own document, so that any process may do the next one, and a pause or a
cancellation in between takes the work away from whoever had it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from fakeai_proxy.exchange import Admission
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.profiles.model_card import ModelCard
from fakeai_proxy.services import metering
from fakeai_proxy.services.filing import FILES, file_row
from fakeai_proxy.services.fine_tuning.curve import Curve, csv
from fakeai_proxy.services.fine_tuning.hyperparameters import resolved
from fakeai_proxy.services.fine_tuning.reading import BadFileError, Lessons, Reader
from fakeai_proxy.services.fine_tuning.record import (
    JOBS,
    ORGANIZATION,
    PRIVATE,
    checkpoint,
    event,
)
from fakeai_proxy.services.job import Job, Work
from fakeai_proxy.services.tuned import model_insert, written
from fakeai_proxy.services.webhooks import EventType
from fakeai_proxy.store import Insert, Key, Row, Write

# How long it takes at a pace of 1. The vendor says "minutes or hours, depending on size and load"
# (platform.openai.com/docs/guides/supervised-fine-tuning); these are chosen so that a small job is a
# coffee break of a test, and bounded so that none takes more than half an hour. Illustrative.
QUEUE_S = 5.0
TOKENS_PER_S = 5_000.0
TRAINING_S_MIN, TRAINING_S_MAX = 30.0, 1800.0
#: Commits of a training on the way, so that its events come as it goes; one an epoch at least.
TICKS = 20
#: Events with metrics that one job tells; of longer trainings every so many steps are told.
METRICS_EVENTS_MAX = 500

_ENDS: Mapping[str, EventType] = {
    "succeeded": "fine_tuning.job.succeeded", "failed": "fine_tuning.job.failed",
}  # fmt: skip
RESULTS_NAME = "step_metrics.csv"


class _Training:
    """One step of one job, from its row."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.key: Key = work.row.key
        self.now = work.clock.wall()
        self.document: dict[str, Any] = dict(work.row.document)
        self.state: dict[str, Any] = dict(self.document[PRIVATE])
        self.writes: list[Write] = []

    def tell(
        self, salt: str | int, message: str, *, level: str = "info",
        data: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.writes.append(
            event(self.work.dice, self.key, salt, self.now, message, level=level, data=data)
        )

    def after(self, model_s: float) -> float:
        return self.now + model_s / self.work.pace

    def whole(self) -> dict[str, Any]:
        return {**self.document, PRIVATE: self.state}

    async def later(self, due_at: float, blob: str | None = None) -> None:
        document = self.whole()

        def held(row: Row) -> Row:
            kept = row.blob if blob is None else blob
            return replace(row, document=document, due_at=due_at, owner="", blob=kept)

        await self.work.store.commit(self.work.change(held), *self.writes)

    async def end(self, status: str) -> None:
        """The job is over; whoever wants to know is told."""
        self.document |= {
            "status": status, "finished_at": int(self.now), "estimated_finish": None,
        }  # fmt: skip
        told = self.work.webhooks.announce(
            self.work.dice, self.key.parent, _ENDS[status], self.key.id, self.now
        )
        await self.work.store.commit(self.work.finish(self.whole()), *self.writes, *told)


async def run(work: Work) -> None:
    step = _Training(work)
    await _STEPS[step.document["status"]](step)


# --- validation -------------------------------------------------------------------------------------


async def _validate(job: _Training) -> None:
    with job.work.clock.hold():
        try:
            card = _card(job)
            lessons, valid = await _read(job, card)
        except BadFileError as error:
            job.document["error"] = {
                "code": error.code, "message": error.message, "param": error.param,
            }  # fmt: skip
            job.tell("failed", error.message, level="error", data={"error_code": error.code})
            await job.end("failed")
            return
        learnt = None
        if lessons.learnt:
            learnt = await job.work.store.blobs.put(written(lessons.learnt))
    _settle(job, lessons, valid, card)
    job.tell("validated", "Files validated, moving job to queued state")
    job.document["status"] = "queued"
    await job.later(job.after(QUEUE_S), None if learnt is None else learnt.name)


def _card(job: _Training) -> ModelCard:
    """Of the model that it begins with, or of the one that was tuned from. Raises BadFileError."""
    card = job.work.catalogue.find(job.state["base"])
    if card is None:
        message = f"The model {job.state['base']} is not served any longer."
        raise BadFileError("model_not_available", "model", message)
    return card


async def _read(job: _Training, card: ModelCard) -> tuple[Lessons, Lessons | None]:
    """What the files teach. Raises BadFileError."""
    method = job.document["method"]["type"]
    if card.kind == "completion":
        method = "completion"
    tokens = await asyncio.to_thread(Tokens.load, card.vocabulary)
    reader = Reader(method, tokens, card.context_tokens, frozenset(job.state["item_names"]))
    found: list[Lessons | None] = []
    for param in ("training_file", "validation_file"):
        file_id = job.document[param]
        found.append(None if file_id is None else await _read_file(job, reader, param, file_id))
    training, valid = found
    assert training is not None, "a job has a training file"
    return training, valid


async def _read_file(job: _Training, reader: Reader, param: str, file_id: str) -> Lessons:
    store = job.work.store
    row = await store.get(Key(FILES.kind, file_id, job.key.parent))
    if row is None or row.blob is None:
        raise BadFileError(f"invalid_{param}", param, f"The file {file_id} was deleted.")
    blob = row.blob

    def read() -> Lessons:
        with store.blobs.open_file(blob) as file:
            return reader.read(file, param)

    return await asyncio.to_thread(read)


def _settle(job: _Training, lessons: Lessons, valid: Lessons | None, card: ModelCard) -> None:
    """The numbers of the training, now that the size of its data is known."""
    method = job.document["method"]
    kind = method["type"]
    settings = resolved(job.state["hyperparameters"], lessons.examples, card.id)
    job.document["method"] = {"type": kind, kind: {**method[kind], "hyperparameters": settings}}
    job.document["hyperparameters"] = {
        name: settings[name] for name in ("n_epochs", "batch_size", "learning_rate_multiplier")
    }
    epochs = settings["n_epochs"]
    steps = max(epochs, math.ceil(lessons.examples / settings["batch_size"]) * epochs)
    trained_tokens = lessons.tokens * epochs
    job.state |= {
        "examples": lessons.examples,
        "trained_tokens": trained_tokens,
        "training_s": min(max(trained_tokens / TOKENS_PER_S, TRAINING_S_MIN), TRAINING_S_MAX),
        "step": 0,
        "is_started": False,
        "curve": {
            "method": kind,
            "key": f"{job.document['seed']}:{lessons.digest}",
            "steps": steps,
            "epochs": epochs,
            "batch_size": settings["batch_size"],
            "rate": settings["learning_rate_multiplier"],
            "has_validation": valid is not None,
        },
    }


# --- training ---------------------------------------------------------------------------------------


async def _begin(job: _Training) -> None:
    job.document["status"] = "running"
    # A job that was paused goes on where it was.
    if not job.state["is_started"]:
        job.state["is_started"] = True
        job.tell("started", "Fine-tuning job started")
    curve, done = Curve.of(job.state["curve"]), job.state["step"]
    left = 1 - done / curve.steps
    job.document["estimated_finish"] = int(job.after(job.state["training_s"] * left))
    await job.later(
        job.after(job.state["training_s"] * (_next_mark(job, curve) - done) / curve.steps)
    )


def _next_mark(job: _Training, curve: Curve) -> int:
    """The step after which there is something to commit; where time does not pass, the ends of epochs
    alone."""
    done: int = job.state["step"]
    ends = curve.epoch_ends()
    coming = next(end for end in ends if end > done)
    if math.isinf(job.work.pace):
        return coming
    tick = max(1, curve.steps // TICKS)
    return min(coming, (done // tick + 1) * tick)


async def _train(job: _Training) -> None:
    curve = Curve.of(job.state["curve"])
    before, mark = job.state["step"], _next_mark(job, curve)
    is_end = mark in curve.epoch_ends()
    with job.work.clock.hold():
        # Twenty microseconds a step, of a few hundred steps.
        await asyncio.to_thread(_tell_steps, job, curve, before, mark)
    job.state["step"] = mark
    if is_end:
        _add_checkpoint(job, curve, mark)
    if mark >= curve.steps:
        await _succeed(job, curve)
        return
    share = (_next_mark(job, curve) - mark) / curve.steps
    await job.later(job.after(job.state["training_s"] * share))


def _tell_steps(job: _Training, curve: Curve, before: int, mark: int) -> None:
    every = -(-curve.steps // METRICS_EVENTS_MAX)
    ends = set(curve.epoch_ends())
    for step in range(before + 1, mark + 1):
        if step % every and step not in ends and step != 1:
            continue
        full = step in ends and curve.has_validation
        metrics = curve.at(job.work.dice, step, full)
        job.tell(
            step, _told(curve, step, metrics),
            data={"step": step, "total_steps": curve.steps, **metrics},
        )  # fmt: skip


_WORDS = {
    "train_loss": "training loss", "valid_loss": "validation loss",
    "full_valid_loss": "full validation loss", "train_mean_reward": "training reward",
    "valid_mean_reward": "validation reward", "full_valid_mean_reward": "full validation reward",
}  # fmt: skip


def _told(curve: Curve, step: int, metrics: Mapping[str, float]) -> str:
    said = [f"{words}={metrics[name]:.2f}" for name, words in _WORDS.items() if name in metrics]
    return f"Step {step}/{curve.steps}: {', '.join(said)}"


def _model_name(job: _Training) -> str:
    suffix = job.document["user_provided_suffix"] or ""
    # The id of a model is short, and the same however often the last step is tried.
    unique = job.work.dice.text_id(job.key.id, "fine-tuned model", length=8)
    return f"ft:{job.state['base']}:{ORGANIZATION}:{job.state['suffix'] if suffix else ''}:{unique}"


def _add_checkpoint(job: _Training, curve: Curve, step: int) -> None:
    name = _model_name(job)
    if step < curve.steps:
        name = f"{name}:ckpt-step-{step}"
    metrics = curve.at(job.work.dice, step, curve.has_validation)
    job.writes += [
        checkpoint(job.work.dice, job.key, step, job.now, name, metrics),
        model_insert(
            job.key.parent, name, job.state["base"], job.key.id, int(job.now), job.work.row.blob
        ),
    ]
    job.tell(f"checkpoint {step}", f"Checkpoint created at step {step} with Snapshot ID: {name}")


async def _succeed(job: _Training, curve: Curve) -> None:
    work = job.work
    with work.clock.hold():
        blob = await work.store.blobs.put(csv(curve, work.dice))
    file_id = FILES.prefix + work.dice.text_id(job.key.id, "results", length=24)
    begun = Row(
        Key(FILES.kind, file_id, job.key.parent),
        {"id": file_id, "object": FILES.object, "created_at": int(job.now)},
        job.now,
    )
    job.writes.append(Insert(file_row(begun, RESULTS_NAME, "fine-tune-results", blob)))
    name = _model_name(job)
    job.document |= {
        "fine_tuned_model": name,
        "result_files": [file_id],
        "trained_tokens": job.state["trained_tokens"],
    }
    trained = metering.training(name, job.state["trained_tokens"])
    job.writes += metering.tallies([trained], job.now, Admission(), project=job.key.parent)
    job.tell("model", f"New fine-tuned model created: {name}")
    job.tell("completed", "The job has successfully completed")
    await job.end("succeeded")


_STEPS: Mapping[str, Callable[[_Training], Awaitable[None]]] = {
    "validating_files": _validate, "queued": _begin, "running": _train,
}  # fmt: skip

TRAINING = Job(kind=JOBS.kind, run=run)
