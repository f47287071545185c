"""Our own pages: what each component of an App offers is one line here, and so is what starts over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from fakeai_proxy.embedded.verifying import verify_routes
from fakeai_proxy.generate.embedders import embedder_kind
from fakeai_proxy.observe.cassettes import cassette_routes
from fakeai_proxy.observe.clock_routes import clock_routes
from fakeai_proxy.observe.control import control_routes, document_route
from fakeai_proxy.observe.dashboard import dashboard_routes
from fakeai_proxy.observe.export import export_route
from fakeai_proxy.observe.faults import fault_routes
from fakeai_proxy.observe.feed import feed_route
from fakeai_proxy.observe.fleet_control import FleetControl
from fakeai_proxy.observe.health import health_routes
from fakeai_proxy.observe.journal_routes import journal_routes
from fakeai_proxy.observe.limits import limits_routes
from fakeai_proxy.observe.marks import mark_routes
from fakeai_proxy.observe.media import media_routes
from fakeai_proxy.observe.pages import Pages, Route
from fakeai_proxy.observe.profile_routes import profile_routes
from fakeai_proxy.observe.reload_routes import reload_routes
from fakeai_proxy.observe.scenario_routes import scenario_routes
from fakeai_proxy.observe.usage_pages import UsagePages
from fakeai_proxy.proxy.admin import Admin
from fakeai_proxy.proxy.listening import is_loopback, parse_listen
from fakeai_proxy.services import media

if TYPE_CHECKING:
    from fakeai_proxy.app import App


Find = Callable[[str], Awaitable[media.Media | None]]


def own_pages(app: App, find: Find) -> Pages:
    """`find` finds a file by its name."""
    exposed = any(not is_loopback(address.host) for address in parse_listen(app.config.listen))
    routes = _routes(app, find)
    return Pages(
        (*routes, document_route(routes)),
        Admin(app.config, exposed).admit,
        app.clock,
        app.commons,
        _usage_pages(app).sockets() if app.config.has_back_end else None,
    )


def _routes(app: App, find: Find) -> tuple[Route, ...]:
    config = app.config
    resettable = {
        "status": app.status.reset,
        "journal": app.journal.reset,
        "limits": app.limiter.reset,
        "metrics": app.aggregates.reset,
        **({} if app.witness is None else {"calls": app.witness.reset}),
        "live": app.live.reset,
        "marks": app.marks.clear,
        **({} if app.run is None else app.run.resettable),
        **({} if app.library is None else {"cassettes": app.library.reset}),
    }
    shown = {
        "mode": config.mode,
        "profile": config.profile if config.has_back_end else "",
        "seed": config.seed,
        "store": config.store_place,
        "files": app.reloading.told,
    }
    return (
        *control_routes(app.status, shown, resettable),
        feed_route(app.journal, app.commons),
        export_route(app.journal, app.commons),
        *journal_routes(app.journal, app.commons),
        *reload_routes(app.reloading),
        *dashboard_routes(elsewhere=config.has_back_end),
        *app.live.routes(),
        *mark_routes(app.marks),
        # Elsewhere it is the upstream that is asked for its metrics and its health.
        *(_metrics(app) if config.has_back_end else ()),
        *(_health(app) if config.mode == "synth" else ()),
        *FleetControl(app.site, app.exporters.grown, app.commons).routes(),
        *(media_routes(media.PATH, find, app.clock) if config.synthesizes else ()),
        *limits_routes(app.limiter),
        *fault_routes(app.faults, app.commons),
        *scenario_routes(app.scenario, app.clock),
        *(() if app.run is None else app.run.routes()),
        *clock_routes(app.clock),
        *profile_routes(
            app.pacer,
            None if app.site is None else app.site.profile,
            config.profile if config.has_back_end else "",
            config.has_back_end,
            app.clock,
        ),
        *verify_routes(lambda: app.witness, app.commons, app.clock),
        *cassette_routes(app.library, config.miss, app.commons, app.clock),
    )


def _health(app: App) -> tuple[Route, ...]:
    shown = {"embedder": embedder_kind(app.config.embedder)}
    return health_routes(app.site, app.clock, shown, app.aggregates)


def _metrics(app: App) -> tuple[Route, ...]:
    usage = _usage_pages(app)
    return (*app.metric_pages.routes(usage.core), *usage.routes())


def _usage_pages(app: App) -> UsagePages:
    return UsagePages(app.aggregates, app.limiter, app.prices.bill, app.clock)
