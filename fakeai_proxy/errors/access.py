"""401, 404 and 405: who may ask, and for what."""

from __future__ import annotations

from collections.abc import Sequence

from fakeai_proxy.errors.kinds import ApiError


def missing_key() -> ApiError:
    return ApiError(
        401,
        "You didn't provide an API key. You need to provide your API key in an Authorization "
        "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY). Any non-empty key is "
        "accepted here.",
    )


def fault_refused() -> ApiError:
    return ApiError(
        403,
        "Faults on demand (header x-fakeai-fault) are for clients on this machine; start with "
        "--fault-header on to let everybody ask for them.",
        type="permission_error",
        code="fault_refused",
        headers={"x-should-retry": "false"},
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
