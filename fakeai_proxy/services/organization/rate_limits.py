"""The rate limits of a project: what its organization's tier grants, and what was set for it alone.

What was set is in force for the project wherever its keys are used; a tier's figures are in force where
the server was started with limits.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any

from pydantic import Field

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.profiles.limits import load_limits
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.keyring import LIMIT, LIMIT_AMOUNTS
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.organization.audit import entry
from fakeai_proxy.services.organization.managed import Strict
from fakeai_proxy.services.organization.projects import PROJECTS, open_project
from fakeai_proxy.services.paging import envelope, limit_of
from fakeai_proxy.services.wire import json_reply
from fakeai_proxy.store import Change, Exists, Insert, Key, Row

_PREFIX = "rl_"
_LIMIT, _LIMIT_MAX = 100, 1000
_Amount = Annotated[int, Field(ge=1, le=10**12)]
_MISSING = errors.no_such("rate limit")


class UpdateRequest(Strict):
    max_requests_per_1_minute: _Amount | None = None
    max_tokens_per_1_minute: _Amount | None = None
    max_images_per_1_minute: _Amount | None = None
    max_requests_per_1_day: _Amount | None = None
    max_audio_megabytes_per_1_minute: _Amount | None = None
    batch_1_day_max_input_tokens: _Amount | None = None


@lru_cache(maxsize=1)
def _tier() -> tuple[tuple[str, Mapping[str, float]], ...]:
    profile, tier = load_limits("openai")
    return tuple((row.model, row.amounts) for row in profile.rows(tier))


def _granted(model: str) -> dict[str, int]:
    """By the default tier of the vendor: for each amount, the first row that fits."""
    found: dict[str, float] = {}
    for pattern, amounts in _tier():
        if fnmatch.fnmatchcase(model, pattern):
            found = {**amounts, **found}
    return {name: int(found[amount]) for name, amount in LIMIT_AMOUNTS.items() if amount in found}


def _models(call: Call) -> list[ModelCard]:
    return [card for card in call.catalogue if card.is_openai]


async def _set(call: Call) -> dict[str, Row]:
    """What was set for the project, by the id of the limit."""
    path = PROJECTS.key(call).path
    page = await call.store.page(LIMIT, path, limit=_LIMIT_MAX)
    return {row.key.id: row for row in page.rows}


def _shown(model: str, row: Row | None) -> dict[str, Any]:
    usual = {"max_requests_per_1_minute": 0, "max_tokens_per_1_minute": 0}
    return {
        "object": "project.rate_limit", "id": _PREFIX + model, "model": model,
        **usual, **_granted(model), **({} if row is None else row.document["amounts"]),
    }  # fmt: skip


async def list_rate_limits(call: Call) -> Reply:
    await PROJECTS.row(call)
    changed = await _set(call)
    every = [_shown(card.id, changed.get(_PREFIX + card.id)) for card in _models(call)]
    ids = [one["id"] for one in every]
    after, before = call.query.get("after", ""), call.query.get("before", "")
    for cursor in (after, before):
        if cursor and cursor not in ids:
            raise _MISSING(cursor)
    start = ids.index(after) + 1 if after else 0
    end = ids.index(before) if before else len(ids)
    most = limit_of(call.query.get("limit") or None, _LIMIT, _LIMIT_MAX)
    backwards = bool(before) and not after
    some = every[start:end]
    shown = some[-most:] if backwards else some[:most]
    return json_reply(envelope(shown, has_more=len(some) > most))


async def update_rate_limit(call: Call) -> Reply:
    project = open_project(await PROJECTS.row(call))
    limit_id = call.params["rate_limit_id"]
    model = limit_id.removeprefix(_PREFIX)
    if limit_id == model or all(card.id != model for card in _models(call)):
        raise _MISSING(limit_id)
    amounts = call.body.model_dump(exclude_none=True)
    for name in amounts:
        if name not in LIMIT_AMOUNTS:
            raise errors.bad_parameter(
                name, "invalid_value", f"'{name}' is not a limit of the model '{model}'."
            )
    key = project.key.child(LIMIT, limit_id)
    told = entry(
        call, "rate_limit.updated", {"id": limit_id, "changes_requested": amounts},
        project.document,
    )  # fmt: skip
    return json_reply(_shown(model, await _kept(call, key, model, amounts, told)))


async def _kept(
    call: Call, key: Key, model: str, amounts: Mapping[str, int], told: Insert
) -> Row | None:
    def changed(row: Row) -> Row:
        return row.merged(amounts={**row.document["amounts"], **amounts})

    if await call.store.get(key) is None:
        row = Row(key, {"model": model, "amounts": amounts}, call.wall())
        try:
            return (await call.store.commit(Insert(row), told))[0]
        except Exists:  # somebody else set it at the same time
            pass
    return (await call.store.commit(Change(key, changed), told))[0]


_PATH = "/organization/projects/{project_id}/rate_limits"
OPERATIONS = (
    Operation("list-project-rate-limits", "GET", _PATH, list_rate_limits),
    Operation(
        "update-project-rate-limits", "POST", _PATH + "/{rate_limit_id}", update_rate_limit,
        UpdateRequest,
    ),
)  # fmt: skip
