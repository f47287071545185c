"""Anthropic: types of its own, and 529 for an overload (docs.anthropic.com/en/api/errors)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from fakeai_proxy.errors import ApiError
from fakeai_proxy.providers.provider import Provider, Wording, data_frame, date, request_id

_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error",
    500: "api_error", 504: "timeout_error", 529: "overloaded_error",
}  # fmt: skip


def _envelope(error: ApiError, request_id: str) -> dict[str, object]:
    kind = _TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
    return {
        "type": "error",
        "error": {"type": kind, "message": error.message, **error.detail},
        "request_id": request_id,
    }


def _as_overload(error: ApiError, request_id: str) -> dict[str, object]:
    """Under whatever status."""
    return {
        "type": "error",
        "error": {"type": "overloaded_error", "message": error.message},
        "request_id": request_id,
    }


def _frame(envelope: Mapping[str, object]) -> bytes:
    inner = {name: value for name, value in envelope.items() if name != "request_id"}
    return b"event: error\n" + data_frame(inner)


_RETRY = {"x-should-retry": "true"}
_NO_RETRY = {"x-should-retry": "false"}
_OVERLOADED = Wording(529, "Overloaded", headers=_RETRY, envelope=_as_overload)

ANTHROPIC = Provider(
    "anthropic",
    ("api.anthropic.com",),
    _envelope,
    {
        "bad_json": Wording(message="The request body is not valid JSON", headers=_NO_RETRY),
        "missing_key": Wording(message="x-api-key header is required", headers=_NO_RETRY),
        "authentication": Wording(message="invalid x-api-key", headers=_NO_RETRY),
        "permission": Wording(
            message="Your API key does not have permission to use the specified resource.",
            headers=_NO_RETRY,
        ),
        "not_found": Wording(message="Not found", headers=_NO_RETRY),
        "model_not_found": Wording(message="model: {model}", headers=_NO_RETRY),
        "method": Wording(message="Method Not Allowed", headers=_NO_RETRY),
        "request_too_large": Wording(
            message="Request exceeds the maximum size", headers=_NO_RETRY
        ),
        "context_length": Wording(
            message="prompt is too long: {tokens} tokens > {limit_tokens} maximum",
            headers=_NO_RETRY,
        ),
        "content_filter": Wording(
            message="Output blocked by content filtering policy", headers=_NO_RETRY
        ),
        "rate_limit": Wording(
            message="This request would exceed your organization's rate limit of {limit} {unit}. For "
            "details, refer to: https://docs.anthropic.com/en/api/rate-limits; see the response "
            "headers for current usage. Please reduce the prompt length or the maximum tokens "
            "requested, or try again later. You may also contact sales at "
            "https://www.anthropic.com/contact-sales to discuss your options for a rate limit "
            "increase.",
            headers={"retry-after": "{retry_after_s}", **_RETRY},
        ),
        "quota": Wording(
            400,
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing "
            "to upgrade or purchase credits.",
            headers=_NO_RETRY,
        ),
        "server_error": Wording(message="Internal server error", headers=_RETRY),
        "generation": Wording(message="Internal server error", headers=_RETRY),
        "overloaded": _OVERLOADED,
        "slow_down": _OVERLOADED,
        "timeout": Wording(message="Request timed out", headers=_RETRY),
        "request_timeout": Wording(message="Request timed out", headers=_RETRY),
    },
    headers=(
        (b"date", date),
        (b"anthropic-organization-id", b"00000000-0000-4000-8000-0000000fa4e1"),
        (b"request-id", request_id),
    ),
    frame=_frame,
    path=re.compile(r"/v1/(messages|complete)(/|$)"),
)  # fmt: skip
