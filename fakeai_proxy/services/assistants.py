"""Assistants: a model with instructions and tools, kept under a name for runs to use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from fakeai_proxy.exchange import Reply
from fakeai_proxy.services import assisting
from fakeai_proxy.services.assisting import ASSISTANTS, TEXT_CHARS_MAX, shown
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.wire import Metadata, Shape
from fakeai_proxy.store import Row

_Name = Annotated[str, Field(max_length=256)]
_Description = Annotated[str, Field(max_length=512)]
_Instructions = Annotated[str, Field(max_length=TEXT_CHARS_MAX)]


class ModifyAssistantRequest(Shape):
    model: str | None = None
    name: _Name | None = None
    description: _Description | None = None
    instructions: _Instructions | None = None
    tools: assisting.Tools | None = None
    tool_resources: assisting.ToolResources | None = None
    metadata: Metadata | None = None
    temperature: assisting.Temperature | None = None
    top_p: assisting.TopP | None = None
    reasoning_effort: assisting.Effort | None = None
    response_format: assisting.ResponseFormat | None = None


class CreateAssistantRequest(ModifyAssistantRequest):
    model: str


#: What an assistant has of which nothing was said.
_DEFAULTS: Mapping[str, Any] = {
    "name": None, "description": None, "instructions": None, "tools": [], "tool_resources": {},
    "metadata": {}, "temperature": 1.0, "top_p": 1.0, "reasoning_effort": None,
    "response_format": "auto",
}  # fmt: skip


async def _said(call: Call, asked: ModifyAssistantRequest, model: str) -> dict[str, Any]:
    """What the request says, as it is kept. Raises 400 and 404."""
    assisting.check_extra(asked)
    card = call.catalogue.asked_for(call.params.get("deployment"), model, "chat")
    assisting.check_tools(asked.tools)
    assisting.check_format(asked.response_format)
    assisting.check_effort(asked.reasoning_effort, card)
    said: dict[str, Any] = {}
    for name in asked.model_fields_set & _DEFAULTS.keys():
        value = getattr(asked, name)
        said[name] = _DEFAULTS[name] if value is None else shown(value)
    if asked.tools is not None:
        said["tools"] = assisting.shown_tools(asked.tools)
    if asked.tool_resources is not None:
        said["tool_resources"] = await assisting.shown_resources(call, asked.tool_resources)
    return {**said, "model": model}


async def create_assistant(call: Call) -> Reply:
    asked: CreateAssistantRequest = call.body
    said = await _said(call, asked, asked.model)
    row = await ASSISTANTS.insert(call, lambda row: row.merged(**{**_DEFAULTS, **said}))
    return ASSISTANTS.reply(call, row)


async def modify_assistant(call: Call) -> Reply:
    asked: ModifyAssistantRequest = call.body
    model = asked.model
    if model is None:
        model = (await ASSISTANTS.row(call)).document["model"]
    said = await _said(call, asked, model)
    if asked.model is None:
        del said["model"]

    def change(row: Row) -> Row:
        return replace(row, document={**row.document, **said})

    return ASSISTANTS.reply(call, await ASSISTANTS.changed(call, change))


OPERATIONS = assisting.entered(
    (
        Operation("createAssistant", "POST", "/assistants", create_assistant,
                  CreateAssistantRequest, threaded=True),
        *ASSISTANTS.operations(
            list="listAssistants", retrieve="getAssistant", delete="deleteAssistant"
        ),
        Operation("modifyAssistant", "POST", "/assistants/{assistant_id}", modify_assistant,
                  ModifyAssistantRequest, threaded=True),
    )
)  # fmt: skip
