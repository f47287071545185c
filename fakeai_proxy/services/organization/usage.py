"""What was used, by kind: tokens, pictures, characters, seconds, in buckets of time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fakeai_proxy.exchange import Reply
from fakeai_proxy.services import metering
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.organization.buckets import Query
from fakeai_proxy.services.organization.stored_bytes import stored_bytes
from fakeai_proxy.services.wire import json_reply
from fakeai_proxy.store import Sum

Amounts = Mapping[str, int]
_WHO = ("project_id", "user_id", "api_key_id")
_BY_WHO = ("project_ids", "user_ids", "api_key_ids")
_BY_MODEL, _FILTERS = (*_WHO, "model"), (*_BY_WHO, "models")


def _plain(*names: str) -> Callable[[Amounts], dict[str, int]]:
    return lambda amounts: {name: amounts.get(name, 0) for name in names}


def completions(amounts: Amounts) -> dict[str, int]:
    """Totals, and what they are made of: what was cached, or written to a cache, is told apart from
    text, sound and pictures that were not."""
    of = amounts.get
    read, written = of("input_tokens", 0), of("output_tokens", 0)
    cached, kept = of("input_cached_tokens", 0), of("input_cache_write_tokens", 0)
    cached_audio = of("input_cached_audio_tokens", 0)
    cached_image = of("input_cached_image_tokens", 0)
    audio = of("input_audio_tokens", 0) - cached_audio
    image = of("input_image_tokens", 0) - cached_image
    said, drawn = of("output_audio_tokens", 0), of("output_image_tokens", 0)
    return {
        "input_tokens": read,
        "output_tokens": written,
        "num_model_requests": of("num_model_requests", 0),
        "input_uncached_tokens": read - cached - kept,
        "input_cached_tokens": cached,
        "input_cache_write_tokens": kept,
        "input_text_tokens": read - cached - kept - audio - image,
        "input_audio_tokens": audio,
        "input_image_tokens": image,
        "input_cached_text_tokens": cached - cached_audio - cached_image,
        "input_cached_audio_tokens": cached_audio,
        "input_cached_image_tokens": cached_image,
        "output_text_tokens": written - said - drawn,
        "output_audio_tokens": said,
        "output_image_tokens": drawn,
    }


@dataclass(frozen=True)
class Kind:
    """`path` is the last segment, `object` the name of a result; `shown` makes a result of amounts."""

    path: str
    object: str
    operation: str
    shown: Callable[[Amounts], dict[str, int]]
    groups: tuple[str, ...]
    filters: tuple[str, ...]


KINDS = (
    Kind(
        metering.COMPLETIONS, "completions", "usage-completions", completions,
        (*_BY_MODEL, "batch", "service_tier", "api_source"), (*_FILTERS, "batch"),
    ),
    Kind(metering.EMBEDDINGS, "embeddings", "usage-embeddings",
         _plain("input_tokens", "num_model_requests"), _BY_MODEL, _FILTERS),
    Kind(metering.MODERATIONS, "moderations", "usage-moderations",
         _plain("input_tokens", "num_model_requests"), _BY_MODEL, _FILTERS),
    Kind(metering.IMAGES, "images", "usage-images", _plain("images", "num_model_requests"),
         (*_BY_MODEL, "size", "source"), (*_FILTERS, "sizes", "sources")),
    Kind(metering.SPEECHES, "audio_speeches", "usage-audio-speeches",
         _plain("characters", "num_model_requests"), _BY_MODEL, _FILTERS),
    Kind(metering.TRANSCRIPTIONS, "audio_transcriptions", "usage-audio-transcriptions",
         _plain("seconds", "num_model_requests"), _BY_MODEL, _FILTERS),
    Kind(metering.VECTOR_STORES, "vector_stores", "usage-vector-stores", _plain("usage_bytes"),
         ("project_id",), ("project_ids",)),
    Kind(metering.SESSIONS, "code_interpreter_sessions", "usage-code-interpreter-sessions",
         _plain("num_sessions"), ("project_id",), ("project_ids",)),
    Kind(metering.FILE_SEARCHES, "file_searches", "usage-file-search-calls",
         _plain("num_requests"), (*_WHO, "vector_store_id"), (*_BY_WHO, "vector_store_ids")),
    Kind(metering.WEB_SEARCHES, "web_searches", "usage-web-search-calls",
         _plain("num_requests", "num_model_requests"), (*_BY_MODEL, "context_level", "api_source"),
         (*_FILTERS, "context_levels")),
)  # fmt: skip

#: What a label that is not there says, where it is asked for.
DEFAULTS = {"service_tier": "default", "api_source": "unlabeled"}


def usage_of(kind: Kind) -> Callable[[Call], Awaitable[Reply]]:
    async def usage(call: Call) -> Reply:
        query = Query.of(call, kind.groups, kind.filters)
        await settled(call)
        sums = await tallied(call, kind.path, query)
        with call.clock.hold():
            return await asyncio.to_thread(_page, kind, query, sums)

    return usage


def _page(kind: Kind, query: Query, sums: Sequence[Sum]) -> Reply:
    results = {
        at: [_result(kind, query, group, amounts) for group, amounts in sorted(groups.items())]
        for at, groups in query.grouped(sums).items()
    }
    return json_reply(query.page(results))


async def settled(call: Call) -> None:
    """Waits until all that was answered is counted."""
    if call.settle is not None:
        await call.settle()


async def tallied(call: Call, kind: str, query: Query) -> list[Sum]:
    """All that was counted of a kind, in the query's buckets."""
    if kind == metering.VECTOR_STORES:
        return await stored_bytes(call, query.starts(), query.width_s)
    name = metering.PREFIX + kind
    return await call.store.sums(name, query.start_at, query.end_at, query.width_s)


def _result(kind: Kind, query: Query, group: tuple[str, ...], amounts: Amounts) -> dict[str, Any]:
    told: dict[str, Any] = dict.fromkeys(kind.groups)
    for name, value in zip(query.groups, group, strict=True):
        told[name] = value or DEFAULTS.get(name)
        if name == "batch":
            told[name] = value == "true"
    return {
        "object": f"organization.usage.{kind.object}.result", **kind.shown(amounts), **told,
    }  # fmt: skip


OPERATIONS = tuple(
    Operation(
        kind.operation, "GET", f"/organization/usage/{kind.path}", usage_of(kind), admin=True,
    )
    for kind in KINDS
)  # fmt: skip
