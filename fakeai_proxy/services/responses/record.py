"""A response that was made: the document that the store keeps of it, and what it looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fakeai_proxy.exchange import Admission
from fakeai_proxy.services.answer.cached import cached_tokens
from fakeai_proxy.services.answer.reasoning import reasons
from fakeai_proxy.services.items.history import Item
from fakeai_proxy.services.items.listing import with_ids
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.responses import rules, tools
from fakeai_proxy.services.responses.output import Output, Work
from fakeai_proxy.services.responses.plan import Plan

_TIERS = {
    "flex": "flex", "priority": "priority", "scale": "scale", "fast": "fast",
    "ultrafast": "ultrafast",
}  # fmt: skip
DONE = ("completed", "incomplete")


@dataclass(slots=True)
class Record:
    """`document` has the whole object of the API as it is in the end (`shown`), the `status` that it
    has so far, the `input` with its ids, and what the stream of it takes to be told again."""

    document: dict[str, Any]
    outputs: list[Output]
    plan: Plan | None = None

    @property
    def id(self) -> str:
        return str(self.document["shown"]["id"])

    @property
    def output(self) -> list[Item]:
        items: list[Item] = self.document["shown"]["output"]
        return items

    @property
    def background(self) -> bool:
        return bool(self.document["shown"]["background"])

    def shown(self, status: str) -> dict[str, Any]:
        return shown(self.document, status)

    def finish(self, admission: Admission, now: float) -> None:
        """The last token is out, `now` in seconds since the epoch."""
        whole = self.document["shown"]
        if self.plan is not None:
            read = len(self.plan.prompt)
            cached = cached_tokens(self.plan.card, admission, read)
            written, thought = self.plan.output_tokens, self.plan.reasoning_tokens
            whole["usage"] = usage_of(read, written, cached, thought)
        if whole["status"] == "completed" and whole["completed_at"] is None:
            whole["completed_at"] = int(now)
        self.document["status"] = whole["status"]


def shown(document: Mapping[str, Any], status: str = "") -> dict[str, Any]:
    """The object of the API at its status, or at another one."""
    whole: dict[str, Any] = document["shown"]
    status = status or document["status"]
    if status in DONE:
        return whole
    return {
        **whole, "status": status, "completed_at": None, "incomplete_details": None, "output": [],
        "service_tier": document["tier"], "usage": None,
    }  # fmt: skip


def _shown(
    call: Call, plan: Plan, name: str, output: list[Item], offered: list[dict[str, Any]]
) -> dict[str, Any]:
    """As it is in the end, but for the instant and the tokens that were cached."""
    request = plan.request
    conversation = plan.read.before.conversation
    reasoning = request.reasoning
    effort = "medium" if reasons(plan.card.id) else None
    verbosity = (request.text.verbosity if request.text else None) or "medium"
    return {
        "id": name,
        "object": "response",
        "created_at": call.created,
        "status": "completed" if plan.ended else "incomplete",
        "background": bool(request.background),
        "completed_at": None,
        "error": None,
        "incomplete_details": None if plan.ended else {"reason": "max_output_tokens"},
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": request.max_tool_calls,
        "model": plan.card.id,
        "output": output,
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "conversation": None if conversation is None else {"id": conversation.id},
        "previous_response_id": request.previous_response_id,
        "prompt_cache_key": request.prompt_cache_key,
        "prompt_cache_retention": (request.prompt_cache_retention or "").replace("-", "_") or None,
        "reasoning": {
            "effort": (reasoning.effort if reasoning else None) or effort,
            "summary": request.summary,
        },
        "safety_identifier": request.safety_identifier,
        "service_tier": _TIERS.get(request.service_tier or "auto", "default"),
        "store": request.stored,
        "temperature": 1.0 if request.temperature is None else request.temperature,
        "text": {"format": _form(plan), "verbosity": verbosity},
        "tool_choice": _choice(request.tool_choice),
        "tools": offered,
        "top_logprobs": request.top_logprobs or 0,
        "top_p": 1.0 if request.top_p is None else request.top_p,
        "truncation": request.truncation or "disabled",
        "usage": usage_of(len(plan.prompt), plan.output_tokens, 0, plan.reasoning_tokens),
        "user": request.user,
        "metadata": request.metadata or {},
    }


def _form(plan: Plan) -> dict[str, Any]:
    text = plan.request.text
    if not (text and text.format):
        return {"type": "text"}
    form = text.format.model_dump(exclude_unset=True, by_alias=True)
    if form["type"] == "json_schema":
        return {"description": None, "strict": False, **form}
    return form


def usage_of(read: int, written: int, cached: int, thought: int) -> dict[str, Any]:
    """In tokens."""
    return {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": read + written,
    }


def record(call: Call, plan: Plan) -> Record:
    """Made from `plan` under ids of its own."""
    request = plan.request
    key = call.lasting_key if request.stored else call.id_key

    def text_id(*salt: str | int) -> str:
        return call.dice.text_id(key, *salt, length=48)

    output: list[Item] = []
    openings: dict[str, Item] = {}
    for k, part in enumerate(plan.outputs):
        last = k == len(plan.outputs) - 1
        status = "completed" if plan.ended or not last else "incomplete"
        name = f"{part.prefix}_{text_id(part.prefix, k)}"
        item = part.item(name, status)
        output.append(item)
        if isinstance(part, Work):
            opening = part.item(name, "in_progress")
            if part.answers:
                item["call_id"] = opening["call_id"] = output[-2]["call_id"]
            openings[str(k)] = opening
    offered = [_tool(tool) for tool in request.tools or ()]
    whole = _shown(call, plan, "resp_" + text_id("resp"), output, offered)
    options = request.stream_options
    document = {
        "shown": whole,
        "status": whole["status"],
        "tier": request.service_tier or "auto",
        "input": with_ids(plan.read.given, lambda k, prefix: f"{prefix}_{text_id('in', k)}"),
        "heard": plan.read.before.heard,
        "hidden": options is None or options.include_obfuscation is not False,
        "openings": openings,
    }
    return Record(document, plan.outputs, plan)


def _choice(choice: object) -> object:
    if choice is None or isinstance(choice, str):
        return choice or "auto"
    assert isinstance(choice, tools.NamedTool | tools.AllowedTools)
    return choice.model_dump(exclude_unset=True)


def _tool(tool: tools.Tool) -> dict[str, Any]:
    shown = tool.model_dump(exclude_unset=True)
    if isinstance(tool, tools.FunctionTool):
        return {"description": None, "parameters": None, **shown, "strict": rules.is_strict(tool)}
    if isinstance(tool, tools.CustomTool):
        return {"format": {"type": "text"}, **shown}
    if isinstance(tool, tools.WebSearch):
        return {"search_context_size": "medium", "user_location": None, **shown}
    # Secrets for a server are never given back.
    return {key: value for key, value in shown.items() if key not in ("authorization", "headers")}
