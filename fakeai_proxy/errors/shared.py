"""What becomes of a request that has to be settled with other processes, while these are out of reach."""

from __future__ import annotations

from fakeai_proxy.errors.kinds import ApiError, unavailable


def limits_unavailable(reason: str) -> ApiError:
    """503: whether there is room is not known, so nobody is let in and nothing is counted."""
    return unavailable(
        f"The rate limits cannot be checked: {reason}. Nothing was counted; please try again.",
        "limits_unavailable",
    )


def operation_undelivered(reason: str) -> ApiError:
    return unavailable(
        f"The other processes cannot be told of it: {reason}. Nothing was changed; please try again.",
        "control_unavailable",
    )


def operation_unconfirmed() -> ApiError:
    return unavailable(
        "It was sent to all processes, but has not come about here in time. Please look whether it "
        "has.",
        "control_unconfirmed",
    )
