"""Azure OpenAI: its gateway says `code` and `message` only, the models behind it speak as OpenAI's.

Sources: learn.microsoft.com/azure/ai-services/openai (quotas, content filter), bodies that users
posted (openai/openai-dotnet#55 and #838, openai/openai-python#937).
"""

from __future__ import annotations

import re

from fakeai_proxy.errors import ApiError
from fakeai_proxy.providers.provider import (
    Facts,
    Provider,
    Wording,
    date,
    request_id,
    request_uuid,
)


def _envelope(error: ApiError, request_id: str) -> dict[str, object]:
    return {"error": {"code": error.code or str(error.status), "message": error.message,
                      "param": error.param, "type": error.type, **error.detail}}  # fmt: skip


def _gateway(error: ApiError, request_id: str) -> dict[str, object]:
    return {"error": {"code": error.code or str(error.status), "message": error.message}}


def _model(error: ApiError, request_id: str) -> dict[str, object]:
    return {"error": {"message": error.message, "type": error.type, "param": error.param,
                      "code": error.code}}  # fmt: skip


_SEVERITIES = ("hate", "self_harm", "sexual", "violence")


def _filtered(facts: Facts) -> dict[str, object]:
    """`innererror`, with what the facts have as `filtered`, or their category alone."""
    if "filtered" in facts:
        return _inner(facts["filtered"])
    caught = facts["category"]
    result: dict[str, object] = {
        name: {"filtered": name == caught, "severity": "medium" if name == caught else "safe"}
        for name in _SEVERITIES
    }
    result["jailbreak"] = {"filtered": caught == "jailbreak", "detected": caught == "jailbreak"}
    return _inner(dict(sorted(result.items())))


def _inner(result: object) -> dict[str, object]:
    return {
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": result},
    }


_DENIED = Wording(
    message="Access denied due to invalid subscription key or wrong API endpoint. Make sure to "
    "provide a valid key for an active subscription and use a correct regional API endpoint for your "
    "resource.",
    type=None, code="401", envelope=_gateway,
)  # fmt: skip

AZURE = Provider(
    "azure",
    ("*.openai.azure.com", "*.services.ai.azure.com", "*.cognitiveservices.azure.com"),
    _envelope,
    {
        "missing_key": _DENIED,
        "authentication": _DENIED,
        "permission": Wording(
            message="Access denied due to Virtual Network/Firewall rules.",
            code="AccessDenied", envelope=_gateway,
        ),
        "not_found": Wording(message="Resource not found", code="404", envelope=_gateway),
        "method": Wording(message="Method not allowed", code="405", envelope=_gateway),
        "model_not_found": Wording(
            message="The API deployment for this resource does not exist. If you created the "
            "deployment within the last 5 minutes, please wait a moment and try again.",
            code="DeploymentNotFound", envelope=_gateway,
        ),
        "content_filter": Wording(
            message="The response was filtered due to the prompt triggering Azure OpenAI's content "
            "management policy. Please modify your prompt and retry. To learn more about our content "
            "filtering policies please read our documentation: "
            "https://go.microsoft.com/fwlink/?linkid=2198766",
            type=None, param="prompt", code="content_filter", detail=_filtered,
        ),
        "context_length": Wording(envelope=_model),
        "request_timeout": Wording(
            message="The operation was timeout.", code="Timeout", envelope=_gateway
        ),
        "timeout": Wording(
            message="The operation was timeout.", code="Timeout", envelope=_gateway
        ),
        "rate_limit": Wording(
            message="Requests to the ChatCompletions_Create Operation under Azure OpenAI API version "
            "2024-10-21 have exceeded call rate limit of your current OpenAI S0 pricing tier. Please "
            "retry after {retry_after_s} seconds. Please go here: https://aka.ms/oai/quotaincrease "
            "if you would like to further increase the default rate limit.",
            code="429", envelope=_gateway,
        ),
        "quota": Wording(code="insufficient_quota", envelope=_gateway),
        "slow_down": Wording(
            429,
            "The system is currently experiencing high demand and cannot process your request. Your "
            "request exceeds the maximum usage size allowed during peak load. For improved capacity "
            "reliability, consider switching to Provisioned Throughput.",
            "too_many_requests", code="too_many_requests", envelope=_model,
        ),
        "server_error": Wording(code=None, envelope=_model),
        "overloaded": Wording(
            message="That model is currently overloaded with other requests. You can retry your "
            "request, or contact us through an Azure support request at: "
            "https://go.microsoft.com/fwlink/?linkid=2213926 if the error persists.",
            type="server_error", code=None, envelope=_model,
        ),
        "bad_gateway": Wording(message="Bad gateway", code="502", envelope=_gateway),
    },
    headers=(
        (b"date", date),
        (b"apim-request-id", request_uuid),
        (b"x-ms-region", b"East US"),
        (b"x-ms-client-request-id", request_uuid),
        (b"x-content-type-options", b"nosniff"),
        (b"strict-transport-security", b"max-age=31536000; includeSubDomains; preload"),
        (b"x-request-id", request_id),
    ),
    path=re.compile(r"/openai/"),
)  # fmt: skip
