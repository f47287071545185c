"""What a chat request must obey beyond its shape; each rule raises the vendor's error."""

from __future__ import annotations

from fakeai_proxy import errors
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services.answer.grammars import check_grammar
from fakeai_proxy.services.answer.schema import check_schema
from fakeai_proxy.services.answer.tool import NO_PARAMETERS
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.chat import abilities, wire
from fakeai_proxy.services.extras import unknown_arguments

_VISIBLE_MAX = 8
_TOKEN_DIGITS_MAX = 10


def check(request: wire.ChatRequest, card: ModelCard, strict: bool) -> None:
    """Raises ApiError. `strict` refuses what only vLLM and NIM know."""
    unknown_arguments(request, strict, wire.EXTRAS, wire.HONOURED_EXTRAS)
    _token_limits(request, card)
    if request.stream_options is not None and not request.stream:
        raise errors.only_allowed_when("stream_options", "'stream' is enabled")
    if request.top_logprobs is not None and not request.logprobs:
        raise errors.only_allowed_when("top_logprobs", "'logprobs' is enabled")
    abilities.check(request, card)
    _tools(request)
    _wiring(request.messages)
    _response_format(request)


def check_bias(request: wire.ChatRequest, tokens: Tokens) -> None:
    """Raises 400 for a key that is no token of the model."""
    for key in request.logit_bias or ():
        if not key.isascii() or not key.isdecimal() or len(key) > _TOKEN_DIGITS_MAX:
            raise errors.bad_parameter(
                "logit_bias", "invalid_value",
                f"Invalid key in 'logit_bias': {errors.shown(key)}. Keys must be token ids.",
            )  # fmt: skip
        if not tokens.knows(int(key)):
            raise errors.no_such_token("logit_bias", int(key))


def _token_limits(request: wire.ChatRequest, card: ModelCard) -> None:
    most = card.output_tokens_max
    if request.max_tokens is not None:
        if request.max_completion_tokens is not None:
            raise errors.both_token_limits()
        if card.is_openai and card.reasoning:
            raise errors.unsupported_parameter("max_tokens", "max_completion_tokens")
    for param in ("max_tokens", "max_completion_tokens"):
        asked = getattr(request, param)
        if asked is not None and asked > most:
            raise errors.token_limit_too_large(param, asked, most)


def _tools(request: wire.ChatRequest) -> None:
    if request.tools is None:
        for param in ("tool_choice", "parallel_tool_calls"):
            if getattr(request, param) is not None:
                raise errors.only_allowed_when(param, "'tools' are specified")
    if request.functions is None and request.function_call is not None:
        raise errors.only_allowed_when("function_call", "'functions' are specified")
    known = {name_of(tool) for tool in request.tools or ()}
    for name in _chosen(request.tool_choice):
        if name not in known:
            raise errors.bad_parameter(
                "tool_choice",
                "invalid_value",
                f"Tool choice '{name}' not found in 'tools' parameter.",
            )
    if isinstance(request.function_call, wire.Named):
        name = request.function_call.name
        if name not in {function.name for function in request.functions or ()}:
            raise errors.bad_parameter(
                "function_call", "invalid_value", f"Function '{name}' not found in 'functions'."
            )
    for k, tool in enumerate(request.tools or ()):
        if isinstance(tool, wire.FunctionTool):
            _function(tool.function, f"tools[{k}].function.parameters")
        elif isinstance(tool.custom.format, wire.GrammarFormat):
            grammar = tool.custom.format.grammar
            param = f"tools[{k}].custom.format.grammar.definition"
            check_grammar(grammar.definition, grammar.syntax, param)
    for k, function in enumerate(request.functions or ()):
        _function(function, f"functions[{k}].parameters")


def _function(function: wire.Function, param: str) -> None:
    check_schema(
        function.parameters or NO_PARAMETERS, bool(function.strict),
        f"function '{function.name}'", param, "invalid_function_parameters",
    )  # fmt: skip


def name_of(tool: wire.Tool) -> str:
    return tool.function.name if isinstance(tool, wire.FunctionTool) else tool.custom.name


def named_by(choice: wire.NamedTool) -> str:
    return choice.function.name if isinstance(choice, wire.NamedFunction) else choice.custom.name


def _chosen(choice: object) -> list[str]:
    if isinstance(choice, wire.NamedFunction | wire.NamedCustom):
        return [named_by(choice)]
    if isinstance(choice, wire.AllowedChoice):
        return [named_by(tool) for tool in choice.allowed_tools.tools]
    return []


def _wiring(messages: list[wire.Message]) -> None:
    """Every tool message answers a call, and every call is answered before anybody else speaks."""
    waiting: dict[str, None] = {}
    callable_ids: set[str] = set()
    caller = 0
    for k, message in enumerate(messages):
        if isinstance(message, wire.ToolMessage):
            if message.tool_call_id not in callable_ids:
                raise errors.tool_message_without_call(k)
            waiting.pop(message.tool_call_id, None)
            continue
        if waiting:
            raise errors.tool_calls_without_answers(caller, list(waiting)[:_VISIBLE_MAX])
        callable_ids = set()
        if isinstance(message, wire.AssistantMessage):
            callable_ids = {call.id for call in message.tool_calls or ()}
            waiting, caller = dict.fromkeys(callable_ids), k
            _not_empty(message, k)
    if waiting:
        raise errors.tool_calls_without_answers(caller, list(waiting)[:_VISIBLE_MAX])


def _not_empty(message: wire.AssistantMessage, k: int) -> None:
    given = (
        message.content,
        message.tool_calls,
        message.function_call,
        message.refusal,
        message.audio,
    )
    if all(part is None for part in given):
        raise errors.bad_parameter(
            f"messages[{k}].content",
            "invalid_value",
            f"Invalid value for 'messages[{k}].content': expected a string, got null.",
        )


def _response_format(request: wire.ChatRequest) -> None:
    form = request.response_format
    if isinstance(form, wire.SchemaResponse):
        declared = form.json_schema
        check_schema(
            declared.schema_ if declared.schema_ is not None else {"type": "object"},
            bool(declared.strict) and declared.schema_ is not None,
            f"response_format '{declared.name}'", "response_format", "invalid_json_schema",
        )  # fmt: skip
    elif isinstance(form, wire.ObjectResponse) and not _speaks_of_json(request.messages):
        raise errors.bad_parameter(
            "messages",
            "invalid_value",
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type "
            "'json_object'.",
        )


def _speaks_of_json(messages: list[wire.Message]) -> bool:
    return any("json" in wire.text_of(message.content).lower() for message in messages)
