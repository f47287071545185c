"""Azure's dialect: versions of the API, a filter in front of the model and one behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services.azure.annotating import Annotator, annotated
from fakeai_proxy.services.azure.content_filter import Sight, seen
from fakeai_proxy.services.azure.prompts import prompts_of
from fakeai_proxy.services.azure.settings import AzureSettings
from fakeai_proxy.services.azure.versions import (
    ANNOTATED_FROM,
    SHIELDED_FROM,
    check_body,
    check_version,
    model_of,
    version_of,
)
from fakeai_proxy.services.dialect import Dialect
from fakeai_proxy.services.operation import Call

#: Operations whose answers are annotated -> what the frames of their streams call themselves.
_ANNOTATED: Mapping[str, str] = {
    "createChatCompletion": "chat.completion.chunk", "createCompletion": "text_completion",
}  # fmt: skip


def _filtered_prompt(results: object) -> errors.ApiError:
    return errors.of_kind("content_filter", filtered=results)


def _filtered_picture(results: object) -> errors.ApiError:
    return errors.ApiError(
        400,
        "Your request was rejected as a result of our safety system. Your prompt may contain text "
        "that is not allowed by our safety system.",
        code="content_policy_violation",
        detail={
            "inner_error": {
                "code": "ResponsibleAIPolicyViolation", "content_filter_results": results,
            }
        },
        kind="bad_request",
    )  # fmt: skip


#: Operations whose prompts are filtered, and how they are refused.
_REFUSALS: Mapping[str, Callable[[object], errors.ApiError]] = {
    "createChatCompletion": _filtered_prompt,
    "createCompletion": _filtered_prompt,
    "createResponse": _filtered_prompt,
    "createImage": _filtered_picture,
    "createImageEdit": _filtered_picture,
}


class Azure(Dialect):
    silent = False

    def __init__(self, settings: AzureSettings) -> None:
        self._policy = settings.azure_content_filter

    def enter(self, call: Call, path: str) -> None:
        check_version(call, path)

    def admit(self, call: Call) -> None:
        check_body(call)
        refuse = _REFUSALS.get(call.operation.name)
        if refuse is None:
            return
        for sight in _prompts(call):
            if sight.blocks(self._policy):
                raise refuse(sight.of_prompt(self._policy, _is_shielded(call)))

    def finish(self, call: Call, reply: Reply) -> Reply:
        reply.headers += ((b"x-ms-rai-invoked", b"true"),) if _is_judged(call) else ()
        deployment = call.params.get("deployment")
        if deployment is not None:
            shown = deployment.encode("ascii", "replace")
            reply.headers += ((b"x-ms-deployment-name", shown),)
        chunk_object = _ANNOTATED.get(call.operation.name)
        if chunk_object is None or version_of(call) < ANNOTATED_FROM:
            return reply
        prompts = _prompts(call)
        return annotated(reply, Annotator(self._policy, _is_shielded(call), prompts, chunk_object))


def _prompts(call: Call) -> list[Sight]:
    def spelled(ids: list[int]) -> str:
        card = model_of(call)
        if card is None:
            return ""  # refused by the room, as are ids that stand for nothing
        tokens = Tokens.load(card.vocabulary)
        return tokens.decode([token for token in ids if tokens.knows(token)])

    return [seen(prompt.whole, prompt.by_user) for prompt in prompts_of(call.body, spelled)]


def _is_judged(call: Call) -> bool:
    return call.operation.name in _REFUSALS


def _is_shielded(call: Call) -> bool:
    return version_of(call) >= SHIELDED_FROM


def dialect(settings: AzureSettings) -> Dialect:
    return Azure(settings)
