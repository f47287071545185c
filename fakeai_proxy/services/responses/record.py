"""A response that was made: what is remembered of it, and what it looks like at an instant."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from fakeai_proxy.exchange import Admission
from fakeai_proxy.services.answer.cached import cached_tokens
from fakeai_proxy.services.answer.reasoning import reasons
from fakeai_proxy.services.items.history import ITEM, History, Item
from fakeai_proxy.services.items.listing import with_ids
from fakeai_proxy.services.items.memory import Memory
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.responses import rules, tools
from fakeai_proxy.services.responses.output import Work
from fakeai_proxy.services.responses.plan import RESPONSE, Plan

#: In the background: seconds in the queue, and output tokens a second afterwards. Illustrative, of
#: the size that a hosted model of medium size has.
QUEUED_S, TOKENS_PER_S = 1, 100
_TIERS = {
    "flex": "flex", "priority": "priority", "scale": "scale", "fast": "fast",
    "ultrafast": "ultrafast",
}  # fmt: skip
#: What an id or a field costs besides its text.
_OVERHEAD_BYTES = 2048
#: What a token of an answer costs while its plan is kept: an id and two forms of its text.
_PLANNED_TOKEN_BYTES = 64


@dataclass(slots=True)
class Record:
    """`items` are the input and `output` the answer, both with their ids."""

    id: str
    created: int
    plan: Plan
    items: list[Item]
    output: list[Item]
    tools: list[dict[str, Any]]
    history: History = field(default_factory=History)
    bytes: int = 0
    cached_tokens: int = 0
    completed_at: int = 0
    cancelled: bool = False

    def status_at(self, now: float) -> str:
        """`now` in seconds since the epoch."""
        final = "completed" if self.plan.ended else "incomplete"
        if self.cancelled:
            return "cancelled"
        if not self.plan.request.background or self.completed_at:
            return final
        if now < self.created + QUEUED_S:
            return "queued"
        return "in_progress" if now < self._done_at else final

    @property
    def _done_at(self) -> int:
        return self.created + QUEUED_S + self.plan.output_tokens // TOKENS_PER_S

    def shown(self, status: str) -> dict[str, Any]:
        """The whole object of the API."""
        done = status in ("completed", "incomplete")
        request = self.plan.request
        cut = {"reason": "max_output_tokens"} if status == "incomplete" else None
        completed_at = None
        if status == "completed":
            completed_at = self.completed_at or (
                self._done_at if request.background else self.created
            )
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "background": bool(request.background),
            "completed_at": completed_at,
            "error": None,
            "incomplete_details": cut,
            "instructions": request.instructions,
            "max_output_tokens": request.max_output_tokens,
            "max_tool_calls": request.max_tool_calls,
            "model": self.plan.card.id,
            "output": self.output if done else [],
            **self._asked(done),
            "usage": self.usage() if done else None,
            "user": request.user,
            "metadata": request.metadata or {},
        }

    def _asked(self, done: bool) -> dict[str, Any]:
        """What the request said, with its defaults."""
        request = self.plan.request
        tier = request.service_tier or "auto"
        reasoning = request.reasoning
        effort = "medium" if reasons(self.plan.card.id) else None
        form: dict[str, Any] = {"type": "text"}
        if request.text and request.text.format:
            form = request.text.format.model_dump(exclude_unset=True, by_alias=True)
            if form["type"] == "json_schema":
                form = {"description": None, "strict": False, **form}
        verbosity = (request.text.verbosity if request.text else None) or "medium"
        return {
            "parallel_tool_calls": request.parallel_tool_calls is not False,
            "conversation": {"id": name} if (name := self.plan.read.conversation_id) else None,
            "previous_response_id": request.previous_response_id,
            "prompt_cache_key": request.prompt_cache_key,
            "prompt_cache_retention": (request.prompt_cache_retention or "").replace("-", "_")
            or None,
            "reasoning": {
                "effort": (reasoning.effort if reasoning else None) or effort,
                "summary": request.summary,
            },
            "safety_identifier": request.safety_identifier,
            "service_tier": _TIERS.get(tier, "default") if done else tier,
            "store": request.stored,
            "temperature": 1.0 if request.temperature is None else request.temperature,
            "text": {"format": form, "verbosity": verbosity},
            "tool_choice": _choice(request.tool_choice),
            "tools": self.tools,
            "top_logprobs": request.top_logprobs or 0,
            "top_p": 1.0 if request.top_p is None else request.top_p,
            "truncation": request.truncation or "disabled",
        }

    def usage(self) -> dict[str, Any]:
        plan = self.plan
        read, written = len(plan.prompt), plan.output_tokens
        return usage_of(read, written, self.cached_tokens, plan.reasoning_tokens)

    def finished(self, admission: Admission, now: float) -> None:
        """The last token is out."""
        self.cached_tokens = cached_tokens(self.plan.card, admission, len(self.plan.prompt))
        self.completed_at = int(now)


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
    """Made from `plan` under ids of its own, and remembered if the client lets it."""
    response_id = "resp_" + _text_id(call, "resp")
    output: list[Item] = []
    for k, part in enumerate(plan.outputs):
        last = k == len(plan.outputs) - 1
        status = "completed" if plan.ended or not last else "incomplete"
        item = part.item(f"{part.prefix}_{_text_id(call, part.prefix, k)}", status)
        if isinstance(part, Work) and part.answers:
            item["call_id"] = output[-1]["call_id"]
        output.append(item)
    items = with_ids(plan.read.given, lambda k, prefix: f"{prefix}_{_text_id(call, 'in', k)}")
    offered = [_tool(tool) for tool in plan.request.tools or ()]
    made = Record(response_id, call.created, plan, items, output, offered)
    if plan.request.stored:
        _remember(call, made)
    return made


def _remember(call: Call, made: Record) -> None:
    plan = made.plan
    made.history = plan.read.history.and_then(plan.card, made.output)
    before = call.records.find(RESPONSE, plan.request.previous_response_id or "")
    sizes = {item["id"]: len(orjson.dumps(item)) for item in (*made.items, *made.output)}
    held = 4 * len(plan.prompt) + _PLANNED_TOKEN_BYTES * plan.output_tokens
    own = 2 * sum(sizes.values()) + held + _OVERHEAD_BYTES
    made.bytes = own + (before.bytes if before is not None else 0)
    call.records.keep(RESPONSE, made.id, made, made.bytes)
    for item in (*made.items, *made.output):
        call.records.keep(ITEM, item["id"], item, sizes[item["id"]])


def join(call: Call, made: Record) -> None:
    """What was said becomes part of the conversation that it was said in."""
    name = made.plan.read.conversation_id
    if name:
        Memory(call.records).append(name, [*made.items, *made.output], made.plan.card)


def forget(call: Call, made: Record) -> None:
    call.records.forget(RESPONSE, made.id)
    for item in (*made.items, *made.output):
        call.records.forget(ITEM, item["id"])


def _text_id(call: Call, *key: str | int) -> str:
    return call.dice.text_id(call.id_key, *key, length=48)


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
