"""Which files of an App's settings are taken up again when they change, and what that does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.fleet.share import load_shared
from fakeai_proxy.profiles import FleetProfile, HostedProfile
from fakeai_proxy.profiles.back_end import BackEnd, back_end_names
from fakeai_proxy.profiles.fleet import Pool
from fakeai_proxy.profiles.scenario import scenario_names
from fakeai_proxy.reloading import Watched
from fakeai_proxy.shaping.scenario.plan import Plan

if TYPE_CHECKING:
    from fakeai_proxy.app import App


def watched_by(app: App) -> Iterator[Watched]:
    config = app.config
    if config.faults is not None:
        yield Watched("faults", [config.faults], lambda: _faults(app))
    if config.scenario and config.scenario not in scenario_names():
        yield Watched("scenario", [Path(config.scenario)], lambda: _scenario(app))
    if app.responder is not None:
        yield Watched("responder", [app.responder.path], lambda: _responder(app))
    if config.has_back_end and config.profile not in ("none", *back_end_names()):
        yield Watched("profile", [Path(config.profile)], lambda: _profile(app))
    if app.library is not None:
        recorded = "a cassette that is recorded into is read at the start" if config.records else ""
        yield Watched("cassettes", app.library.paths, lambda: _cassettes(app), recorded)


async def _faults(app: App) -> None:
    assert app.config.faults is not None
    app.faults.renew(app.config.faults)


async def _scenario(app: App) -> None:
    """From where the one before was: the time since its beginning goes on."""
    name = app.config.scenario
    assert name is not None
    if app.plan is None or app.scenario.plan is None:
        raise ConfigError("scenario: it was stopped, and a changed file does not start it again.")
    plan, mark = await asyncio.to_thread(_read, name)
    app.scenario.start(plan, app.scenario.begun_at, mark if app.company.member is not None else "")
    app.plan = plan


def _read(name: str) -> tuple[Plan, str]:
    """And what all who read the same file call it."""
    return Plan.load(name), blake2b(Path(name).read_bytes(), digest_size=8).hexdigest()


async def _responder(app: App) -> None:
    assert app.responder is not None
    await asyncio.to_thread(app.responder.renew)


async def _profile(app: App) -> None:
    """A hosted back end changes for whoever asks from now on, a fleet its numbers of workers."""
    before = app.back_end
    shared = app.commons.processes, app.config.model_fields_set
    after = await asyncio.to_thread(load_shared, app.config.profile, *shared)
    if isinstance(before, HostedProfile) and isinstance(after, HostedProfile):
        app.pacer.profile = app.back_end = after
        return
    pools = _pools_of(before, after)
    if app.site is not None and pools:
        for pool in pools:
            app.site.scale(pool.name, pool.replicas)
        app.back_end = after
        await app.exporters.grown()
        return
    raise ConfigError(
        f"profile: {app.config.profile} changed in more than the numbers of a fleet's workers, which "
        "takes a restart."
    )


def _pools_of(before: BackEnd | None, after: BackEnd | None) -> tuple[Pool, ...]:
    """Those of a fleet that differs from what it was in numbers of workers only; none of any other."""
    if not isinstance(before, FleetProfile) or not isinstance(after, FleetProfile):
        return ()
    return after.pool if _bare(before) == _bare(after) else ()


def _bare(fleet: FleetProfile) -> FleetProfile:
    pools = tuple([pool.model_copy(update={"replicas": 1}) for pool in fleet.pool])
    return fleet.model_copy(update={"pool": pools})


async def _cassettes(app: App) -> None:
    from fakeai_proxy.cassette.library import Library

    assert app.library is not None
    fresh = await asyncio.to_thread(Library.open, app.config, app.clock, repair=False)
    app.library.renew(fresh)
