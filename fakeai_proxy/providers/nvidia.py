"""NVIDIA: its hosted API (integrate.api.nvidia.com) and the frontend of Dynamo.

Sources: bodies that users posted of the first, lib/llm/src/http/service of ai-dynamo/dynamo.
"""

from __future__ import annotations

from collections.abc import Mapping

from fakeai_proxy.errors import ApiError
from fakeai_proxy.providers.engine import BY_PHRASE
from fakeai_proxy.providers.provider import (
    Provider,
    Told,
    Wording,
    data_frame,
    date,
    phrase,
    request_uuid,
)

# --- hosted ------------------------------------------------------------------------------------------


def _problem(error: ApiError, request_id: str) -> dict[str, object]:
    return {**_untold(error, request_id), "detail": error.message, **error.detail}


def _untold(error: ApiError, request_id: str) -> dict[str, object]:
    return {"status": error.status, "title": phrase(error.status) or "Unknown Error"}


def _nvcf_status(told: Told) -> bytes:
    return b"fulfilled" if told.status < 400 else b"rejected" if told.status < 500 else b"errored"


def _inner_frame(envelope: Mapping[str, object]) -> bytes:
    """The model behind the gateway fails as vLLM does."""
    status, message = envelope["status"], envelope.get("detail", envelope["title"])
    inner = {"message": message, "type": "InternalServerError", "param": None, "code": status}
    return data_frame({"error": inner})


NVIDIA = Provider(
    "nvidia",
    ("integrate.api.nvidia.com", "ai.api.nvidia.com"),
    _problem,
    {
        **BY_PHRASE,
        "missing_key": Wording(message="Header of type `authorization` was missing"),
        "authentication": Wording(message="Authentication failed"),
        "permission": Wording(message="Authorization failed"),
        "not_found": Wording(message="Not found"),
        "model_not_found": Wording(
            message="Function id '{model}': Not found for account 'fakeai'"
        ),
        "rate_limit": Wording(envelope=_untold, headers={}),
        "server_error": Wording(message="Inference error"),
        "generation": Wording(message="Inference error"),
        "overloaded": Wording(message="Worker local total request limit reached", headers={}),
        "slow_down": Wording(429, envelope=_untold, headers={}),
        "timeout": Wording(message="Inference request timed out"),
    },
    headers=(
        (b"date", date),
        (b"nvcf-reqid", request_uuid),
        (b"nvcf-status", _nvcf_status),
        (b"server", b"uvicorn"),
    ),
    frame=_inner_frame,
)  # fmt: skip

# --- Dynamo ------------------------------------------------------------------------------------------


def _dynamo(error: ApiError, request_id: str) -> dict[str, object]:
    return {"message": error.message, "type": phrase(error.status) or "Overloaded",
            "code": error.status, **error.detail}  # fmt: skip


def _comment(envelope: Mapping[str, object]) -> bytes:
    lines = str(envelope["message"]).splitlines()
    return (
        b"event: error\n"
        + b"".join(b": %b\n" % line.encode("utf-8", "replace") for line in lines)
        + b"\n"
    )


def _empty(error: ApiError, request_id: str) -> None:
    return None


_NOTHING = Wording(envelope=_empty)
_BUSY = Wording(503, "Service temporarily unavailable", headers={})

DYNAMO = Provider(
    "dynamo",
    (),
    _dynamo,
    {
        **BY_PHRASE,
        "not_found": _NOTHING,
        "method": _NOTHING,
        "model_not_found": Wording(message="Model not found"),
        "bad_request": Wording(quoting="Validation: {message}"),
        "context_length": Wording(
            message="Validation: This model's maximum context length is {limit_tokens} tokens. "
            "However, your messages resulted in {tokens} tokens. Please reduce the length of the "
            "messages."
        ),
        "unprocessable": Wording(400),
        "server_error": Wording(message="Internal server error"),
        "generation": Wording(message="Internal server error"),
        "overloaded": _BUSY,
        "slow_down": _BUSY,
    },
    headers=((b"date", date),),
    frame=_comment,
)
