"""What a request must obey beyond its shape; each rule raises the vendor's error."""

from __future__ import annotations

from collections.abc import Sequence

from fakeai_proxy import errors
from fakeai_proxy.generate.strict_schema import SchemaError, schema_check
from fakeai_proxy.services.answer.grammars import check_grammar
from fakeai_proxy.services.answer.reasoning import reasons
from fakeai_proxy.services.answer.schema import check_schema
from fakeai_proxy.services.answer.tool import NO_PARAMETERS
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.items.history import Item, check_parts, says_json
from fakeai_proxy.services.responses import tools, wire

_SUMMARY = "reasoning.summary"


def check_shape(request: wire.Prompted | wire.CompactRequest, strict: bool) -> None:
    """What needs neither model nor history. `strict` refuses what only vLLM knows."""
    for name in request.model_extra or ():
        if strict or name not in wire.EXTRAS:
            raise errors.unknown_parameter(name[:100])
    if strict:
        for name in sorted(request.model_fields_set & wire.HONOURED_EXTRAS):
            raise errors.unknown_parameter(name)
    check_parts(request.input if isinstance(request.input, list) else (), "input")


def check(request: wire.ResponseRequest, card: ModelCard) -> None:
    if request.stream_options is not None and not request.stream:
        raise errors.only_allowed_when("stream_options", "'stream' is enabled")
    if request.background and not request.stored:
        raise errors.bad_parameter(
            "background", "invalid_value", "Background mode requires 'store' to be true."
        )
    asked = request.max_output_tokens
    if asked is not None and asked > card.output_tokens_max:
        raise errors.out_of_range(
            "max_output_tokens", "integer", "<=", card.output_tokens_max, asked
        )
    _thinking(request, card.id)
    check_tools(request)
    _format(request)


def _thinking(request: wire.ResponseRequest, model: str) -> None:
    reasoning = request.reasoning
    if not reasons(model):
        if reasoning is not None and reasoning.effort is not None:
            raise errors.not_with_this_model("reasoning.effort")
        if request.summary is not None:
            raise errors.not_with_this_model(_SUMMARY)
        if request.includes("reasoning.encrypted_content"):
            raise errors.bad_parameter(
                "include", None, "Encrypted content is not supported with this model."
            )
        return
    if reasoning is not None and reasoning.effort == "none":
        return
    if request.temperature not in (None, 1):
        raise errors.not_with_this_model("temperature")
    if request.top_p not in (None, 1):
        raise errors.not_with_this_model("top_p")
    if request.top_logprobs:
        raise errors.not_with_this_model("top_logprobs")
    if request.includes("message.output_text.logprobs"):
        raise errors.bad_parameter(
            "include", None, "logprobs are not supported with reasoning models."
        )


def check_tools(request: wire.Prompted) -> None:
    offered = request.tools or []
    for tool, path in tools.each(offered):
        if isinstance(tool, tools.FunctionTool):
            check_schema(
                tool.parameters or NO_PARAMETERS, bool(tool.strict), f"function '{tool.name}'",
                f"{path}.parameters", "invalid_function_parameters",
            )  # fmt: skip
        elif isinstance(tool, tools.CustomTool) and isinstance(tool.format, tools.GrammarFormat):
            grammar = tool.format
            check_grammar(grammar.definition, grammar.syntax, f"{path}.format.definition")
        elif isinstance(tool, tools.Mcp) and not tool.has_address:
            raise errors.missing_parameter(f"{path}.server_url")
    choice = request.tool_choice
    if isinstance(choice, str) and choice == "required" and not offered:
        raise errors.bad_parameter(
            "tool_choice", None, "Tool choice 'required' must be specified with 'tools' parameter."
        )
    for named in _named(choice):
        if not any(tools.is_named(tool, named) for tool, _ in tools.each(offered)):
            shown = getattr(named, "name", None) or getattr(named, "server_label", named.type)
            raise errors.bad_parameter(
                "tool_choice", None, f"Tool choice '{shown}' not found in 'tools' parameter."
            )


def _named(choice: object) -> Sequence[tools.NamedTool]:
    if isinstance(choice, tools.AllowedTools):
        return choice.tools
    return [choice] if isinstance(choice, tools.NamedTool) else []


def is_strict(tool: tools.FunctionTool) -> bool:
    """What is said, and where nothing is, whether the schema can be followed strictly."""
    if tool.strict is not None:
        return tool.strict
    try:
        schema_check(tool.parameters or NO_PARAMETERS)
    except SchemaError:
        return False
    return True


def _format(request: wire.ResponseRequest) -> None:
    form = request.text.format if request.text else None
    if isinstance(form, wire.SchemaFormat):
        check_schema(
            form.schema_, bool(form.strict), f"response_format '{form.name}'",
            "text.format.schema", "invalid_json_schema",
        )  # fmt: skip


def check_json_mode(request: wire.ResponseRequest, items: Sequence[Item]) -> None:
    form = request.text.format if request.text else None
    if isinstance(form, wire.ObjectFormat) and not says_json(items, request.instructions):
        raise errors.bad_parameter(
            "input",
            None,
            "Response input messages must contain the word 'json' in some form to use 'text.format' "
            "of type 'json_object'.",
        )
