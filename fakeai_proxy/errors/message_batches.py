"""What is particular to batches of messages, in Anthropic's words."""

from __future__ import annotations

from fakeai_proxy.errors.bodies import bad_request
from fakeai_proxy.errors.kinds import ApiError


def message_batch_not_found(batch_id: str) -> ApiError:
    return ApiError(404, f"Message Batch `{batch_id}` not found.")


def message_batch_has_ended(batch_id: str) -> ApiError:
    return bad_request(f"Batch {batch_id} cannot be canceled because it has already ended.")


def message_batch_has_not_ended(batch_id: str) -> ApiError:
    return bad_request(
        f"Batch {batch_id} is still processing and cannot be deleted. Cancel it first."
    )


def message_batch_has_no_results(batch_id: str) -> ApiError:
    return ApiError(
        404,
        f"Batch {batch_id} has no available results. Results are available once processing has ended.",
    )
