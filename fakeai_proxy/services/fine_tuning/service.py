"""The operations on jobs: what is asked is checked, kept, and worked on when its row is due."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.profiles.model_card import ModelCard
from fakeai_proxy.services.catalogue import FINE_TUNED
from fakeai_proxy.services.filing import FILES
from fakeai_proxy.services.fine_tuning import wire
from fakeai_proxy.services.fine_tuning.record import (
    JOBS,
    ORGANIZATION_ID,
    OVER,
    PRIVATE,
    event,
    idle,
)
from fakeai_proxy.services.graders.checking import check_grader
from fakeai_proxy.services.graders.naming import item_names
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.tuned import model_key
from fakeai_proxy.services.wire import Shape
from fakeai_proxy.store import Row

_METADATA = re.compile(r"metadata\[(.*)\]")
_HYPERPARAMETERS: Mapping[str, type[wire.Hyperparameters]] = {
    "supervised": wire.Hyperparameters, "dpo": wire.DpoHyperparameters,
    "reinforcement": wire.ReinforcementHyperparameters,
}  # fmt: skip


async def create_job(call: Call) -> Reply:
    asked: wire.CreateJobRequest = call.body
    _refuse_unknown(asked, "")
    method = asked.method or wire.Method(type="supervised")
    base = await _base(call, asked.model)
    card = _tunable(call, asked.model, base, method.type)
    await _check_file(call, "training_file", asked.training_file)
    if asked.validation_file is not None:
        await _check_file(call, "validation_file", asked.validation_file)
    settings = _settings(asked, method)
    names: set[str] = set()
    if method.reinforcement is not None:
        check_grader(method.reinforcement.grader, "method.reinforcement.grader", call.catalogue)
        names = item_names(method.reinforcement.grader)
    tuned = asked.model if asked.model.startswith(FINE_TUNED) else base

    def make(row: Row) -> Row:
        document = {
            "object": JOBS.object, "id": row.key.id, "model": tuned,
            "created_at": row.document["created_at"], "finished_at": None,
            "fine_tuned_model": None, "organization_id": ORGANIZATION_ID, "result_files": [],
            "status": "validating_files", "validation_file": asked.validation_file,
            "training_file": asked.training_file,
            "hyperparameters": {name: settings[name] for name in wire.Hyperparameters.model_fields},
            "trained_tokens": None, "error": None, "user_provided_suffix": asked.suffix,
            "seed": _seed(call) if asked.seed is None else asked.seed, "estimated_finish": None,
            "integrations": _integrations(asked, row.key.id, tuned),
            "method": _shown(method, settings), "metadata": asked.metadata,
            PRIVATE: {
                "base": base, "hyperparameters": settings, "suffix": _slug(asked.suffix),
                "item_names": sorted(names), "vocabulary": card.vocabulary,
            },
        }  # fmt: skip
        made = replace(row, document=document, due_at=call.wall())
        return replace(made, tags=_tags(asked.metadata))

    def also(row: Row) -> list[Any]:
        files = f"training file: {asked.training_file}"
        if asked.validation_file is not None:
            files += f" and validation file: {asked.validation_file}"
        told = (f"Created fine-tuning job: {row.key.id}", f"Validating {files}")
        return [
            event(call.dice, row.key, f"created {place}", call.wall(), message)
            for place, message in enumerate(told)
        ]

    row = await JOBS.insert(call, make, also)
    call.dispatch(row.key)
    return JOBS.reply(call, row)


def _refuse_unknown(shape: Shape, path: str) -> None:
    """Raises 400."""
    for name in shape.model_extra or ():
        raise errors.unknown_parameter(path + name[:100])
    for name in type(shape).model_fields:
        inner = getattr(shape, name)
        if isinstance(inner, wire.Method | wire.Supervised | wire.Dpo | wire.Hyperparameters):
            _refuse_unknown(inner, f"{path}{name}.")


async def _base(call: Call, name: str) -> str:
    """The dated model that a name stands for, or that a user's model was made from."""
    if name.startswith(FINE_TUNED):
        row = await call.store.get(model_key(call.project, name))
        if row is not None:
            return str(row.document["base"])
    card = call.catalogue.find(name)
    return name if card is None else card.snapshot or card.id


def _tunable(call: Call, name: str, base: str, method: str) -> ModelCard:
    """Raises 400."""
    card = call.catalogue.find(base)
    if card is None or not card.can("fine_tuning"):
        raise errors.not_tunable(name)
    able = {
        "supervised": not card.reasoning,
        "dpo": not card.reasoning and card.kind == "chat" and card.can("structured_outputs"),
        "reinforcement": card.reasoning,
    }
    if not able[method]:
        raise errors.method_not_of_model(method, name)
    return card


async def _check_file(call: Call, param: str, file_id: str) -> None:
    """Raises 400."""
    row = await call.store.get(FILES.key(call, file_id))
    if row is None:
        raise errors.invalid_tuning_file(param, file_id)
    if row.document["purpose"] != "fine-tune":
        raise errors.wrong_tuning_purpose(param, file_id, row.document["purpose"])


def _settings(asked: wire.CreateJobRequest, method: wire.Method) -> dict[str, Any]:
    """Hyperparameters as they were asked for. Raises 400."""
    given = getattr(method, method.type)
    if method.type == "reinforcement" and given is None:
        raise errors.missing_parameter("method.reinforcement")
    of_method = None if given is None else given.hyperparameters
    if of_method is not None and asked.hyperparameters is not None:
        raise errors.not_together("hyperparameters", "method")
    chosen = of_method or asked.hyperparameters
    values = {} if chosen is None else chosen.model_dump(exclude_unset=True)
    return _HYPERPARAMETERS[method.type](**values).model_dump()


def _shown(method: wire.Method, settings: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"hyperparameters": settings}
    if method.reinforcement is not None:
        made["grader"] = method.reinforcement.grader.model_dump(mode="json", exclude_unset=True)
    return {"type": method.type, method.type: made}


def _seed(call: Call) -> int:
    return call.dice.number(call.id_key, "fine-tuning seed") % 2**31


def _slug(suffix: str | None) -> str:
    """As it stands in a name, whose parts are separated by colons."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", suffix or "").strip("-")


def _integrations(asked: wire.CreateJobRequest, job_id: str, model: str) -> list[dict[str, Any]]:
    made = []
    for integration in asked.integrations or ():
        wandb = integration.wandb
        tags = ["openai/finetune", f"openai/{model}", f"openai/{job_id}", *(wandb.tags or ())]
        shown = {
            "project": wandb.project, "entity": wandb.entity, "name": wandb.name or job_id,
            "tags": tags, "run_id": job_id,
        }  # fmt: skip
        made.append({"type": "wandb", "wandb": shown})
    return made


# --- listing ----------------------------------------------------------------------------------------


def _tags(metadata: Mapping[str, str] | None) -> dict[str, str]:
    pairs = {f"metadata.{name}": value for name, value in (metadata or {}).items()}
    return pairs or {"metadata": "none"}


async def list_jobs(call: Call) -> Reply:
    """Those with these metadata; with none, where `metadata=null` asks for that."""
    wanted = {}
    for name, value in call.pairs:
        match = _METADATA.fullmatch(name)
        if match is not None:
            wanted[f"metadata.{match[1]}"] = value
        elif name == "metadata" and value in ("null", ""):
            wanted["metadata"] = "none"
    return JOBS.listing(call, await JOBS.page(call, wanted))


# --- stopping and going on --------------------------------------------------------------------------


async def cancel_job(call: Call) -> Reply:
    def cancelled(row: Row) -> Row:
        if row.document["status"] in OVER:
            raise errors.job_is_over(row.key.id)
        ended = {"status": "cancelled", "finished_at": call.created, "estimated_finish": None}
        return idle(row.merged(**ended))

    key = JOBS.key(call)
    told = call.webhooks.announce(
        call.dice, call.project, "fine_tuning.job.cancelled", key.id, call.wall()
    )
    row = await JOBS.changed(
        call, cancelled, also=(*told, _told(call, "cancelled", "Fine-tuning job cancelled"))
    )
    for one in told:
        call.dispatch(one.row.key)
    return JOBS.reply(call, row)


async def pause_job(call: Call) -> Reply:
    def paused(row: Row) -> Row:
        status = row.document["status"]
        if status != "running":
            raise errors.job_not_pausable(status)
        return idle(row.merged(status="paused", estimated_finish=None))

    row = await JOBS.changed(call, paused, also=(_told(call, "paused", "Fine-tuning job paused"),))
    return JOBS.reply(call, row)


async def resume_job(call: Call) -> Reply:
    now = call.wall()

    def resumed(row: Row) -> Row:
        status = row.document["status"]
        if status != "paused":
            raise errors.job_not_paused(status)
        return replace(row.merged(status="queued"), due_at=now)

    row = await JOBS.changed(
        call, resumed, also=(_told(call, "resumed", "Fine-tuning job resumed"),)
    )
    call.dispatch(row.key)
    return JOBS.reply(call, row)


def _told(call: Call, what: str, message: str) -> Any:
    """Its salt is this call's: a job may be paused often."""
    return event(
        call.dice, JOBS.key(call), f"{what} {call.id_key.hex()} {call.wall()}", call.wall(), message
    )
