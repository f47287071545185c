"""401, 404 and 405: who may ask, and for what."""

from __future__ import annotations

from collections.abc import Sequence

from fakeai_proxy.errors.catalogue import of_kind
from fakeai_proxy.errors.kinds import ApiError


def missing_key(is_required: bool = False) -> ApiError:
    """`is_required`: not any key will do."""
    hint = "Any non-empty key is accepted here."
    if is_required:
        hint = "Keys for this server are made with `fakeai-proxy keys create`."
    return of_kind("missing_key", hint=hint)


def mismatched(what: str) -> ApiError:
    """401: the header names another `organization` or `project` than the key's."""
    return of_kind(
        "authentication",
        f"OpenAI-{what.title()} header should match {what} for API key",
        code=f"mismatched_{what}",
    )


def wrong_role(is_for_admins: bool) -> ApiError:
    """403: some operations are for keys of administrators, all others for keys of projects."""
    scope = "api.management.read" if is_for_admins else "model.request"
    kind = "an admin key" if is_for_admins else "the key of a project"
    return of_kind(
        "permission",
        f"You have insufficient permissions for this operation. Missing scopes: {scope}. This "
        f"operation asks for {kind}.",
    )


def wrong_key(key: str) -> ApiError:
    shown = key if len(key) <= 8 else f"{key[:4]}{'*' * min(len(key) - 8, 20)}{key[-4:]}"
    return of_kind("authentication", key=shown)


#: Names listed in a message.
_NAMES_MAX = 12


def model_not_found(
    name: str, near: Sequence[str] = (), fleet: str = "", served: Sequence[str] = ()
) -> ApiError:
    """`served` are the models that `fleet` has under names of its own."""
    hint = _how_to_serve(name, near)
    if served:
        hint = f"The fleet '{fleet}' serves {', '.join(served[:_NAMES_MAX])}. {hint}"
    return of_kind("model_not_found", model=name, hint=hint)


def model_unknown(name: str) -> ApiError:
    """At `/models/{name}`, which has other words for it."""
    return ApiError(
        404,
        f"The model '{name}' does not exist",
        param="model",
        code="model_not_found",
        kind="model_not_found",
        facts={"model": name},
    )


def deployment_not_found(name: str, near: Sequence[str] = ()) -> ApiError:
    """Azure's word for an unknown model."""
    return ApiError(
        404,
        "The API deployment for this resource does not exist. If you created the deployment within "
        "the last 5 minutes, please wait a moment and try again.",
        code="DeploymentNotFound",
        kind="model_not_found",
        facts={"model": name},
        hint=_how_to_serve(name, near),
    )


def _how_to_serve(name: str, near: Sequence[str]) -> str:
    hint = f"Near: {', '.join(near)}. " if near else ""
    return f"{hint}To serve it here, start with --model {name} or --any-model."


def model_not_deletable(name: str) -> ApiError:
    return ApiError(
        403,
        f"You have insufficient permissions for this operation. '{name}' is not a fine-tuned model "
        "of yours, and only those can be deleted.",
        param="model",
    )


#: Where models of a kind are asked.
_ROUTES = {
    "chat": "v1/chat/completions", "completion": "v1/completions", "embedding": "v1/embeddings",
    "rerank": "v1/rerank", "moderation": "v1/moderations", "speech": "v1/audio/speech",
    "transcription": "v1/audio/transcriptions", "realtime": "v1/realtime",
    "image": "v1/images/generations", "video": "v1/videos",
}  # fmt: skip


def wrong_kind_of_model(name: str, kind: str) -> ApiError:
    route = _ROUTES[kind]
    return ApiError(
        404,
        f"This is {'an' if kind[0] in 'aeiou' else 'a'} {kind} model and not supported in this "
        f"endpoint. Did you mean to use {route}?",
        param="model",
    )


def unknown_url(method: str, path: str) -> ApiError:
    return of_kind("not_found", method=method, path=path)


def method_not_allowed(method: str, path: str, allowed: str) -> ApiError:
    return ApiError(
        405,
        f"Not allowed to {method} on {path}. (HINT: Perhaps you meant to use a different HTTP "
        f"method? Allowed: {allowed}.)",
        code="method_not_supported",
        headers={"allow": allowed},
        kind="method",
        facts={"method": method, "path": path},
    )
