"""400, 408 and 413: what is wrong with a body, or with one parameter in it.

A `path` leads into the body: messages[0].role.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from fakeai_proxy.errors.catalogue import of_kind
from fakeai_proxy.errors.kinds import ApiError

#: Characters of a refused value that are repeated in the answer.
SHOWN_MAX = 200


def unparsable_json() -> ApiError:
    return of_kind("bad_json")


def too_deep(levels: int) -> ApiError:
    return ApiError(
        400,
        "We could not parse the JSON body of your request: objects and arrays may be nested at "
        f"most {levels} levels deep.",
    )


def undecodable_body(coding: str) -> ApiError:
    return ApiError(400, f"The request body could not be decoded as '{coding}'.")


def unsupported_content_type(content_type: str, supported: str = "application/json") -> ApiError:
    return ApiError(
        400,
        f"Unsupported content type: '{content_type}'. This API method only accepts '{supported}' "
        "requests, but you specified the header 'Content-Type: "
        f"{content_type}'. Please try again with a supported content type.",
        code="unsupported_content_type",
    )


def bad_form(why: str) -> ApiError:
    """`why` completes a sentence."""
    return ApiError(400, f"We could not parse the multipart body of your request: {why}")


def body_too_large(limit_bytes: int, read_bytes: int) -> ApiError:
    return of_kind("request_too_large", limit_bytes=limit_bytes, bytes=read_bytes)


def body_stalled(idle_s: float) -> ApiError:
    return ApiError(408, f"Nothing of the request body arrived for {idle_s:g} seconds.",
                    headers={"x-should-retry": "false"})  # fmt: skip


def bad_request(message: str) -> ApiError:
    return ApiError(400, message)


def websocket_required(path: str) -> ApiError:
    return ApiError(
        400,
        f"Bad request: {path} speaks WebSocket, which begins with `Connection: Upgrade` and "
        "`Upgrade: websocket`.",
        code="websocket_required",
    )


def bad_parameter(path: str, code: str | None, message: str) -> ApiError:
    return ApiError(400, message, param=path or None, code=code)


def missing_parameter(path: str) -> ApiError:
    return bad_parameter(
        path, "missing_required_parameter", f"Missing required parameter: '{path}'."
    )


def unknown_parameter(path: str) -> ApiError:
    return bad_parameter(path, "unknown_parameter", f"Unknown parameter: '{path}'.")


def invalid_type(path: str, wanted: str, value: object) -> ApiError:
    """`wanted` with its article: an array of objects."""
    message = f"Invalid type for '{path}': expected {wanted}, but got {json_type(value)} instead."
    return bad_parameter(path, "invalid_type", message)


def json_type(value: object) -> str:
    """JSON's name for the type of a value, with its article."""
    names = {bool: "a boolean", int: "an integer", float: "a decimal", str: "a string",
             list: "an array", dict: "an object", type(None): "null"}  # fmt: skip
    return names.get(type(value), "a value")


def invalid_value(path: str, value: object, supported: Sequence[str]) -> ApiError:
    """For a word that is none of those `supported`."""
    message = f"Invalid value: '{shown(value)}'. Supported values are: {listed(supported)}."
    return bad_parameter(path, "invalid_value", message)


def listed(values: Sequence[str]) -> str:
    """`'a'`, `'a' and 'b'`, `'a', 'b', and 'c'`."""
    quoted = [f"'{value}'" for value in values]
    if len(quoted) < 3:
        return " and ".join(quoted)
    return f"{', '.join(quoted[:-1])}, and {quoted[-1]}"


def shown(value: object) -> str:
    """A value as JSON has it, cut where it is long."""
    text = json.dumps(value) if value is None or isinstance(value, bool) else str(value)
    return text if len(text) <= SHOWN_MAX else text[:SHOWN_MAX] + "..."


def wrong_length(path: str, kind: str, sign: str, limit: int, length: int) -> ApiError:
    """`kind` is array or string; `sign` is what the length should have been to the limit."""
    what, bound, code = f"{kind} too long", "maximum", f"{kind}_above_max_length"
    if sign == ">=":
        what, bound, code = f"{kind} too short", "minimum", f"{kind}_below_min_length"
    article = "an" if kind == "array" else "a"
    got = f"{article} {kind} with length {length}"
    if length == 0:
        what, code, got = f"empty {kind}", f"empty_{kind}", f"an empty {kind}"
    message = (
        f"Invalid '{path}': {what}. Expected {article} {kind} with {bound} length {limit}, but got "
        f"{got} instead."
    )
    return bad_parameter(path, code, message)


def wrong_number_of_properties(path: str, sign: str, limit: int, count: int) -> ApiError:
    many, bound, code = "many", "at most", "object_above_max_properties"
    if sign == ">=":
        many, bound, code = "few", "at least", "object_below_min_properties"
    message = (
        f"Invalid '{path}': too {many} properties. Expected an object with {bound} {limit} "
        f"properties, but got an object with {count} properties instead."
    )
    return bad_parameter(path, code, message)


def out_of_range(path: str, kind: str, sign: str, limit: float, value: object) -> ApiError:
    """`kind` is integer or decimal; `sign` is what the value should have been to the limit."""
    where, code = ("above maximum", "above_max_value")
    if sign.startswith(">"):
        where, code = ("below minimum", "below_min_value")
    bound = int(limit) if float(limit).is_integer() else limit
    message = (
        f"Invalid '{path}': {kind} {where} value. Expected a value {sign} {bound}, but got "
        f"{shown(value)} instead."
    )
    return bad_parameter(path, f"{kind}_{code}", message)


def no_such_token(path: str, token: int) -> ApiError:
    message = f"Invalid '{path}': {shown(token)} is not a token id of this model."
    return bad_parameter(path, "invalid_value", message)


def input_too_long(path: str, limit_tokens: int, tokens: int) -> ApiError:
    message = (
        f"Invalid '{path}': maximum input length is {limit_tokens} tokens, but got {tokens} tokens "
        "instead."
    )
    return bad_parameter(path, "context_length_exceeded", message)


def retriever_input_too_long(path: str, limit_tokens: int, tokens: int) -> ApiError:
    """As NVIDIA's models that embed and rank say it (logs and bodies that users posted)."""
    message = f"Input length {tokens} exceeds maximum allowed token size {limit_tokens}"
    return bad_parameter(path, None, message)


def too_many_tokens(tokens: int, limit_tokens: int) -> ApiError:
    kind = "max_tokens_per_request"
    message = f"Requested {tokens} tokens, max {limit_tokens} tokens per request"
    return ApiError(400, message, type=kind, code=kind)


def missing_model() -> ApiError:
    return ApiError(400, "you must provide a model parameter")


def unrecognized_arguments(names: Sequence[str]) -> ApiError:
    """Unknown parameters of chat, completions or embeddings, whose wording is older."""
    plural = "s" if len(names) > 1 else ""
    return bad_request(f"Unrecognized request argument{plural} supplied: {shown(', '.join(names))}")


def only_allowed_when(param: str, condition: str) -> ApiError:
    """`condition` completes the sentence: "'stream' is enabled"."""
    return ApiError(400, f"The '{param}' parameter is only allowed when {condition}.", param=param)


def unsupported_parameter(param: str, instead: str) -> ApiError:
    return ApiError(
        400,
        f"Unsupported parameter: '{param}' is not supported with this model. Use '{instead}' "
        "instead.",
        param=param,
        code="unsupported_parameter",
    )


def unsupported_value(param: str, value: object, only: object) -> ApiError:
    return ApiError(
        400,
        f"Unsupported value: '{param}' does not support {value} with this model. Only the default "
        f"({only}) value is supported.",
        param=param,
        code="unsupported_value",
    )


def both_token_limits() -> ApiError:
    return ApiError(
        400,
        "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
        param="max_tokens",
        code="invalid_parameter_combination",
    )


def token_limit_too_large(param: str, asked: int, most: int) -> ApiError:
    return ApiError(
        400,
        f"{param} is too large: {asked}. This model supports at most {most} completion tokens, "
        f"whereas you provided {asked}.",
        param=param,
        code="invalid_value",
    )


def context_length_exceeded(most: int, tokens: int) -> ApiError:
    return of_kind("context_length", limit_tokens=most, tokens=tokens)


def tool_message_without_call(index: int) -> ApiError:
    return ApiError(
        400,
        "Invalid parameter: messages with role 'tool' must be a response to a preceding message "
        "with 'tool_calls'.",
        param=f"messages[{index}].role",
    )


def tool_calls_without_answers(index: int, ids: Sequence[str]) -> ApiError:
    return ApiError(
        400,
        "An assistant message with 'tool_calls' must be followed by tool messages responding to "
        "each 'tool_call_id'. The following tool_call_ids did not have response messages: "
        f"{', '.join(ids)}",
        param=f"messages[{index}].role",
    )


def invalid_schema(what: str, reason: str, param: str, code: str) -> ApiError:
    """`what` names the schema: "response_format 'x'", "function 'x'"."""
    return ApiError(400, f"Invalid schema for {what}: {reason}", param=param, code=code)


def invalid_grammar(param: str, syntax: str, reason: str) -> ApiError:
    return bad_parameter(param, "invalid_grammar", f"Invalid {syntax} grammar: {reason}")


def extra_missing(message: str) -> ApiError:
    """What was asked for takes a package that is not installed; asking again does not help."""
    return ApiError(501, message, headers={"x-should-retry": "false"})


def not_this_value(param: str, value: object, model: str, supported: Sequence[str]) -> ApiError:
    """For a value that other models take."""
    return bad_parameter(
        param,
        "unsupported_value",
        f"Unsupported value: '{shown(value)}' is not supported with the '{model}' model. Supported "
        f"values are: {listed(supported)}.",
    )


def not_with_this_model(param: str) -> ApiError:
    return bad_parameter(
        param,
        "unsupported_parameter",
        f"Unsupported parameter: '{param}' is not supported with this model.",
    )


def not_together(param: str, other: str) -> ApiError:
    return bad_parameter(
        param,
        "invalid_parameter_combination",
        f"'{param}' cannot be used together with '{other}'.",
    )


def no_room_for_completion(most: int, tokens: int, answer_tokens: int) -> ApiError:
    """A prompt, or what it asks for, that is too long for completions, whose wording is older."""
    message = (
        f"This model's maximum context length is {most} tokens, however you requested "
        f"{tokens + answer_tokens} tokens ({tokens} in your prompt; {answer_tokens} for the "
        "completion). Please reduce your prompt; or completion length."
    )
    # Other vendors have words for prompts that are too long, not for answers.
    facts = {"limit_tokens": most, "tokens": tokens} if tokens >= most else None
    return ApiError(400, message, kind="context_length", facts=facts)


def too_many_choice_tokens(most: int) -> ApiError:
    return bad_parameter(
        "n",
        "invalid_value",
        f"The choices together have more than {most} tokens: ask for fewer or for shorter ones.",
    )
