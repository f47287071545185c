"""The steps of a run, as clients read them."""

from __future__ import annotations

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.threads.kinds import STEPS, step_shown
from fakeai_proxy.services.wire import json_reply

CONTENT = "step_details.tool_calls[*].file_search.results[*].content"


def with_content(call: Call) -> bool:
    """Whether the client asks for what searches have read. Raises 400."""
    asked = call.queried("include")
    for k, one in enumerate(asked):
        if one != CONTENT:
            raise errors.invalid_value(f"include[{k}]", one, [CONTENT])
    return bool(asked)


async def list_run_steps(call: Call) -> Reply:
    wanted = with_content(call)
    page = await STEPS.page(call)
    return json_reply(
        {
            "object": "list",
            "data": [step_shown(row.document, wanted) for row in page.rows],
            "first_id": page.rows[0].key.id if page.rows else None,
            "last_id": page.rows[-1].key.id if page.rows else None,
            "has_more": page.has_more,
        }
    )


async def get_run_step(call: Call) -> Reply:
    wanted = with_content(call)
    return json_reply(step_shown((await STEPS.row(call)).document, wanted))


OPERATIONS = (
    Operation("listRunSteps", "GET", STEPS.path, list_run_steps),
    Operation("getRunStep", "GET", f"{STEPS.path}/{{step_id}}", get_run_step),
)
