"""What all of that costs, by day: every kind of usage by the price list of its model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from fakeai_proxy.exchange import Reply
from fakeai_proxy.profiles.price import Price, Tier, Usage, bill
from fakeai_proxy.services import metering
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.organization.buckets import COSTS_WIDTHS, Query
from fakeai_proxy.services.organization.usage import DEFAULTS, completions, settled, tallied
from fakeai_proxy.services.wire import json_reply
from fakeai_proxy.store import Sum

_GROUPS = ("project_id", "user_id", "line_item", "api_key_id", "api_source")
_FILTERS = ("project_ids", "user_ids", "api_key_ids", "line_items")
#: platform.openai.com/docs/pricing, built-in tools, US dollars: a container of 1 GB, a search in files,
#: a gigabyte of vector stores and day beyond the first.
SESSION_USD, FILE_SEARCH_USD, GIGABYTE_DAY_USD = Decimal("0.03"), Decimal("0.0025"), Decimal("0.10")
#: A search on the web, of models whose list says nothing else.
WEB_SEARCH_USD = Decimal("0.01")
_GIGABYTE, _FREE_BYTES = 1 << 30, 1 << 30
_TIERS: dict[str, Tier] = {"flex": "flex", "priority": "priority", "batch": "batch"}

Amounts = Mapping[str, int]


class Line(NamedTuple):
    """One line of a bill. `item` follows the model's name."""

    item: str
    quantity: float
    unit: str | None
    usd: Decimal


class Priced(NamedTuple):
    """A price list as it is for some requests."""

    price: Price
    tier: Tier

    def usd(self, **used: Any) -> Decimal:
        return bill(self.price, Usage(tier=self.tier, **used))


def _tokens(priced: Priced, amounts: Amounts) -> Iterator[Line]:
    parts = completions(amounts)
    hour = amounts.get("input_cache_write_1h_tokens", 0)
    for item, count, used in (
        ("input_tokens", parts["input_text_tokens"], ("input_tokens",)),
        ("cached_input_tokens", parts["input_cached_text_tokens"],
         ("input_tokens", "cached_tokens")),
        ("cache_write_tokens", parts["input_cache_write_tokens"] - hour,
         ("input_tokens", "cache_write_tokens")),
        ("cache_write_1h_tokens", hour, ("input_tokens", "cache_write_1h_tokens")),
        ("audio_input_tokens", parts["input_audio_tokens"],
         ("input_tokens", "audio_input_tokens")),
        ("cached_audio_input_tokens", parts["input_cached_audio_tokens"],
         ("input_tokens", "cached_tokens", "audio_input_tokens", "cached_audio_tokens")),
        ("image_input_tokens", parts["input_image_tokens"],
         ("input_tokens", "image_input_tokens")),
        ("cached_image_input_tokens", parts["input_cached_image_tokens"],
         ("input_tokens", "cached_tokens", "image_input_tokens", "cached_image_tokens")),
        ("output_tokens", parts["output_text_tokens"], ("output_tokens",)),
        ("audio_output_tokens", parts["output_audio_tokens"],
         ("output_tokens", "audio_output_tokens")),
        ("image_output_tokens", parts["output_image_tokens"],
         ("output_tokens", "image_output_tokens")),
        ("training_tokens", amounts.get("training_tokens", 0), ("training_tokens",)),
    ):  # fmt: skip
        if count > 0:
            usd = priced.usd(**dict.fromkeys(used, count))
            yield Line(item, count, "tokens", usd)


def _pictures(priced: Priced, amounts: Amounts, labels: Mapping[str, str]) -> Iterator[Line]:
    if not priced.price.image:
        yield from _tokens(priced, amounts)
        return
    size = f"{labels.get('quality', '')}/{labels.get('size', '')}".lstrip("/")
    count = amounts.get("images", 0)
    yield Line("images", count, "images", priced.usd(images={size: count}))


def _speech(priced: Priced, amounts: Amounts) -> Iterator[Line]:
    if priced.price.million_characters is None:
        yield from _tokens(priced, amounts)
        return
    count = amounts.get("characters", 0)
    yield Line("characters", count, "characters", priced.usd(characters=count))


def _transcribed(priced: Priced, amounts: Amounts) -> Iterator[Line]:
    if priced.price.input:
        # By tokens; the price of a minute in its list is what that comes to.
        yield from _tokens(Priced(priced.price.model_copy(update={"minute": None}), priced.tier),
                           amounts)  # fmt: skip
        return
    count = amounts.get("seconds", 0)
    yield Line("duration", count, "duration_seconds", priced.usd(audio_seconds=count))


def _film(priced: Priced, amounts: Amounts, labels: Mapping[str, str]) -> Iterator[Line]:
    count = amounts.get("seconds", 0)
    usd = priced.usd(video_seconds={labels.get("size", ""): count})
    yield Line("video", count, "duration_seconds", usd)


def _searched(priced: Priced, amounts: Amounts) -> Iterator[Line]:
    count = amounts.get("num_requests", 0)
    usd = priced.usd(searches=count) if priced.price.search else WEB_SEARCH_USD * count
    yield Line("web_search_calls", count, None, usd)


def _ranked(priced: Priced, amounts: Amounts) -> Iterator[Line]:
    count = amounts.get("num_requests", 0)
    if priced.price.search:
        yield Line("search_units", count, None, priced.usd(searches=count))
    else:
        yield from _tokens(priced, amounts)


#: Kinds that a model's list has prices for.
_OF_MODELS: dict[str, Callable[[Priced, Amounts, Mapping[str, str]], Iterator[Line]]] = {
    metering.COMPLETIONS: lambda priced, amounts, labels: _tokens(priced, amounts),
    metering.EMBEDDINGS: lambda priced, amounts, labels: _tokens(priced, amounts),
    metering.MODERATIONS: lambda priced, amounts, labels: _tokens(priced, amounts),
    metering.TRAINING: lambda priced, amounts, labels: _tokens(priced, amounts),
    metering.IMAGES: _pictures,
    metering.SPEECHES: lambda priced, amounts, labels: _speech(priced, amounts),
    metering.TRANSCRIPTIONS: lambda priced, amounts, labels: _transcribed(priced, amounts),
    metering.VIDEOS: _film,
    metering.WEB_SEARCHES: lambda priced, amounts, labels: _searched(priced, amounts),
    metering.RANKINGS: lambda priced, amounts, labels: _ranked(priced, amounts),
}


def _session(amounts: Amounts) -> Line:
    count = amounts.get("num_sessions", 0)
    return Line("code interpreter sessions", count, None, SESSION_USD * count)


def _file_search(amounts: Amounts) -> Line:
    count = amounts.get("num_requests", 0)
    return Line("file search calls", count, None, FILE_SEARCH_USD * count)


def _storage(amounts: Amounts) -> Line:
    billed = Decimal(max(amounts.get("usage_bytes", 0) - _FREE_BYTES, 0)) / _GIGABYTE
    return Line("vector store storage", float(billed * 24), "gibibyte_hours",
                billed * GIGABYTE_DAY_USD)  # fmt: skip


#: Kinds that cost the same whatever the model.
_OF_TOOLS = {
    metering.SESSIONS: _session,
    metering.FILE_SEARCHES: _file_search,
    metering.VECTOR_STORES: _storage,
}


def lines_of(
    price: Price | None, kind: str, labels: Mapping[str, str], amounts: Amounts
) -> Iterator[Line]:
    """The bill for what was counted under these labels, with the whole name of each item."""
    if kind in _OF_TOOLS:
        yield _OF_TOOLS[kind](amounts)
        return
    if price is None:
        return
    tier = labels.get("service_tier", "")
    priced = Priced(
        _for_length(price, labels.get("context") == "long"), _TIERS.get(tier, "default")
    )
    suffix = f", {tier}" if tier else ""
    for line in _OF_MODELS[kind](priced, amounts, labels):
        yield line._replace(item=f"{labels.get('model', '')}, {line.item}{suffix}")


@lru_cache(maxsize=256)
def _kept(price_json: str, is_long: bool) -> Price:
    price = Price.model_validate_json(price_json)
    long = price.long
    update: dict[str, Any] = {"long": None}
    if is_long and long is not None:
        update |= {name: getattr(long, name) for name in
                   ("input", "output", "cached_input", "cache_write", "cache_write_1h")}  # fmt: skip
    return price.model_copy(update=update)


def _for_length(price: Price, is_long: bool) -> Price:
    """Sums of many requests do not tell how long each of them was; their label does."""
    return price if price.long is None else _kept(price.model_dump_json(), is_long)


# --- the operation ---------------------------------------------------------------------------------


class _Group(NamedTuple):
    usd: Decimal = Decimal(0)
    quantity: float = 0.0
    units: frozenset[str | None] = frozenset()

    def plus(self, line: Line) -> _Group:
        return _Group(self.usd + line.usd, self.quantity + line.quantity, self.units | {line.unit})


async def costs(call: Call) -> Reply:
    query = Query.of(call, _GROUPS, _FILTERS, COSTS_WIDTHS)
    await settled(call)
    sums = {kind: await tallied(call, kind, query) for kind in (*_OF_MODELS, *_OF_TOOLS)}
    with call.clock.hold():
        return await asyncio.to_thread(_bill, call, query, sums)


def _bill(call: Call, query: Query, sums: Mapping[str, Sequence[Sum]]) -> Reply:
    found: dict[int, dict[tuple[str, ...], _Group]] = {}
    for kind, counted in sums.items():
        for at, labels, amounts in counted:
            card = call.catalogue.priced(labels["model"]) if "model" in labels else None
            price = None if card is None else card.price
            for line in lines_of(price, kind, labels, amounts):
                named = {**labels, "line_item": line.item}
                if query.admits(named):
                    groups = found.setdefault(at, {})
                    place = query.group(named)
                    groups[place] = groups.get(place, _Group()).plus(line)
    results = {
        at: [_result(query, place, group) for place, group in sorted(groups.items())]
        for at, groups in found.items()
    }
    return json_reply(query.page(results))


def _result(query: Query, place: tuple[str, ...], group: _Group) -> dict[str, Any]:
    told: dict[str, Any] = dict.fromkeys(_GROUPS)
    for name, value in zip(query.groups, place, strict=True):
        told[name] = value or DEFAULTS.get(name)
    by_item = "line_item" in query.groups
    unit = next(iter(group.units)) if by_item and len(group.units) == 1 else None
    return {
        "object": "organization.costs.result",
        "amount": {"value": float(group.usd), "currency": "usd"},
        **told,
        "quantity": group.quantity if by_item else None,
        "quantity_unit": unit,
    }


OPERATIONS = (Operation("usage-costs", "GET", "/organization/costs", costs, admin=True),)
