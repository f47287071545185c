"""Azure's versions of the API, and what came with which.

Sources: the folders of azure-rest-api-specs (specification/cognitiveservices/data-plane/AzureOpenAI),
learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle, and refusals that users posted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from fakeai_proxy import errors
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.operation import Call

VERSIONS = frozenset(
    (
        "2022-03-01-preview", "2022-06-01-preview", "2022-12-01", "2023-03-15-preview", "2023-05-15",
        "2023-06-01-preview", "2023-07-01-preview", "2023-08-01-preview", "2023-09-01-preview",
        "2023-10-01-preview", "2023-12-01-preview", "2024-02-01", "2024-02-15-preview",
        "2024-03-01-preview", "2024-04-01-preview", "2024-05-01-preview", "2024-06-01",
        "2024-07-01-preview", "2024-08-01-preview", "2024-09-01-preview", "2024-10-01-preview",
        "2024-10-21", "2024-12-01-preview", "2025-01-01-preview", "2025-02-01-preview",
        "2025-03-01-preview", "2025-04-01-preview",
    )
)  # fmt: skip
#: What may be said on `/openai/v1/...`, where nothing need be.
_V1 = frozenset(("", "v1", "preview", "latest"))
#: From when on answers are annotated, and attacks on the prompt and known texts told.
ANNOTATED_FROM, SHIELDED_FROM = "2023-06-01", "2023-12-01"


class Since(NamedTuple):
    """Something that an older version refuses, in these words."""

    asked: Callable[[Call], bool]
    version: str
    message: str


def _wants_schema(call: Call) -> bool:
    wanted = getattr(call.body, "response_format", None)
    return getattr(wanted, "type", "") == "json_schema"


def model_of(call: Call) -> ModelCard | None:
    """The one that the call means, if there is one."""
    name = call.params.get("deployment") or getattr(call.body, "model", None) or ""
    return call.catalogue.find(name) if isinstance(name, str) else None


def _reasons(call: Call) -> bool:
    card = model_of(call)
    return call.operation.name == "createChatCompletion" and bool(card and card.reasoning)


SINCE = (
    Since(
        _wants_schema, "2024-08-01",
        "response_format value as json_schema is enabled only for api versions 2024-08-01-preview and "
        "later",
    ),
    Since(
        _reasons, "2024-12-01",
        "Model {model} is enabled only for api versions 2024-12-01-preview and later",
    ),
)  # fmt: skip
#: First segments of paths that came later than the API itself.
_PATHS: Mapping[str, tuple[str, str]] = {
    "responses": (
        "2025-03-01",
        "Azure OpenAI Responses API is enabled only for api-version 2025-03-01-preview and later",
    ),
}


def version_of(call: Call) -> str:
    """The day of the version that was asked for; beyond all days for the one without."""
    version = call.query.get("api-version", "")
    return version[:10] if version in VERSIONS else "9999"


def check_version(call: Call, path: str) -> None:
    """Raises 404 where a version is missing or unknown, 400 where it is too old for the path."""
    version = call.query.get("api-version", "")
    if path.startswith("/openai/v1/"):
        if version not in _V1:
            raise _too_old("API version not supported")
        return
    if not path.startswith("/openai/"):
        return
    if version not in VERSIONS:
        raise errors.of_kind("not_found", method=call.operation.method, path=path)
    segment = path.split("/")[2]
    since, message = _PATHS.get(segment, ("", ""))
    if version < since:
        raise _too_old(message)


def check_body(call: Call) -> None:
    """Raises 400 where the body asks for what its version does not know."""
    version = version_of(call)
    for since in SINCE:
        if version < since.version and since.asked(call):
            card = model_of(call)
            raise _too_old(since.message.format(model=card.id if card else ""))


def _too_old(message: str) -> errors.ApiError:
    return errors.of_kind("bad_request", message, code="BadRequest", type=None)
