"""What differs between two states of a fleet's file, and what it takes until the fleet is so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fakeai_proxy.profiles.fleet import FleetProfile, Pool, Router

#: What a worker takes up while it serves.
TUNED = frozenset(
    ("replicas", "max_queue", "cold_start_s", "lora_load_s", "jitter_sigma", "stall_p", "stall_ms")
)  # fmt: skip
#: What was told or agreed upon at the start: names and limits that clients are told, names of KV blocks,
#: the way of a request through the pools, pages and nodes.
_AGREED = frozenset(("model", "serves", "lora", "max_model_len", "role", "engine.block_size"))
_AGREED_BY_ALL = frozenset(("server", "gpus_per_node", "kv_event_blocks"))


class Changes(NamedTuple):
    """Keys as the file has them, `pool.NAME.key` in pools: in force at once, when other workers have
    taken the place of those there are, or at the next start."""

    at_once: tuple[str, ...]
    by_workers: tuple[str, ...]
    by_restart: tuple[str, ...]


def changes(before: FleetProfile, after: FleetProfile) -> Changes:
    found: dict[str, list[str]] = {"at_once": [], "by_workers": [], "by_restart": []}
    for key in _differing(_whole(before), _whole(after)):
        at_restart = key in _AGREED_BY_ALL or (key == "router.policy" and _is_deaf(before, after))
        found["by_restart" if at_restart else "at_once"].append(key)
    was, is_ = ({pool.name: pool for pool in fleet.pool} for fleet in (before, after))
    for name in {**was, **is_}:
        if name not in was or name not in is_:
            found["by_restart"].append(f"pool.{name}")
            continue
        for key in _differing(was[name].model_dump(), is_[name].model_dump()):
            way = "by_restart" if key in _AGREED else "at_once" if key in TUNED else "by_workers"
            found[way].append(f"pool.{name}.{key}")
    return Changes(*map(tuple, found.values()))


def is_tuned(before: Pool, after: Pool) -> bool:
    """Whether workers that were made as the one can go on as the other."""
    return set(_differing(before.model_dump(), after.model_dump())) <= TUNED


def _whole(fleet: FleetProfile) -> dict[str, Any]:
    return fleet.model_dump(exclude={"pool"})


def _is_deaf(before: FleetProfile, after: FleetProfile) -> bool:
    """Whether the router would listen to KV events that its workers do not tell."""
    return _listens(after.router) and not _listens(before.router) and not before.kv_event_blocks


def _listens(router: Router) -> bool:
    return router.policy in ("kv", "scorers")


def _differing(
    before: Mapping[str, Any], after: Mapping[str, Any], path: str = ""
) -> Iterator[str]:
    for key, value in after.items():
        if isinstance(value, dict):
            yield from _differing(before[key], value, f"{path}{key}.")
        elif value != before[key]:
            yield path + key
