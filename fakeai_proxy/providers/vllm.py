"""The servers in Python behind uvicorn: vLLM (and its envelope before 0.10), NIM's own container,
SGLang.

Sources: the error handlers of vllm-project/vllm (entrypoints/serve/utils) and sgl-project/sglang
(entrypoints/http_server.py), bodies in their issues (vllm-project/vllm#4667 and #20409).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fakeai_proxy.errors import ApiError
from fakeai_proxy.providers.engine import BY_PHRASE
from fakeai_proxy.providers.provider import Provider, Wording, data_frame, date, phrase

#: The statuses that have a class; others go by their phrase.
_TYPES = {
    400: "BadRequestError", 404: "NotFoundError", 500: "InternalServerError",
    501: "NotImplementedError", 503: "ServiceUnavailableError",
}  # fmt: skip
_DONE = b"data: [DONE]\n\n"


def _type(status: int) -> str:
    return _TYPES.get(status) or phrase(status) or "InternalServerError"


def _inner(error: ApiError, request_id: str) -> dict[str, object]:
    return {"message": error.message, "type": _type(error.status), "param": error.param,
            "code": error.status, **error.detail}  # fmt: skip


def _envelope(error: ApiError, request_id: str) -> dict[str, object]:
    return {"error": _inner(error, request_id)}


def _old_envelope(error: ApiError, request_id: str) -> dict[str, object]:
    return {"object": "error", **_inner(error, request_id)}


def _sglang_exception(error: ApiError, request_id: str) -> dict[str, object]:
    """What its scheduler aborts has the status for a type."""
    return {"object": "error", "message": error.message, "type": str(error.status),
            "param": None, "code": error.status}  # fmt: skip


def _bare(error: ApiError, request_id: str) -> dict[str, object]:
    return {"error": error.message}


def _fastapi(error: ApiError, request_id: str) -> dict[str, object]:
    return {"detail": error.message}


def _frame(envelope: Mapping[str, object]) -> bytes:
    """These two end even a failed stream as a whole one."""
    inner = envelope if "error" in envelope else {"error": envelope}
    return data_frame(inner) + _DONE


_UNAUTHORIZED = Wording(message="Unauthorized", envelope=_bare)
_UVICORN = ((b"date", date), (b"server", b"uvicorn"))
_BOTH = {
    **BY_PHRASE,
    "missing_key": _UNAUTHORIZED,
    "authentication": _UNAUTHORIZED,
    "not_found": Wording(message="Not Found", envelope=_fastapi),
    "method": Wording(message="Method Not Allowed", envelope=_fastapi),
    "model_not_found": Wording(
        message="The model `{model}` does not exist.", param=None, code=None
    ),
    "unprocessable": Wording(status=400),
}
_DEAD = Wording(
    message="EngineCore encountered an issue. See stack trace (above) for the root cause."
)
_VLLM = {
    **_BOTH,
    "model_not_found": replace(_BOTH["model_not_found"], param="model"),
    "context_length": Wording(
        message="This model's maximum context length is {limit_tokens} tokens. However, your request "
        "has {tokens} input tokens. Please reduce the length of the input messages.",
        param="input_tokens",
    ),
    "server_error": _DEAD,
    "generation": Wording(message="Internal server error"),
    "overloaded": Wording(message="The server is overloaded. Please try again later.", headers={}),
    "slow_down": Wording(message="The server is overloaded. Please try again later.", headers={}),
}
_OLD = {
    **_VLLM,
    "model_not_found": _BOTH["model_not_found"],
    "context_length": Wording(
        message="This model's maximum context length is {limit_tokens} tokens. However, you requested "
        "{tokens} tokens in the messages, Please reduce the length of the messages.",
        param=None,
    ),
}
_FULL = Wording(message="The request queue is full.", headers={}, envelope=_sglang_exception)
_SGLANG = {
    **_BOTH,
    "context_length": Wording(
        message="The input ({tokens} tokens) is longer than the model's context length "
        "({limit_tokens} tokens).",
        param=None,
    ),
    "overloaded": _FULL,
    "slow_down": _FULL,
    "server_error": Wording(message="Internal server error"),
    "generation": Wording(message="Internal server error"),
}

VLLM = Provider("vllm", (), _envelope, _VLLM, _UVICORN, _frame)
VLLM_OLD = Provider("vllm-old", (), _old_envelope, _OLD, _UVICORN, _frame)
NIM = Provider("nim", (), _old_envelope, _OLD, _UVICORN, _frame)
SGLANG = Provider("sglang", (), _old_envelope, _SGLANG, _UVICORN, _frame)
