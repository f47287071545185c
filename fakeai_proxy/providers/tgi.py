"""Text Generation Inference: two words an error, none where its web framework answers.

Source: the router of huggingface/text-generation-inference (server.rs, infer/mod.rs).
"""

from __future__ import annotations

from collections.abc import Mapping

from fakeai_proxy.errors import ApiError
from fakeai_proxy.providers.engine import BY_PHRASE
from fakeai_proxy.providers.provider import Provider, Wording, date, dumped, phrase

_TYPES = {
    413: "validation", 422: "validation", 424: "generation", 429: "overloaded",
    500: "incomplete_generation",
}  # fmt: skip


def _envelope(error: ApiError, request_id: str) -> dict[str, object]:
    kind = _TYPES.get(error.status) or phrase(error.status).lower().replace(" ", "_")
    return {"error": error.message, "error_type": kind, **error.detail}


def _empty(error: ApiError, request_id: str) -> None:
    return None


def _frame(envelope: Mapping[str, object]) -> bytes:
    return b"data:" + dumped(envelope) + b"\n\n"


_NOTHING = Wording(envelope=_empty)
_INVALID = Wording(422, quoting="Input validation error: {message}")
_OVERLOADED = Wording(429, "Model is overloaded", headers={})

TGI = Provider(
    "tgi",
    (),
    _envelope,
    {
        **BY_PHRASE,
        "missing_key": _NOTHING,
        "authentication": _NOTHING,
        "not_found": _NOTHING,
        "method": _NOTHING,
        "bad_request": _INVALID,
        "unprocessable": _INVALID,
        "context_length": Wording(
            422,
            "Input validation error: `inputs` must have less than {limit_tokens} tokens. Given: "
            "{tokens}",
        ),
        "model_not_found": Wording(
            message="The model `{model}` does not exist."
        ),
        "rate_limit": _OVERLOADED,
        "overloaded": _OVERLOADED,
        "slow_down": _OVERLOADED,
        "generation": Wording(
            424, "Request failed during generation: Server error: CUDA out of memory."
        ),
        "server_error": Wording(
            message="Incomplete generation"
        ),
    },
    headers=(
        (b"date", date),
        (b"vary", b"origin, access-control-request-method, access-control-request-headers"),
    ),
    frame=_frame,
)  # fmt: skip
