"""What a response costs its caller: its tokens, and what its tools did."""

from __future__ import annotations

from collections import Counter

from fakeai_proxy.exchange import Usage
from fakeai_proxy.services import metering
from fakeai_proxy.services.responses.output import Work
from fakeai_proxy.services.responses.plan import Plan

#: Items of an output that are billed by the piece.
_SEARCHES = {
    "web_search_call": metering.WEB_SEARCHES,
    "file_search_call": metering.FILE_SEARCHES,
}


def billed(plan: Plan) -> tuple[Usage, ...]:
    request = plan.request
    made = [
        metering.completion(
            plan.card, len(plan.prompt), plan.output_tokens, tier=request.service_tier
        )
    ]
    done = Counter(part.kind for part in plan.outputs if isinstance(part, Work))
    made += [
        metering.searches(kind, plan.card, done[item])
        for item, kind in _SEARCHES.items()
        if done[item]
    ]
    if done["code_interpreter_call"]:
        made.append(metering.session())
    return tuple(made)
