"""What a recorded back end refused, and the limits that it told: for having ours do the same."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.cassette.view import plain_body
from fakeai_proxy.exchange import header

#: Who asks too much, and a back end that fails; other errors are the client's own.
_TOO_MANY = 429
_FAILS_FROM = 500
#: Different refusals of a model that are told apart, and waits that are kept of each.
_KINDS_MAX, _WAITS_MAX = 64, 1000
#: The vendors' headers of what a minute allows, under the names of the limits' profiles.
_LIMITS = (
    (b"x-ratelimit-limit-requests", "rpm"), (b"x-ratelimit-limit-tokens", "tpm"),
    (b"anthropic-ratelimit-requests-limit", "rpm"), (b"anthropic-ratelimit-tokens-limit", "tpm"),
    (b"anthropic-ratelimit-input-tokens-limit", "itpm"),
    (b"anthropic-ratelimit-output-tokens-limit", "otpm"),
)  # fmt: skip


@dataclass(slots=True)
class Refused:
    """One kind of refusal. `waits_s` are what `Retry-After` said."""

    status: int
    kind: str
    count: int = 0
    waits_s: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Manners:
    """Of one model."""

    provider: str = ""
    asked: int = 0
    refused: dict[tuple[int, str], Refused] = field(default_factory=dict)
    limits: dict[str, Counter[float]] = field(default_factory=lambda: defaultdict(Counter))

    @property
    def allowed(self) -> dict[str, float]:
        """What each limit was most often said to be."""
        return {name: told.most_common(1)[0][0] for name, told in self.limits.items()}


class Refusals:
    def __init__(self) -> None:
        self.by_model: dict[str, Manners] = {}

    def add(self, interaction: Interaction) -> None:
        response, model = interaction.response, interaction.view.get("model")
        if response is None or not isinstance(model, str):
            return
        manners = self.by_model.setdefault(model, Manners())
        manners.provider = str(interaction.view.get("provider") or manners.provider)
        manners.asked += 1
        for name, limit in _LIMITS:
            amount = _number(header(response.headers, name))
            if amount:
                manners.limits[limit][amount] += 1
        if response.status != _TOO_MANY and response.status < _FAILS_FROM:
            return
        kind = _kind(plain_body(response))
        found = manners.refused.get((response.status, kind))
        if found is None:
            if len(manners.refused) == _KINDS_MAX:
                return
            found = manners.refused[response.status, kind] = Refused(response.status, kind)
        found.count += 1
        wait_s = _number(header(response.headers, b"retry-after"))
        if wait_s is not None and len(found.waits_s) < _WAITS_MAX:
            found.waits_s.append(wait_s)

    def __iter__(self) -> Iterator[tuple[str, Manners]]:
        return iter(sorted(self.by_model.items()))


def _kind(body: bytes) -> str:
    """The code or the type that the vendor's envelope names."""
    try:
        told: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    inner = told.get("error", told) if isinstance(told, Mapping) else None
    if not isinstance(inner, Mapping):
        return ""
    names = (inner.get("code"), inner.get("type"), inner.get("status"))
    return next((name for name in names if isinstance(name, str)), "")


def _number(value: bytes | None) -> float | None:
    """A count or seconds; None for a date and for what is none."""
    try:
        number = float(value or b"")
    except ValueError:
        return None
    return number if 0 <= number < 1e12 else None
