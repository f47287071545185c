"""The kinds of errors that every vendor has, in OpenAI's words; `providers/` has the other vendors'.

Sources: platform.openai.com/docs/guides/error-codes and bodies that were observed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fakeai_proxy.errors.kinds import ApiError


@dataclass(frozen=True, slots=True)
class Kind:
    """`message` and the values of `headers` have places for facts; `facts` are what stands there
    where nobody knows better."""

    status: int
    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    code: str | int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)


_WAIT = {"retry-after": "{retry_after_s}"}

KINDS: dict[str, Kind] = {
    "bad_request": Kind(400, "The request could not be understood."),
    "bad_json": Kind(
        400,
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't using "
        "your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was "
        "not valid JSON. If you have trouble figuring out how to fix this, please contact us through "
        "our help center at help.openai.com.)",
    ),
    "context_length": Kind(
        400,
        "This model's maximum context length is {limit_tokens} tokens. However, your messages "
        "resulted in {tokens} tokens. Please reduce the length of the messages.",
        param="messages", code="context_length_exceeded",
        facts={"limit_tokens": 128_000, "tokens": 130_000},
    ),
    "content_filter": Kind(
        400,
        "Invalid prompt: your prompt was flagged as potentially violating our usage policy. Please "
        "try again with a different prompt: https://platform.openai.com/docs/guides/reasoning#"
        "advice-on-prompting",
        code="invalid_prompt",
        facts={"category": "violence"},
    ),
    "missing_key": Kind(
        401,
        "You didn't provide an API key. You need to provide your API key in an Authorization header "
        "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with "
        "blank username) if you're accessing the API from your browser and are prompted for a "
        "username and password. You can obtain an API key from "
        "https://platform.openai.com/account/api-keys.",
    ),
    "authentication": Kind(
        401,
        "Incorrect API key provided: {key}. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        code="invalid_api_key",
        facts={"key": "sk-f****************alid"},
    ),
    "permission": Kind(
        403,
        "You have insufficient permissions for this operation. Missing scopes: model.request. Check "
        "that you have the correct role in your organization (Reader, Writer, Owner) and project "
        "(Member, Owner), and if you're using a restricted API key, that it has the necessary "
        "scopes.",
    ),
    "not_found": Kind(
        404, "Invalid URL ({method} {path})", code="unknown_url",
        facts={"method": "POST", "path": "/v1/unknown"},
    ),
    "model_not_found": Kind(
        404, "The model `{model}` does not exist or you do not have access to it.",
        code="model_not_found", facts={"model": "unknown-model"},
    ),
    "method": Kind(
        405,
        "Not allowed to {method} on {path}. (HINT: Perhaps you meant to use a different HTTP method?)",
        code="method_not_supported", facts={"method": "GET", "path": "/v1/chat/completions"},
    ),
    "request_timeout": Kind(408, "Request timed out.", "timeout"),
    "conflict": Kind(409, "The resource was updated by another request. Please try again."),
    "request_too_large": Kind(
        413, "413: Maximum content size limit ({limit_bytes}) exceeded ({bytes} bytes read)",
        facts={"limit_bytes": 26_214_400, "bytes": 26_214_500},
    ),
    "unprocessable": Kind(
        422, "Unable to process the request despite the format being correct. Please try again."
    ),
    "rate_limit": Kind(
        429,
        "Rate limit reached for {model} in organization {organization} on {unit}: Limit {limit}, "
        "Used {used}, Requested {requested}. Please try again in {wait}. Visit "
        "https://platform.openai.com/account/rate-limits to learn more.",
        "requests", code="rate_limit_exceeded",
        headers={"retry-after": "{retry_after_s}", "retry-after-ms": "{retry_after_ms}"},
        facts={
            "model": "gpt-4o", "organization": "org-fakeai", "unit": "requests per min (RPM)",
            "limit": 500, "used": 500, "requested": 1, "wait": "120ms", "retry_after_s": 1,
            "retry_after_ms": 120,
        },
    ),
    "quota": Kind(
        429,
        "You exceeded your current quota, please check your plan and billing details. For more "
        "information on this error, read the docs: "
        "https://platform.openai.com/docs/guides/error-codes/api-errors.",
        "insufficient_quota", code="insufficient_quota",
    ),
    "server_error": Kind(
        500, "The server had an error while processing your request. Sorry about that!",
        "server_error",
    ),
    "generation": Kind(
        500, "The model produced invalid content. Consider modifying your prompt if you are seeing "
        "this error persistently.",
        "model_error",
    ),
    "bad_gateway": Kind(502, "Bad gateway.", "cf_bad_gateway", code=502),
    "overloaded": Kind(
        503, "Our servers are currently overloaded. Please try again later.",
        "service_unavailable_error", code="server_is_overloaded",
        headers=_WAIT, facts={"retry_after_s": 1},
    ),
    "slow_down": Kind(
        503,
        "A sudden increase in your request rate is impacting service reliability. Please reduce your "
        "request rate to its original level, maintain it for at least 15 minutes, and then "
        "gradually increase it.",
        "service_unavailable_error", code="slow_down",
        headers=_WAIT, facts={"retry_after_s": 5},
    ),
    "timeout": Kind(504, "Gateway timeout.", "cf_gateway_timeout", code=504),
}  # fmt: skip

#: What a bare status means.
_BY_STATUS = {
    400: "bad_request", 401: "authentication", 402: "quota", 403: "permission", 404: "not_found",
    405: "method", 408: "request_timeout", 409: "conflict", 413: "request_too_large",
    422: "unprocessable", 424: "generation", 429: "rate_limit", 500: "server_error",
    502: "bad_gateway", 503: "overloaded", 504: "timeout", 524: "timeout", 529: "overloaded",
}  # fmt: skip


def of_kind(
    name: str,
    message: str | None = None,
    *,
    status: int | None = None,
    type: str | None = None,  # noqa: A002 - the vendor's word
    param: str | None = None,
    code: str | int | None = None,
    headers: Mapping[str, str] | None = None,
    hint: str = "",
    **facts: object,
) -> ApiError:
    """An error of the catalogue, which every vendor puts in its own words. `facts` fill in the
    sentences and the headers (see `KINDS`). A `message` of the caller's stays as it is for every
    vendor, without headers but the caller's own, and so does a `status`."""
    kind = KINDS[name]
    known = {**kind.facts, **facts}
    return ApiError(
        kind.status if status is None else status,
        kind.message.format_map(known) if message is None else message,
        type=kind.type if type is None else type,
        param=kind.param if param is None else param,
        code=kind.code if code is None else code,
        headers=headers,
        kind=name,
        facts=known if message is None else None,
        hint=hint,
        fixed=status is not None,
    )


def of_status(status: int, message: str | None = None, **given: Any) -> ApiError:
    """What fits that status, under that status, whatever else the vendor would have for it. `given`
    is as for `of_kind`: headers, facts (`retry_after_s=3`) ..."""
    return of_kind(kind_of_status(status), message, status=status, **given)


def kind_of_status(status: int) -> str:
    return _BY_STATUS.get(status, "bad_request" if status < 500 else "server_error")
