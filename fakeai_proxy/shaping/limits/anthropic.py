"""Anthropic's way of telling: a family of headers for each amount, with instants in RFC 3339."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from fakeai_proxy.errors import ApiError
from fakeai_proxy.providers.anthropic import ANTHROPIC
from fakeai_proxy.shaping.limits.duration import month_end, rfc3339, whole_s
from fakeai_proxy.shaping.limits.standing import Refusal, Standing, Standings

#: Organizations are UUIDs there; every answer tells the same.
_ORGANIZATION = next(
    value.decode()
    for name, value in ANTHROPIC.headers
    if name == b"anthropic-organization-id" and isinstance(value, bytes)
)
_PREFIX = b"anthropic-ratelimit-"
#: Remaining tokens are quoted in thousands.
_ROUNDED_TO = 1000
_NAMES = {
    "rpm": "requests per minute",
    "rpd": "requests per day",
    "tpm": "tokens per minute",
    "tpd": "tokens per day",
    "itpm": "input tokens per minute",
    "otpm": "output tokens per minute",
    "ipm": "images per minute",
}
_SALES = "https://claude.com/contact-sales"
_ADVICE = (
    "For details, refer to: https://docs.claude.com/en/api/rate-limits. You can see the response "
    "headers for current usage. Please reduce the prompt length or the maximum tokens requested, or "
    f"try again later. You may also contact sales at {_SALES} to discuss your options for a rate "
    "limit increase."
)
_CONCURRENT = (
    "Number of concurrent connections has exceeded your rate limit. Please try again later or "
    f"contact sales at {_SALES} to discuss your options for a rate limit increase."
)


def anthropic_headers(standings: Standings, wall: Callable[[], float]) -> list[tuple[bytes, bytes]]:
    headers: list[tuple[bytes, bytes]] = []
    epoch_s = wall()
    if "rpm" in standings:
        headers += _family(b"requests", standings["rpm"], epoch_s, 1)
    read, written = standings.get("itpm"), standings.get("otpm")
    both = standings.get("tpm")
    if both is None and read is not None and written is not None:
        both = Standing(
            read.limit + written.limit,
            read.used + written.used,
            max(read.reset_s, written.reset_s),
        )
    for name, one in ((b"input-tokens", read), (b"output-tokens", written), (b"tokens", both)):
        if one is not None:
            headers += _family(name, one, epoch_s, _ROUNDED_TO)
    return headers


def _family(
    name: bytes, one: Standing, epoch_s: float, rounded_to: int
) -> Iterator[tuple[bytes, bytes]]:
    remaining = one.remaining
    if rounded_to > 1:
        remaining = min(one.shown_limit, round(remaining / rounded_to) * rounded_to)
    yield _PREFIX + name + b"-limit", b"%d" % one.shown_limit
    yield _PREFIX + name + b"-remaining", b"%d" % remaining
    yield _PREFIX + name + b"-reset", rfc3339(epoch_s + one.reset_s).encode()


def anthropic_refusal(refusal: Refusal, epoch_s: float) -> ApiError:
    headers = {"x-should-retry": "true"}
    if refusal.name == "usd_per_month":
        return anthropic_spend_exceeded(epoch_s)
    if refusal.wait_s < math.inf:
        headers["retry-after"] = str(max(1, whole_s(refusal.wait_s)))
    if refusal.name == "concurrent":
        return ApiError(429, _CONCURRENT, type="rate_limit_error", headers=headers)
    return ApiError(
        429,
        f"This request would exceed your organization's rate limit of "
        f"{refusal.standing.shown_limit:,} {_NAMES[refusal.name]} (org: "
        f"{_ORGANIZATION}, model: {refusal.model}). {_ADVICE}",
        type="rate_limit_error",
        headers=headers,
    )


def anthropic_spend_exceeded(epoch_s: float) -> ApiError:
    """Without `retry-after`: the month is long."""
    day = rfc3339(month_end(epoch_s))[:10]
    return ApiError(
        429,
        "You have reached your specified API usage limits. You will regain access on "
        f"{day} at 00:00 UTC.",
        type="rate_limit_error",
    )
