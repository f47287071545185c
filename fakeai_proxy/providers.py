"""What differs per API vendor, as a table: hosts, credentials, error envelope, reply headers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import orjson

from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import Request

#: Headers that carry a credential, with the scheme that precedes it ("" for none).
CREDENTIAL_HEADERS = (
    (b"authorization", "bearer "),
    (b"authorization", "basic "),
    (b"api-key", ""),
    (b"x-api-key", ""),
    (b"x-goog-api-key", ""),
)


def _openai_envelope(error: ApiError, request_id: str) -> dict[str, object]:
    return {
        "error": {
            "message": error.message,
            "type": error.type,
            "param": error.param,
            "code": error.code,
            **error.detail,
        }
    }


def _azure_envelope(error: ApiError, request_id: str) -> dict[str, object]:
    return {"error": {"code": error.code or str(error.status), "message": error.message,
                      "param": error.param, "type": error.type, **error.detail}}  # fmt: skip


#: Anthropic's types by status (docs.anthropic.com/en/api/errors).
_ANTHROPIC_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error",
    500: "api_error", 504: "timeout_error", 529: "overloaded_error",
}  # fmt: skip


def _anthropic_envelope(error: ApiError, request_id: str) -> dict[str, object]:
    kind = _ANTHROPIC_TYPES.get(
        error.status, "invalid_request_error" if error.status < 500 else "api_error"
    )
    return {
        "type": "error",
        "error": {"type": kind, "message": error.message, **error.detail},
        "request_id": request_id,
    }


def _google_envelope(error: ApiError, request_id: str) -> dict[str, object]:
    status = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED",
              404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}.get(error.status, "INTERNAL")  # fmt: skip
    return {
        "error": {"code": error.status, "message": error.message, "status": status, **error.detail}
    }


@dataclass(frozen=True, slots=True)
class Provider:
    name: str
    #: Exact names, or `*.suffix`.
    hosts: tuple[str, ...]
    envelope: Callable[[ApiError, str], dict[str, object]] = _openai_envelope
    request_id_header: str = "x-request-id"
    #: Recognizes its requests on a base URL of ours, where there is no host to go by.
    path: re.Pattern[str] | None = None


PROVIDERS = (
    Provider("anthropic", ("api.anthropic.com",), _anthropic_envelope, "request-id",
             re.compile(r"/v1/(messages|complete)(/|$)")),
    Provider("azure", ("*.openai.azure.com", "*.services.ai.azure.com", "*.cognitiveservices.azure.com"),
             _azure_envelope, "x-request-id", re.compile(r"/openai/")),
    Provider("google", ("generativelanguage.googleapis.com",), _google_envelope,
             path=re.compile(r"/v1(beta)?/models/[^/]+:")),
    Provider("nvidia", ("integrate.api.nvidia.com", "ai.api.nvidia.com")),
    Provider("mistral", ("api.mistral.ai",)),
    Provider("groq", ("api.groq.com",)),
    Provider("deepseek", ("api.deepseek.com",)),
    Provider("together", ("api.together.xyz", "api.together.ai")),
    Provider("fireworks", ("api.fireworks.ai",)),
    Provider("openrouter", ("openrouter.ai",)),
    Provider("perplexity", ("api.perplexity.ai",)),
    Provider("cohere", ("api.cohere.com", "api.cohere.ai")),
    Provider("xai", ("api.x.ai",)),
    Provider("cerebras", ("api.cerebras.ai",)),
    Provider("openai", ("api.openai.com", "us.api.openai.com", "eu.api.openai.com")),
)  # fmt: skip

OPENAI = PROVIDERS[-1]

#: What is intercepted unless told otherwise.
INTERCEPTED_HOSTS = tuple(host for provider in PROVIDERS for host in provider.hosts)


def host_matches(host: str, pattern: str) -> bool:
    """Whether `host` is `pattern`, or below the suffix of a `*.suffix` pattern."""
    host, pattern = host.lower().rstrip("."), pattern.lower()
    return host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:]))


def provider_of(request: Request) -> Provider:
    """By the host it was meant for, else by its path; OpenAI's dialect where neither tells."""
    host = request.origin.host if request.origin is not None else ""
    return _provider(host, request.path, request.header(b"anthropic-version") is not None)


@lru_cache(maxsize=1024)
def _provider(host: str, path: str, speaks_anthropic: bool) -> Provider:
    for provider in PROVIDERS:
        if host and any(host_matches(host, pattern) for pattern in provider.hosts):
            return provider
    for provider in PROVIDERS:
        if provider.path is not None and provider.path.match(path):
            return provider
    return PROVIDERS[0] if speaks_anthropic else OPENAI


def credential(request: Request) -> str:
    """The key that the request carries, "" for none."""
    for name, scheme in CREDENTIAL_HEADERS:
        value = request.text_header(name).strip()
        if value and value.lower().startswith(scheme):
            return value[len(scheme) :].strip()
    return ""


def error_body(provider: Provider, error: ApiError, request_id: str) -> bytes:
    envelope = provider.envelope(error, request_id)
    try:
        return orjson.dumps(envelope)
    except orjson.JSONEncodeError:
        # The message repeats bytes of a target that are no UTF-8.
        return json.dumps(envelope).encode()
