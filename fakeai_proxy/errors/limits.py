"""429 where no request is refused but what it would queue."""

from __future__ import annotations

from fakeai_proxy.errors.kinds import ApiError


def batch_queue_full(model: str, organization: str, limit_tokens: int) -> ApiError:
    return ApiError(
        429,
        f"Enqueued token limit reached for {model} in organization {organization}. Limit: "
        f"{limit_tokens:,} enqueued tokens. Please try again once some in_progress batches have "
        "been completed.",
        code="token_limit_exceeded",
    )
