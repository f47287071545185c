"""What --profile names: a hosted back end, a fleet of simulated GPUs, or nothing."""

from __future__ import annotations

import tomllib
from pathlib import Path

from fakeai_proxy.profiles.fleet import FleetProfile, fleet_names, load_fleet
from fakeai_proxy.profiles.hosted import HostedProfile, hosted_names, load_hosted
from fakeai_proxy.profiles.reading import missing

BackEnd = HostedProfile | FleetProfile


def back_end_names() -> list[str]:
    """No name is in both; a test sees to it."""
    return sorted((*hosted_names(), *fleet_names()))


def load_back_end(name: str) -> BackEnd | None:
    """The profile of that name or file; None for `none`. Raises ConfigError."""
    if name == "none":
        return None
    if name in fleet_names():
        return load_fleet(name)
    if name in hosted_names():
        return load_hosted(name)
    if not Path(name).is_file():
        raise missing("profile", name, back_end_names(), ", none, or a TOML file")
    return load_fleet(name) if _has_pools(name) else load_hosted(name)


def _has_pools(name: str) -> bool:
    """Files of a fleet have pools of workers, those of a hosted back end rows of latencies. What
    cannot be read is left to who reports it."""
    try:
        return "pool" in tomllib.loads(Path(name).read_text("utf-8"))
    except (OSError, ValueError):
        return False
