"""The control routes of the faults: which rules are in force, and others in their place."""

from __future__ import annotations

from collections import Counter
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from fakeai_proxy import errors
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.observe.pages import Answer, Call, Route
from fakeai_proxy.shaping.faults.faults import Faults
from fakeai_proxy.shared.commons import Commons

PATH = "/_fakeai/v1/faults"
#: Rules in one request.
RULES_MAX = 1_000


class OneRule(BaseModel):
    """A text as --fault takes it, or a table as a file has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: str | dict[str, Any] = Field(description="`cut:after=20`, or a table with the key fault.")


class AllRules(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: list[str | dict[str, Any]] = Field(max_length=RULES_MAX, description="In their order.")


def fault_routes(faults: Faults, commons: Commons) -> tuple[Route, ...]:
    commons.offer("faults", lambda: {rule.id: rule.applied for rule in faults.rules})

    async def page(call: Call) -> Answer:
        applied: Counter[str] = Counter()
        for counted in await commons.gather("faults"):
            applied.update(counted)
        rules = [{**told, "applied": applied[str(told["id"])]} for told in faults.list()]
        return Answer({"object": "list", "data": rules})

    def add(call: Call) -> Answer:
        try:
            rule = faults.add(call.body.rule)
        except ConfigError as error:
            raise errors.bad_parameter("rule", "invalid_fault", str(error)) from None
        return Answer(faults.told(rule), 201)

    def replace(call: Call) -> Answer:
        try:
            faults.replace(call.body.rules)
        except ConfigError as error:
            raise errors.bad_parameter("rules", "invalid_fault", str(error)) from None
        return Answer({"object": "list", "data": faults.list()})

    def remove(call: Call) -> Answer:
        wanted = call.params["id"]
        if not faults.remove(wanted):
            raise errors.no_such_fault(errors.shown(wanted))
        return Answer({"id": wanted, "deleted": True})

    def clear(call: Call) -> Answer:
        cleared = len(faults.rules)
        faults.replace([])
        return Answer({"cleared": cleared})

    return (
        Route("GET", PATH, page, "The rules in force, and how often each was applied."),
        Route("POST", PATH, add, "One more rule.", body=OneRule),
        Route("PUT", PATH, replace, "These rules in place of all others.", body=AllRules),
        Route("DELETE", PATH, clear, "No faults any more."),
        Route("DELETE", f"{PATH}/{{id}}", remove, "Without this rule."),
    )
