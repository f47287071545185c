"""What a run is worth: live calls are counted in dollars, and what comes of every request is
told at the end. Apart from the App, so that a server without such does not load what reads recordings.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from fakeai_proxy.cassette.library import Library
from fakeai_proxy.clock import Clock
from fakeai_proxy.config import Config
from fakeai_proxy.observe.drift import DriftNotes
from fakeai_proxy.observe.outcomes import Outcomes
from fakeai_proxy.observe.pages import Route
from fakeai_proxy.roles import Source
from fakeai_proxy.services.catalogue import Catalogue
from fakeai_proxy.shared.commons import Commons
from fakeai_proxy.sources.budget import Budget, cost_usd, price_list


class RecordedRun:
    """`live` is the upstream, counted; `outcomes` is None where nobody is told, `drift` unless recordings
    are held against live answers."""

    def __init__(
        self,
        config: Config,
        library: Library | None,
        upstream: Source,
        clock: Clock,
        commons: Commons,
        catalogue: Callable[[], Catalogue],
    ) -> None:
        limit = config.max_live_usd
        price_of = price_list(catalogue)
        usd = None if limit is None else Decimal(str(limit))
        self.live = budget = Budget(upstream, usd, price_of)
        self.outcomes: Outcomes | None = None
        self.drift: DriftNotes | None = None
        if config.tells_verdict:
            self.outcomes = Outcomes(
                config.mode,
                library,
                plays=config.miss is not None,
                strict=config.strict,
                cost_of=lambda tally: cost_usd(tally, price_of),
                spent_usd=lambda: budget.spent_usd,
                counted=budget.counted,
                clock=clock,
                commons=commons,
            )
            if config.mode == "diff":
                self.drift = DriftNotes(clock, commons, self.outcomes.add)

    def routes(self) -> tuple[Route, ...]:
        return (
            *(() if self.outcomes is None else self.outcomes.routes()),
            *(() if self.drift is None else self.drift.routes()),
        )

    @property
    def resettable(self) -> dict[str, Callable[[], None]]:
        parts: dict[str, Outcomes | DriftNotes | None] = {
            "verdict": self.outcomes, "drift": self.drift,
        }  # fmt: skip
        return {name: part.reset for name, part in parts.items() if part is not None}
