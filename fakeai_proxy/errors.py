"""Every error we can answer with.

    FakeAIError
    ├── ApiError       a client caused it or must see it; becomes a response in the vendor's envelope
    ├── ConfigError    a user caused it at start: one line that names the key and what would be valid
    ├── CassetteError  a file on disk is broken: path and what was expected
    └── StreamCut      this exchange ends without its end: the client sees a closed connection

The functions below are the catalogue. Statuses, codes and wording follow the vendors' documents and
observed replies; `providers.py` wraps them in each vendor's envelope, `proxy/gateway.py` sends them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

#: Characters of a refused value that are repeated in the answer.
SHOWN_MAX = 200


class FakeAIError(Exception):
    """The root of everything raised on purpose."""


class ApiError(FakeAIError):
    """An answer other than the one asked for.

    `detail` is merged into the error object of the envelope, for our own errors that carry more
    than the vendor's four fields.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",  # noqa: A002 - the vendor's word
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        detail: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type
        self.param = param
        self.code = code
        self.headers = dict(headers or {})
        self.detail = dict(detail or {})


class ConfigError(FakeAIError):
    """A setting that cannot be used."""


class CassetteError(FakeAIError):
    """A recording that cannot be read or written."""


class StreamCut(FakeAIError):  # noqa: N818 - an event, not a fault
    """The reply stops here, without the end that its protocol asks for. `end` says how, in the
    words of a recording: `reset`, `timeout` or `upstream_error`."""

    def __init__(self, message: str, end: str = "reset") -> None:
        super().__init__(message)
        self.end = end


# --- 400: the body ---------------------------------------------------------------------------


def unparsable_json() -> ApiError:
    return ApiError(
        400,
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't "
        "using your HTTP library correctly. The OpenAI API expects a JSON payload, but what was "
        "sent was not valid JSON. If you have trouble figuring out how to fix this, please "
        "contact us through our help center at help.openai.com.)",
    )


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


def body_too_large(limit_bytes: int, read_bytes: int) -> ApiError:
    return ApiError(
        413,
        f"413: Maximum content size limit ({limit_bytes}) exceeded ({read_bytes} bytes read)",
    )


def body_stalled(idle_s: float) -> ApiError:
    return ApiError(408, f"Nothing of the request body arrived for {idle_s:g} seconds.",
                    headers={"x-should-retry": "false"})  # fmt: skip


def bad_request(message: str) -> ApiError:
    return ApiError(400, message)


# --- 400: one parameter -----------------------------------------------------------------------
# `path` leads into the body: messages[0].role.


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
    return ApiError(
        400,
        f"This model's maximum context length is {most} tokens. However, your messages resulted in "
        f"{tokens} tokens. Please reduce the length of the messages.",
        param="messages",
        code="context_length_exceeded",
    )


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


# --- 401, 403, 404, 405 ------------------------------------------------------------------------


def missing_key() -> ApiError:
    return ApiError(
        401,
        "You didn't provide an API key. You need to provide your API key in an Authorization "
        "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY). Any non-empty key is "
        "accepted here.",
    )


def wrong_key(key: str) -> ApiError:
    shown = key if len(key) <= 8 else f"{key[:4]}{'*' * min(len(key) - 8, 20)}{key[-4:]}"
    return ApiError(
        401,
        f"Incorrect API key provided: {shown}. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        code="invalid_api_key",
    )


def model_not_found(name: str, near: Sequence[str] = ()) -> ApiError:
    hint = f" Near: {', '.join(near)}." if near else ""
    return ApiError(
        404,
        f"The model `{name}` does not exist or you do not have access to it.{hint} "
        f"To serve it here, start with --model {name} or --any-model.",
        code="model_not_found",
    )


def model_unknown(name: str) -> ApiError:
    return ApiError(
        404, f"The model '{name}' does not exist", param="model", code="model_not_found"
    )


def deployment_not_found() -> ApiError:
    """Azure's word for an unknown model."""
    return ApiError(
        404,
        "The API deployment for this resource does not exist. If you created the deployment within "
        "the last 5 minutes, please wait a moment and try again.",
        code="DeploymentNotFound",
    )


def model_not_deletable(name: str) -> ApiError:
    return ApiError(
        403,
        f"You have insufficient permissions for this operation. '{name}' is not a fine-tuned model "
        "of yours, and only those can be deleted.",
        param="model",
    )


def wrong_kind_of_model(name: str, kind: str) -> ApiError:
    route = {"chat": "v1/chat/completions", "embedding": "v1/embeddings"}[kind]
    return ApiError(
        404,
        f"This is {'an' if kind[0] in 'aeiou' else 'a'} {kind} model and not supported in this "
        f"endpoint. Did you mean to use {route}?",
        param="model",
    )


def unknown_url(method: str, path: str) -> ApiError:
    return ApiError(404, f"Invalid URL ({method} {path})", code="unknown_url")


def method_not_allowed(method: str, path: str, allowed: str) -> ApiError:
    return ApiError(
        405,
        f"Not allowed to {method} on {path}. (HINT: Perhaps you meant to use a different HTTP "
        f"method? Allowed: {allowed}.)",
        code="method_not_supported",
        headers={"allow": allowed},
    )


# --- the proxy's own -----------------------------------------------------------------------------


def cassette_miss(message: str, nearest: Sequence[Mapping[str, object]]) -> ApiError:
    """404, which no SDK retries (408, 409, 429 and 5xx they do)."""
    return ApiError(
        404,
        message,
        type="cassette_error",
        code="cassette_miss",
        headers={"x-should-retry": "false"},
        detail={"nearest": list(nearest)},
    )


def cassette_unreadable(message: str) -> ApiError:
    return ApiError(
        502,
        message,
        type="cassette_error",
        code="cassette_unreadable",
        headers={"x-should-retry": "false"},
    )


def no_upstream(method: str, target: str) -> ApiError:
    return ApiError(
        502,
        f"There is no upstream for {method} {target}: start with --upstream URL, or send the "
        "request through the proxy (HTTPS_PROXY) instead of to it.",
        type="upstream_error",
        code="no_upstream",
        headers={"x-should-retry": "false"},
    )


def websocket_unserved(mode: str) -> ApiError:
    return ApiError(
        404,
        f"WebSockets are not served in mode {mode}: only the modes that ask an upstream (record, "
        "pass, auto) carry them.",
        code="websocket_unserved",
        headers={"x-should-retry": "false"},
    )


def upstream_unreachable(host: str, reason: str) -> ApiError:
    return ApiError(
        502,
        f"The upstream {host} could not be reached: {reason}.",
        type="upstream_error",
        code="upstream_unreachable",
    )


def upstream_certificate(host: str, reason: str) -> ApiError:
    return ApiError(
        502,
        f"The certificate of the upstream {host} was refused: {reason}. A private authority can "
        "be trusted with --upstream-ca FILE.",
        type="upstream_error",
        code="upstream_certificate",
        headers={"x-should-retry": "false"},
    )


def upstream_timeout(host: str, what: str) -> ApiError:
    return ApiError(
        504,
        f"The upstream {host} did not answer in time ({what}).",
        type="upstream_error",
        code="upstream_timeout",
    )


def upstream_loop(host: str) -> ApiError:
    return ApiError(
        508,
        f"The upstream {host} leads back to this proxy: this request has been here before. Set "
        "--upstream to the API itself.",
        type="upstream_error",
        code="upstream_loop",
        headers={"x-should-retry": "false"},
    )


def misdirected(host: str, tunnel: str) -> ApiError:
    return ApiError(
        421,
        f"This connection was opened to {tunnel}, but the request asks for {host}.",
        code="misdirected_request",
    )


def destination_refused(host: str, hint: str) -> ApiError:
    return ApiError(
        403,
        f"{host} is neither intercepted nor allowed. {hint}",
        type="permission_error",
        code="destination_refused",
        headers={"x-should-retry": "false"},
    )


def destination_internal(host: str, authority: str) -> ApiError:
    return ApiError(
        403,
        f"{host} is at a loopback, private or otherwise internal address, which a general rule does "
        f"not open. Start with --allow-host {authority} to tunnel to it.",
        type="permission_error",
        code="destination_refused",
        headers={"x-should-retry": "false"},
    )


def proxy_loop(authority: str) -> ApiError:
    return ApiError(
        403,
        f"{authority} is this proxy itself: use it as a base URL instead of going through it.",
        type="permission_error",
        code="proxy_loop",
        headers={"x-should-retry": "false"},
    )


def proxy_credentials_required() -> ApiError:
    return ApiError(
        407,
        "This proxy asks for credentials: put them into the proxy's URL, http://USER:PASS@HOST.",
        type="authentication_error",
        code="proxy_authentication_required",
        headers={"proxy-authenticate": 'Basic realm="fakeai-proxy"'},
    )


def server_error() -> ApiError:
    return ApiError(
        500,
        "The server had an error while processing your request. Sorry about that!",
        type="server_error",
    )
