"""What no inference server says by itself: gateways in front of one say it with HTTP's own phrase."""

from __future__ import annotations

from fakeai_proxy.providers.provider import Wording

_BUSY = {"retry-after": "{retry_after_s}"}

BY_PHRASE = {
    "missing_key": Wording(message="Unauthorized"),
    "authentication": Wording(message="Unauthorized"),
    "permission": Wording(message="Forbidden"),
    "request_timeout": Wording(message="Request Timeout"),
    "conflict": Wording(message="Conflict"),
    "request_too_large": Wording(message="Request Entity Too Large"),
    "content_filter": Wording(message="The prompt was refused by a content filter."),
    "rate_limit": Wording(message="Too Many Requests", headers=_BUSY),
    "quota": Wording(message="Too Many Requests"),
    "bad_gateway": Wording(message="Bad Gateway"),
    "timeout": Wording(message="Gateway Timeout"),
}
