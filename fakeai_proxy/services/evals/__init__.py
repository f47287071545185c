"""Evals: data, what is asked about it, and graders of the answers; a run asks and grades."""

from __future__ import annotations

from fakeai_proxy.services.evals import service
from fakeai_proxy.services.evals.record import EVALS, ITEMS, RUNS
from fakeai_proxy.services.evals.running import RUNNING
from fakeai_proxy.services.evals.wire import (
    CreateEvalRequest,
    CreateRunRequest,
    UpdateEvalRequest,
)
from fakeai_proxy.services.operation import Operation

_EVAL = "/evals/{eval_id}"
_RUN = RUNS.path + "/{run_id}"
JOBS = (RUNNING,)
OPERATIONS = (
    Operation("createEval", "POST", EVALS.path, service.create_eval, CreateEvalRequest),
    Operation("listEvals", "GET", EVALS.path, service.list_evals),
    *EVALS.operations(retrieve="getEval"),
    Operation("updateEval", "POST", _EVAL, service.update_eval, UpdateEvalRequest),
    Operation("deleteEval", "DELETE", _EVAL, service.delete_eval),
    Operation("createEvalRun", "POST", RUNS.path, service.create_run, CreateRunRequest),
    *RUNS.operations(list="getEvalRuns", retrieve="getEvalRun"),
    # The API's description has it at the run itself, the SDK below it.
    Operation("cancelEvalRun", "POST", _RUN, service.cancel_run),
    Operation("cancelEvalRunBelow", "POST", _RUN + "/cancel", service.cancel_run),
    Operation("deleteEvalRun", "DELETE", _RUN, service.delete_run),
    *ITEMS.operations(list="getEvalRunOutputItems", retrieve="getEvalRunOutputItem"),
)
