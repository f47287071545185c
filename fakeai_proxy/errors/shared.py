"""What becomes of a request that has to be settled with other processes, while these are out of reach."""

from __future__ import annotations

from fakeai_proxy.errors.kinds import ApiError

#: Seconds until asking again is worth it.
_RETRY_AFTER_S = 1


def limits_unavailable(reason: str) -> ApiError:
    """503: whether there is room is not known, so nobody is let in and nothing is counted."""
    return ApiError(
        503,
        f"The rate limits cannot be checked: {reason}. Nothing was counted; please try again.",
        type="server_error",
        code="limits_unavailable",
        headers={"retry-after": str(_RETRY_AFTER_S)},
    )


def operation_undelivered(reason: str) -> ApiError:
    return ApiError(
        503,
        f"The other processes cannot be told of it: {reason}. Nothing was changed; please try again.",
        type="server_error",
        code="control_unavailable",
        headers={"retry-after": str(_RETRY_AFTER_S)},
    )


def operation_unconfirmed() -> ApiError:
    return ApiError(
        503,
        "It was sent to all processes, but has not come about here in time. Please look whether it "
        "has.",
        type="server_error",
        code="control_unconfirmed",
        headers={"retry-after": str(_RETRY_AFTER_S)},
    )
