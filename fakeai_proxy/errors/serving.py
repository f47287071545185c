"""What becomes of an answer whose engine is lost."""

from __future__ import annotations

from fakeai_proxy.errors.kinds import ApiError


def responder_failed(target: str, reason: str) -> ApiError:
    """500: the user's own code, whose fault it is and who wants to know."""
    return ApiError(
        500,
        f"The responder {target} failed: {reason}",
        type="server_error",
        code="responder_failed",
        headers={"x-should-retry": "false"},
    )


def backend_died(reason: str) -> ApiError:
    """502: the worker that had the request is gone, and nothing has been sent of the answer."""
    return ApiError(
        502,
        f"The engine that was working on this request failed: {reason}.",
        type="server_error",
        code="engine_dead",
    )
