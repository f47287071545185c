"""What a model costs: its price list, and the bill for what was used.

Money is US dollars in exact decimals. Counts are those of the vendor's `usage` objects: totals include
their parts, so that cached tokens are among the input tokens and audio tokens among both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from fakeai_proxy.profiles.reading import Data

Usd = Annotated[Decimal, Field(ge=0, le=10_000)]
Factor = Annotated[Decimal, Field(gt=0, le=10)]
Tier = Literal["default", "batch", "flex", "priority"]

_MILLION = Decimal(1_000_000)
_MINUTE_S = Decimal(60)


class LongPrice(Data):
    """Instead of the usual ones, for the whole of a request with more input than that."""

    above_tokens: int = Field(gt=0)
    input: Usd
    output: Usd
    cached_input: Usd | None = None
    cache_write: Usd | None = None
    cache_write_1h: Usd | None = None


class Price(Data):
    """Per million tokens where nothing else is said. What is not listed costs what the more general
    kind costs: cached or spoken input as input, spoken output as output."""

    input: Usd = Decimal(0)
    cached_input: Usd | None = None
    #: Input that is written to a cache that is kept for 5 minutes (or until it is needed), or an hour.
    cache_write: Usd | None = None
    cache_write_1h: Usd | None = None
    output: Usd = Decimal(0)
    audio_input: Usd | None = None
    cached_audio_input: Usd | None = None
    audio_output: Usd | None = None
    image_input: Usd | None = None
    cached_image_input: Usd | None = None
    image_output: Usd | None = None
    #: Of training a fine-tuned model, per million tokens.
    training: Usd | None = None
    #: Of sound that is heard or made.
    minute: Usd | None = None
    million_characters: Usd | None = None
    #: One picture by `QUALITY/SIZE` or `SIZE`.
    image: dict[str, Usd] = Field(default_factory=dict)
    #: One second of video by `SIZE`, or of any under "".
    video_second: dict[str, Usd] = Field(default_factory=dict)
    #: One web search, one query of a ranking.
    search: Usd | None = None
    #: What everything is multiplied by in that tier; without a factor the tier costs the same.
    batch: Factor | None = None
    flex: Factor | None = None
    priority: Factor | None = None
    long: LongPrice | None = None

    @property
    def is_free(self) -> bool:
        return not any(self.model_dump(exclude_none=True, exclude={"batch", "flex", "priority"})
                       .values())  # fmt: skip


@dataclass(frozen=True, slots=True)
class Usage:
    """`input_tokens` and `output_tokens` are totals; what is cached, written to a cache, sound or
    picture is a part of them. `images` counts pictures by `QUALITY/SIZE`, `video_seconds` by `SIZE`."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    audio_input_tokens: int = 0
    cached_audio_tokens: int = 0
    image_input_tokens: int = 0
    cached_image_tokens: int = 0
    audio_output_tokens: int = 0
    image_output_tokens: int = 0
    training_tokens: int = 0
    audio_seconds: float = 0.0
    characters: int = 0
    images: Mapping[str, int] = field(default_factory=dict)
    video_seconds: Mapping[str, float] = field(default_factory=dict)
    searches: int = 0
    tier: Tier = "default"


def bill(price: Price, usage: Usage) -> Decimal:
    """US dollars. Of pictures and videos in a size that is not listed the dearest price counts."""
    total = _tokens(price, usage) / _MILLION
    if price.minute is not None:
        total += price.minute * Decimal(str(usage.audio_seconds)) / _MINUTE_S
    if price.million_characters is not None:
        total += price.million_characters * usage.characters / _MILLION
    if price.search is not None:
        total += price.search * usage.searches
    for key, count in usage.images.items():
        total += _listed(price.image, key) * count
    for key, seconds in usage.video_seconds.items():
        total += _listed(price.video_second, key) * Decimal(str(seconds))
    return total * (_factor(price, usage.tier) or 1)


def _tokens(price: Price, usage: Usage) -> Decimal:
    """The cost of all tokens, in millionths."""
    long = price.long if price.long and usage.input_tokens > price.long.above_tokens else None
    rates = long or price
    cached = _or(rates.cached_input, rates.input)
    written = _or(rates.cache_write, rates.input)
    audio, image = _or(price.audio_input, rates.input), _or(price.image_input, rates.input)
    cached_text = usage.cached_tokens - usage.cached_audio_tokens - usage.cached_image_tokens
    text = (
        usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens
        - usage.cache_write_1h_tokens - (usage.audio_input_tokens - usage.cached_audio_tokens)
        - (usage.image_input_tokens - usage.cached_image_tokens)
    )  # fmt: skip
    said = usage.output_tokens - usage.audio_output_tokens - usage.image_output_tokens
    lines = (
        (text, rates.input),
        (cached_text, cached),
        (usage.cache_write_tokens, written),
        (usage.cache_write_1h_tokens, _or(rates.cache_write_1h, written)),
        (usage.audio_input_tokens - usage.cached_audio_tokens, audio),
        (usage.cached_audio_tokens, _or(price.cached_audio_input, _or(rates.cached_input, audio))),
        (usage.image_input_tokens - usage.cached_image_tokens, image),
        (usage.cached_image_tokens, _or(price.cached_image_input, _or(rates.cached_input, image))),
        (said, rates.output),
        (usage.audio_output_tokens, _or(price.audio_output, rates.output)),
        (usage.image_output_tokens, _or(price.image_output, rates.output)),
        (usage.training_tokens, _or(price.training, Decimal(0))),
    )
    # Parts that were counted generously are never worth less than nothing.
    return sum([rate * max(0, count) for count, rate in lines], Decimal(0))


def _or(rate: Decimal | None, otherwise: Decimal) -> Decimal:
    return otherwise if rate is None else rate


def _factor(price: Price, tier: Tier) -> Decimal | None:
    return {"batch": price.batch, "flex": price.flex, "priority": price.priority}.get(tier)


def _listed(prices: Mapping[str, Decimal], key: str) -> Decimal:
    if not prices:
        return Decimal(0)
    size = key.rpartition("/")[2]
    return prices.get(key, prices.get(size, max(prices.values())))
