"""Google's Gemini API (ai.google.dev/gemini-api/docs/troubleshooting)."""

from __future__ import annotations

import re

from fakeai_proxy.errors import ApiError
from fakeai_proxy.providers.provider import Provider, date, request_id

_STATUSES = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip


def _envelope(error: ApiError, request_id: str) -> dict[str, object]:
    status = _STATUSES.get(error.status, "INTERNAL")
    return {
        "error": {"code": error.status, "message": error.message, "status": status, **error.detail}
    }


GOOGLE = Provider(
    "google",
    ("generativelanguage.googleapis.com",),
    _envelope,
    headers=((b"date", date), (b"x-request-id", request_id)),
    path=re.compile(r"/v1(beta)?/models/[^/]+:"),
)
