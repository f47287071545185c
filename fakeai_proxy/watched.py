"""Which files of an App's settings are taken up again when they change, and what that does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.fleet.share import load_shared
from fakeai_proxy.profiles import FleetProfile, HostedProfile
from fakeai_proxy.profiles.back_end import back_end_names
from fakeai_proxy.profiles.fleet_changes import changes
from fakeai_proxy.profiles.scenario import scenario_names
from fakeai_proxy.reloading import Watched
from fakeai_proxy.shaping.scenario.plan import Plan

if TYPE_CHECKING:
    from fakeai_proxy.app import App

log = logging.getLogger("fakeai_proxy")


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
    """A hosted back end changes for whoever asks from now on; a fleet as far as its workers can, or others
    in their place."""
    before, file = app.back_end, app.config.profile
    shared = app.commons.processes, app.config.model_fields_set
    after = await asyncio.to_thread(load_shared, file, *shared)
    if isinstance(before, HostedProfile) and isinstance(after, HostedProfile):
        app.pacer.profile = app.back_end = after
        return
    site = app.site
    if site is None or not isinstance(before, FleetProfile) or not isinstance(after, FleetProfile):
        raise ConfigError(f"profile: {file} is another kind of back end, which takes a restart.")
    found = changes(before, after)
    if found.by_restart:
        keys = ", ".join(found.by_restart)
        raise ConfigError(
            f"profile: {file}: only a restart can change {keys}, and the rest of the file waits for it"
        )
    site.renew(after, await asyncio.to_thread(site.models_of, after))
    app.back_end = after
    if found.at_once:
        log.info("profile: in force: %s", ", ".join(found.at_once))
    if found.by_workers:
        log.info("profile: in force as new workers start: %s", ", ".join(found.by_workers))
    await app.exporters.grown()


async def _cassettes(app: App) -> None:
    from fakeai_proxy.cassette.library import Library

    assert app.library is not None
    fresh = await asyncio.to_thread(Library.open, app.config, app.clock, repair=False)
    app.library.renew(fresh)
