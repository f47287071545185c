"""What is kept of evals, their runs and what came of every item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.services.resources import Resource
from fakeai_proxy.store import Row

#: Members of a run that clients do not see.
PRIVATE = "work"
GOING = ("queued", "in_progress")


def _show(row: Row, now: float) -> Mapping[str, Any]:
    return {
        name: value for name, value in row.document.items() if name not in (PRIVATE, "updated_at")
    }


EVALS = Resource(
    kind="eval",
    object="eval",
    prefix="eval_",
    path="/evals",
    param="eval_id",
    missing=errors.no_such_eval,
    show=_show,
    id_length=32,
    ascending=True,
)
RUNS = Resource(
    kind="eval.run",
    object="eval.run",
    prefix="evalrun_",
    path="/evals/{eval_id}/runs",
    param="run_id",
    missing=errors.no_such_eval_run,
    within=EVALS,
    show=_show,
    id_length=32,
    ascending=True,
    filters={"status": "status"},
)
ITEMS = Resource(
    kind="eval.run.output_item",
    object="eval.run.output_item",
    prefix="outputitem_",
    path="/evals/{eval_id}/runs/{run_id}/output_items",
    param="output_item_id",
    missing=errors.no_such_output_item,
    within=RUNS,
    id_length=32,
    ascending=True,
    filters={"status": "status"},
)


def moved(row: Row, status: str) -> Row:
    """A run in another status, by which it is found."""
    return replace(row.merged(status=status), tags={"status": status})
