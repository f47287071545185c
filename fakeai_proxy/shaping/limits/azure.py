"""Azure's way of telling: whole seconds, and a message that names operation and pricing tier."""

from __future__ import annotations

import math
from collections.abc import Callable
from urllib.parse import parse_qsl

from fakeai_proxy.errors import ApiError
from fakeai_proxy.providers.azure import AZURE
from fakeai_proxy.shaping.limits.duration import whole_ms, whole_s
from fakeai_proxy.shaping.limits.openai import openai_quota_exceeded
from fakeai_proxy.shaping.limits.standing import Refusal, Standings

#: Of a request that is larger than the limit, which no wait helps (as Azure answers it).
_NEVER_S = 86_400
#: As every answer's headers tell it.
_REGION = next(
    value.decode()
    for name, value in AZURE.headers
    if name == b"x-ms-region" and isinstance(value, bytes)
)
_OPERATIONS = {
    "chat/completions": "ChatCompletions_Create",
    "completions": "Completions_Create",
    "embeddings": "Embeddings_Create",
    "responses": "Responses_Create",
    "images/generations": "ImageGenerations_Create",
    "images/edits": "ImageEdits_Create",
    "audio/speech": "AudioSpeech_Create",
    "audio/transcriptions": "Transcriptions_Create",
    "audio/translations": "Translations_Create",
}
_FAMILIES = ((b"requests", ("rpm", "rpd")), (b"tokens", ("tpm", "tpd", "itpm")))


def azure_headers(standings: Standings, wall: Callable[[], float]) -> list[tuple[bytes, bytes]]:
    headers = []
    for family, names in _FAMILIES:
        for name in names:
            if name in standings:
                one = standings[name]
                headers += [
                    (b"x-ratelimit-limit-" + family, b"%d" % one.shown_limit),
                    (b"x-ratelimit-remaining-" + family, b"%d" % one.remaining),
                    (b"x-ratelimit-reset-" + family, b"%d" % whole_s(one.reset_s)),
                    (b"x-ratelimit-renewalperiod-" + family, b"%d" % whole_s(one.period_s)),
                ]
                break
    return headers


def azure_refusal(refusal: Refusal) -> ApiError:
    if refusal.name == "usd_per_month":
        return openai_quota_exceeded()
    never = refusal.wait_s == math.inf
    wait_s = _NEVER_S if never else max(1, whole_s(refusal.wait_s))
    what = "token" if "tp" in refusal.name else "call"
    operation = _OPERATIONS.get(refusal.operation, refusal.operation)
    version = dict(parse_qsl(refusal.query)).get("api-version", "")
    if version:
        message = (
            f"Requests to the {operation} Operation under Azure OpenAI API version {version} have "
            f"exceeded {what} rate limit of your current AIServices S0 pricing tier. Please retry "
            f"after {wait_s} seconds. Please contact Azure support service if you would like to "
            "further increase the default rate limit."
        )
    else:
        deployment = refusal.deployment or refusal.model
        message = (
            f"Your requests to {deployment} for {refusal.model} in {_REGION} have exceeded the "
            f"{what} rate limit for your current AIServices S0 pricing tier. This request was for "
            f"{operation} under Azure OpenAI API version v1. Please retry after {wait_s} seconds. "
            "To increase your default rate limit, visit: https://aka.ms/oai/quotaincrease."
        )
    wait_ms = wait_s * 1000 if never else whole_ms(refusal.wait_s)
    return ApiError(
        429,
        message,
        code="429",
        headers={
            "retry-after": str(wait_s),
            "retry-after-ms": str(wait_ms),
            "policy-id": "DeploymentRatelimit-" + ("Token" if what == "token" else "Call"),
        },
    )
