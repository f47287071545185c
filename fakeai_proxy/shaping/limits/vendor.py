"""The ways of telling, as a table; whoever is not in it tells as OpenAI does."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from fakeai_proxy.errors import ApiError
from fakeai_proxy.shaping.limits.anthropic import (
    anthropic_headers,
    anthropic_refusal,
    anthropic_spend_exceeded,
)
from fakeai_proxy.shaping.limits.azure import azure_headers, azure_refusal
from fakeai_proxy.shaping.limits.openai import (
    TOLD,
    openai_headers,
    openai_quota_exceeded,
    openai_refusal,
)
from fakeai_proxy.shaping.limits.standing import Refusal, Standings


class Vendor(NamedTuple):
    """All are given the wall time, in seconds since the epoch; `headers` only if it asks."""

    #: Headers of an upstream that give way to ours begin like this.
    prefix: bytes
    #: The amounts that its headers tell.
    told: frozenset[str]
    headers: Callable[[Standings, Callable[[], float]], list[tuple[bytes, bytes]]]
    refusal: Callable[[Refusal, float], ApiError]
    quota_exceeded: Callable[[float], ApiError]


OPENAI = Vendor(
    b"x-ratelimit-",
    TOLD,
    openai_headers,
    lambda refusal, epoch_s: openai_refusal(refusal),
    lambda epoch_s: openai_quota_exceeded(),
)
VENDORS = {
    "azure": Vendor(
        b"x-ratelimit-",
        TOLD,
        azure_headers,
        lambda refusal, epoch_s: azure_refusal(refusal),
        lambda epoch_s: openai_quota_exceeded(),
    ),
    "anthropic": Vendor(
        b"anthropic-ratelimit-",
        frozenset(("rpm", "itpm", "otpm", "tpm")),
        anthropic_headers,
        anthropic_refusal,
        anthropic_spend_exceeded,
    ),
}


def vendor_of(provider: str) -> Vendor:
    return VENDORS.get(provider, OPENAI)
