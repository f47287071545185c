"""What a request must obey beyond its shape; each rule raises the vendor's error.

Sources: platform.claude.com/docs/en/api/errors and /api/versioning; messages as issues of public
projects quote them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.errors import ApiError
from fakeai_proxy.generate.strict_schema import SchemaError
from fakeai_proxy.generate.structured import Schema
from fakeai_proxy.services.claude import Traits, traits_of
from fakeai_proxy.services.messages import wire
from fakeai_proxy.services.messages.words import invalid

VERSIONS = ("2023-01-01", "2023-06-01", "2026-10-21")
#: From here on sampling parameters are gone.
_WITHOUT_SAMPLING = "2026-10-21"
_SAMPLING = ("temperature", "top_p", "top_k")
_DOCS = "https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
_LISTED_MAX = 8


def check_version(version: str) -> None:
    if not version:
        raise invalid("anthropic-version", "header is required")
    if version not in VERSIONS:
        raise invalid("anthropic-version", f'"{version[:100]}" is not a valid version')


def check_for_version(request: wire.Asking, version: str) -> None:
    """What the version that the client speaks has no longer."""
    if version != _WITHOUT_SAMPLING:
        return
    for name in _SAMPLING:
        if getattr(request, name, None) is not None:
            raise invalid(name, "Extra inputs are not permitted")
    for k, message in enumerate(request.messages):
        for j, block in enumerate(message.blocks):
            path = f"messages.{k}.content.{j}"
            if message.role == "assistant" and isinstance(block, wire.DocumentBlock):
                raise invalid(path, "`document` blocks are not permitted in assistant messages")
            if message.role == "user" and isinstance(block, wire.TextBlock) and block.citations:
                raise invalid(f"{path}.text.citations", "Extra inputs are not permitted")


def check(request: wire.Asking, model: str) -> None:
    """Raises ApiError."""
    traits = traits_of(model)
    if request.thread is not None:
        raise ApiError(
            400,
            "thread: this request cannot be threaded",
            detail={
                "details": {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
            },
        )
    _messages(request)
    _wiring(request.messages)
    _last(request, traits)
    _tools(request, traits)
    _thinking(request, traits)
    _format(request)


def check_answer(request: wire.MessagesRequest, model: str, most: int) -> None:
    """What is asked of the answer. Raises ApiError."""
    if request.max_tokens > most:
        raise invalid(
            "max_tokens",
            f"{request.max_tokens} > {most}, which is the maximum allowed number of output tokens "
            f"for {model}",
        )
    traits = traits_of(model)
    temperature = request.temperature
    if temperature is not None and not 0 <= temperature <= 1:
        raise invalid("temperature", "range: 0..1")
    if not traits.sampling:
        for name, usual in zip(_SAMPLING, (1, 1, None), strict=True):
            if getattr(request, name) not in (None, usual):
                raise errors.bad_request(f"`{name}` is deprecated for this model.")
    for end in request.stop_sequences or ():
        if not end.strip():
            raise invalid("stop_sequences", "each stop sequence must contain non-whitespace")
    if isinstance(request.thinking, wire.ManualThinking):
        _manual(request, request.thinking)


def _manual(request: wire.MessagesRequest, thinking: wire.ManualThinking) -> None:
    consult = f"Please consult our documentation at {_DOCS}"
    if request.max_tokens <= thinking.budget_tokens:
        raise errors.bad_request(
            "`max_tokens` must be greater than `thinking.budget_tokens`. "
            f"{consult}#max-tokens-and-context-window-size"
        )
    refused = (
        (request.temperature not in (None, 1), "`temperature` may only be set to 1"),
        (request.top_k is not None, "`top_k` must be unset"),
        (request.top_p is not None and request.top_p < 0.95,
         "`top_p` must be greater than or equal to 0.95 or unset"),
    )  # fmt: skip
    for wrong, words in refused:
        if wrong:
            raise errors.bad_request(f"{words} when thinking is enabled. {consult}")


# --- messages --------------------------------------------------------------------------------------


def _messages(request: wire.Asking) -> None:
    messages = request.messages
    if not messages:
        raise invalid("messages", "at least one message is required")
    first = next((message for message in messages if message.role != "system"), None)
    if first is None or first.role != "user":
        raise invalid("messages", 'first message must use the "user" role')
    for block in wire.blocks_of(request.system) if isinstance(request.system, list) else ():
        if not block.text:
            raise invalid("system", "text content blocks must be non-empty")
    for k, message in enumerate(messages):
        final = k == len(messages) - 1 and message.role == "assistant"
        if not message.content and not final:
            raise invalid(
                f"messages.{k}",
                "all messages must have non-empty content except for the optional final assistant "
                "message",
            )
        for block in message.blocks if isinstance(message.content, list) else ():
            if isinstance(block, wire.TextBlock) and not block.text:
                raise invalid("messages", "text content blocks must be non-empty")


def _last(request: wire.Asking, traits: Traits) -> None:
    """An answer that the client has begun."""
    last = request.messages[-1]
    if last.role != "assistant":
        return
    if not traits.prefill:
        raise errors.bad_request(
            "This model does not support assistant message prefill. The conversation must end with "
            "a user message."
        )
    blocks = last.blocks
    text = blocks[-1].text if blocks and isinstance(blocks[-1], wire.TextBlock) else ""
    if text != text.rstrip():
        raise invalid("messages", "final assistant content cannot end with trailing whitespace")


def _wiring(messages: Sequence[wire.Message]) -> None:
    """Every result answers a use in the turn before, and every use is answered in the turn after.
    Messages of one role in a row are one turn."""
    waiting: dict[str, None] = {}
    caller, turn = 0, ""
    answered: set[str] = set()
    seen: set[str] = set()
    for k, message in enumerate(messages):
        if message.role == "system":
            continue
        if message.role != turn:
            if turn == "user" and waiting:
                raise _unanswered(caller, waiting)
            turn = message.role
            answered = set()
            if turn == "assistant":
                waiting = {}
        for j, block in enumerate(message.blocks):
            path = f"messages.{k}.content.{j}"
            if isinstance(block, wire.ToolUseBlock):
                if block.id in seen:
                    raise invalid(path, "`tool_use` ids must be unique")
                seen.add(block.id)
                if turn == "assistant":
                    waiting[block.id], caller = None, k
            elif isinstance(block, wire.ToolResultBlock):
                _result(path, block.tool_use_id, waiting, answered)
    if waiting:
        raise _unanswered(caller, waiting)


def _result(path: str, name: str, waiting: dict[str, None], answered: set[str]) -> None:
    if name in answered:
        raise invalid(
            path,
            "each tool_use must have a single result. Found multiple `tool_result` blocks with id: "
            f"{name}",
        )
    if name not in waiting:
        raise invalid(
            path,
            f"unexpected `tool_use_id` found in `tool_result` blocks: {name}. Each `tool_result` "
            "block must have a corresponding `tool_use` block in the previous message.",
        )
    waiting.pop(name)
    answered.add(name)


def _unanswered(k: int, ids: dict[str, None]) -> ApiError:
    return invalid(
        f"messages.{k}",
        "`tool_use` ids were found without `tool_result` blocks immediately after: "
        f"{', '.join(list(ids)[:_LISTED_MAX])}. Each `tool_use` block must have a corresponding "
        "`tool_result` block in the next message.",
    )


# --- tools, thinking, formats ----------------------------------------------------------------------


def _tools(request: wire.Asking, traits: Traits) -> None:
    choice = request.tool_choice
    names = [tool.name for tool in request.tools or () if tool.name]
    if len(set(names)) < len(names):
        raise invalid("tools", "Tool names must be unique.")
    for k, tool in enumerate(request.tools or ()):
        if isinstance(tool, wire.CustomTool):
            _schema(
                f"tools.{k}.custom.input_schema", tool.input_schema.model_dump(exclude_unset=True)
            )
    if choice is None:
        return
    if not request.tools:
        raise errors.bad_request("tool_choice may only be specified while providing tools.")
    if isinstance(choice, wire.ToolChoice) and choice.name not in names:
        raise errors.bad_request(f"Tool '{choice.name[:200]}' not found in provided tools")
    if choice.type in ("any", "tool") and not traits.forced:
        raise invalid("tool_choice", f"type `{choice.type}` is not supported for this model.")


def _thinking(request: wire.Asking, traits: Traits) -> None:
    thinking = request.thinking
    if thinking is None:
        return
    if isinstance(thinking, wire.ManualThinking) and not traits.manual:
        raise errors.bad_request(
            '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" '
            'and "output_config.effort" to control thinking behavior.'
        )
    able = {"enabled": traits.manual, "adaptive": traits.adaptive, "disabled": traits.quiet,
            "between_tools": traits.between_tools}  # fmt: skip
    if not able[thinking.type]:
        raise errors.bad_request(
            f'"thinking.type.{thinking.type}" is not supported for this model.'
        )
    forced = request.tool_choice is not None and request.tool_choice.type in ("any", "tool")
    if forced and thinking.type in ("enabled", "adaptive"):
        raise errors.bad_request("Thinking may not be enabled when tool_choice forces tool use.")


def _format(request: wire.Asking) -> None:
    schema = request.schema_asked
    if schema is None:
        return
    path = "output_config.format.schema"
    for node in _nodes(schema):
        if node.get("type") == "object" and node.get("additionalProperties") is not False:
            raise invalid(
                path,
                "For 'object' type, 'additionalProperties' must be explicitly set to false",
            )
    _schema(path, schema)


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    left = [schema]
    while left:
        node = left.pop()
        if not isinstance(node, dict):
            continue
        yield node
        for key in ("properties", "$defs", "definitions"):
            if isinstance(node.get(key), dict):
                left += node[key].values()
        for key in ("anyOf", "allOf", "oneOf"):
            if isinstance(node.get(key), list):
                left += node[key]
        left.append(node.get("items"))


def _schema(path: str, schema: dict[str, Any]) -> None:
    try:
        Schema.load(schema)
    except SchemaError as error:
        raise invalid(
            path,
            "JSON schema is invalid. It must match JSON Schema draft 2020-12 "
            f"(https://json-schema.org/draft/2020-12): {error}",
        ) from None
