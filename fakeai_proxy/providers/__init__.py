"""What differs per API vendor, as tables, one file per family: hosts, credentials, error envelopes
and words, reply headers."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, get_args
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field

from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import Request
from fakeai_proxy.providers.anthropic import ANTHROPIC
from fakeai_proxy.providers.azure import AZURE
from fakeai_proxy.providers.google import GOOGLE
from fakeai_proxy.providers.nvidia import DYNAMO, NVIDIA
from fakeai_proxy.providers.openai import COPIES, OPENAI
from fakeai_proxy.providers.provider import (
    Answer,
    Provider,
    Told,
    error_answer,
    error_body,
    in_words_of,
    stream_error,
)
from fakeai_proxy.providers.tgi import TGI
from fakeai_proxy.providers.vllm import NIM, SGLANG, VLLM, VLLM_OLD

__all__ = [
    "INTERCEPTED_HOSTS",
    "OPENAI",
    "PROVIDERS",
    "Answer",
    "Dialect",
    "DialectSettings",
    "Provider",
    "Told",
    "credential",
    "error_answer",
    "error_body",
    "host_matches",
    "provider_of",
    "status_of",
    "stream_error",
]

#: Headers that carry a credential, with the scheme that precedes it ("" for none).
CREDENTIAL_HEADERS = (
    (b"authorization", "bearer "),
    (b"authorization", "basic "),
    (b"api-key", ""),
    (b"x-api-key", ""),
    (b"x-goog-api-key", ""),
)

#: Those that are recognized by a path come first.
PROVIDERS = (
    ANTHROPIC, AZURE, GOOGLE, NVIDIA, *COPIES, VLLM, VLLM_OLD, SGLANG, TGI, NIM, DYNAMO, OPENAI,
)  # fmt: skip

#: What is intercepted unless told otherwise.
INTERCEPTED_HOSTS = tuple(host for provider in PROVIDERS for host in provider.hosts)

Dialect = Literal[
    "auto", "openai", "azure", "anthropic", "vllm", "vllm-old", "sglang", "tgi", "nim", "nvidia",
    "dynamo",
]  # fmt: skip
_BY_NAME = {provider.name: provider for provider in PROVIDERS if provider.name in get_args(Dialect)}


class DialectSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    dialect: Dialect = Field(
        "auto",
        description="Whose error bodies and reply headers are used where neither the host nor the "
        "path of a request tells: auto is OpenAI's, nim NVIDIA's container, nvidia its hosted API, "
        "vllm-old vLLM before 0.10.",
    )


def host_matches(host: str, pattern: str) -> bool:
    """Whether `host` is `pattern`, or below the suffix of a `*.suffix` pattern."""
    host, pattern = host.lower().rstrip("."), pattern.lower()
    return host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:]))


def provider_of(request: Request) -> Provider:
    """By the host it was meant for, else by its path, else by `request.dialect`."""
    host = request.origin.host if request.origin is not None else ""
    speaks_anthropic = request.header(b"anthropic-version") is not None
    return _provider(host, request.path, speaks_anthropic, request.dialect)


@lru_cache(maxsize=1024)
def _provider(host: str, path: str, speaks_anthropic: bool, dialect: str) -> Provider:
    for provider in PROVIDERS:
        if host and any(host_matches(host, pattern) for pattern in provider.hosts):
            return provider
    for provider in PROVIDERS:
        if provider.path is not None and provider.path.match(path):
            return provider
    return _BY_NAME.get(dialect) or (ANTHROPIC if speaks_anthropic else OPENAI)


def credential(request: Request) -> str:
    """The key that the request carries, "" for none."""
    for name, scheme in CREDENTIAL_HEADERS:
        value = request.text_header(name).strip()
        if value and value.lower().startswith(scheme):
            return value[len(scheme) :].strip()
    return _socket_credential(request)


#: A page in a browser cannot set headers of a WebSocket: OpenAI takes the key as a subprotocol, Azure
#: in the query.
_KEY_SUBPROTOCOL = "openai-insecure-api-key."
_KEY_QUERY = "api-key="


def _socket_credential(request: Request) -> str:
    if request.text_header(b"upgrade").lower() != "websocket":
        return ""
    for offered in request.text_header(b"sec-websocket-protocol").split(","):
        if offered.strip().startswith(_KEY_SUBPROTOCOL):
            return offered.strip()[len(_KEY_SUBPROTOCOL) :]
    for given in request.query.split("&"):
        if given.startswith(_KEY_QUERY):
            return unquote(given[len(_KEY_QUERY) :])
    return ""


def status_of(request: Request, error: ApiError) -> int:
    """The status that the vendor of the request has for the error."""
    return in_words_of(provider_of(request), error)[0].status
