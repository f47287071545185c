"""OpenAI's way of telling: Go durations in headers, sums in messages."""

from __future__ import annotations

import math
from collections.abc import Callable

from fakeai_proxy.errors import ApiError
from fakeai_proxy.shaping.limits.duration import (
    go_duration,
    nearest_go_duration,
    whole_ms,
    whole_s,
)
from fakeai_proxy.shaping.limits.standing import ROUNDING, Refusal, Standings

_MORE = "Visit https://platform.openai.com/account/rate-limits to learn more."
_QUOTA = (
    "You exceeded your current quota, please check your plan and billing details. For more "
    "information on this error, read the docs: "
    "https://platform.openai.com/docs/guides/error-codes/api-errors."
)
#: Amount -> what the message calls it, and the error's type.
_NAMES = {
    "rpm": ("requests per min (RPM)", "requests"),
    "rpd": ("requests per day (RPD)", "requests"),
    "tpm": ("tokens per min (TPM)", "tokens"),
    "tpd": ("tokens per day (TPD)", "tokens"),
    "itpm": ("input tokens per min (ITPM)", "tokens"),
    "otpm": ("output tokens per min (OTPM)", "tokens"),
    "ipm": ("images per min (IPM)", "images"),
    "concurrent": ("concurrent requests", "requests"),
}
#: The names of a header family, and which amount it quotes: the first that there is. The day's
#: requests come before the minute's: an answer with 10,000 a day has a reset of 8.64s, whatever it
#: has a minute.
_FAMILIES = tuple(
    (
        b"x-ratelimit-limit-" + family,
        b"x-ratelimit-remaining-" + family,
        b"x-ratelimit-reset-" + family,
        names,
    )
    for family, names in ((b"requests", ("rpd", "rpm")), (b"tokens", ("tpm", "tpd", "itpm")))
)
TOLD = frozenset(name for *_, names in _FAMILIES for name in names)


def openai_headers(standings: Standings, wall: Callable[[], float]) -> list[tuple[bytes, bytes]]:
    headers: list[tuple[bytes, bytes]] = []
    for limit, remaining, reset, names in _FAMILIES:
        for name in names:
            if name in standings:
                most, used, reset_s, _ = standings[name]
                left = most - used
                headers += (
                    (limit, b"%d" % (most + ROUNDING)),
                    (remaining, b"%d" % (left + ROUNDING) if left > 0 else b"0"),
                    (reset, nearest_go_duration(reset_s)),
                )
                break
    return headers


def openai_refusal(refusal: Refusal) -> ApiError:
    if refusal.name == "usd_per_month":
        return openai_quota_exceeded()
    what, kind = _NAMES[refusal.name]
    where = f"{refusal.model} in organization {refusal.organization} on {what}"
    limit = refusal.standing.shown_limit
    if refusal.wait_s == math.inf:
        reduce = "The input or output tokens must be reduced in order to run successfully. "
        return ApiError(
            429,
            f"Request too large for {where}: Limit {limit}, Requested {refusal.shown_requested}. "
            f"{reduce if kind == 'tokens' else ''}{_MORE}",
            type=kind,
            code="rate_limit_exceeded",
            kind="rate_limit",
        )
    return ApiError(
        429,
        f"Rate limit reached for {where}: Limit {limit}, Used {refusal.standing.shown_used}, "
        f"Requested {refusal.shown_requested}. Please try again in {go_duration(refusal.wait_s)}. "
        f"{_MORE}",
        type=kind,
        code="rate_limit_exceeded",
        kind="rate_limit",
        headers={
            "retry-after": str(whole_s(refusal.wait_s)),
            "retry-after-ms": str(whole_ms(refusal.wait_s)),
        },
    )


def openai_quota_exceeded() -> ApiError:
    """No header says when to try again: waiting does not help."""
    return ApiError(429, _QUOTA, type="insufficient_quota", code="insufficient_quota", kind="quota")
