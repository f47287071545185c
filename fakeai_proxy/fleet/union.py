"""One reading of each worker, out of those that several processes have taken.

Each worker is one process's own. Where that cannot answer any more, another stands in for a while, and
what it counted belongs to the same worker.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

from fakeai_proxy.fleet.buckets import Histogram
from fakeai_proxy.fleet.metrics import Counts, Reading


def union(parts: Iterable[Iterable[Reading]]) -> list[Reading]:
    """In the order in which the workers joined."""
    found: dict[str, Reading] = {}
    for part in parts:
        for one in part:
            known = found.get(one.name)
            found[one.name] = one if known is None else _sum(known, one)
    return sorted(found.values(), key=lambda reading: reading.number)


def _sum(one: Reading, other: Reading) -> Reading:
    return replace(
        one,
        running=one.running + other.running,
        waiting=one.waiting + other.waiting,
        decoding=one.decoding + other.decoding,
        kv_used=min(one.kv_blocks, one.kv_used + other.kv_used),
        cached_blocks=min(one.kv_blocks, one.cached_blocks + other.cached_blocks),
        context_tokens=one.context_tokens + other.context_tokens,
        running_loras=tuple(sorted({*one.running_loras, *other.running_loras})),
        waiting_loras=tuple(sorted({*one.waiting_loras, *other.waiting_loras})),
        received_bytes=one.received_bytes + other.received_bytes,
        tokens_s=one.tokens_s + other.tokens_s,
        prompt_tokens_s=one.prompt_tokens_s + other.prompt_tokens_s,
        counts=_counts(one.counts, other.counts),
        histograms={
            name: _histogram(each, other.histograms[name]) for name, each in one.histograms.items()
        },
    )


def _counts(one: Counts, other: Counts) -> Counts:
    sums: dict[str, Any] = {}
    for each in fields(Counts):
        mine, theirs = getattr(one, each.name), getattr(other, each.name)
        if each.name == "ended":
            sums[each.name] = {end: count + theirs[end] for end, count in mine.items()}
        elif each.name.startswith("last_"):
            sums[each.name] = mine or theirs
        else:
            sums[each.name] = mine + theirs
    return Counts(**sums)


def _histogram(one: Histogram, other: Histogram) -> Histogram:
    added = one.copy()
    added.add(other)
    return added
