"""What the modes are made of, each part made (and imported) when a mode has it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from fakeai_proxy.clock import Clock
from fakeai_proxy.roles import Source
from fakeai_proxy.sources import Parts

if TYPE_CHECKING:
    from fakeai_proxy.cassette.library import Library
    from fakeai_proxy.cassette.settings import CassetteSettings
    from fakeai_proxy.sources.differ import Notices
    from fakeai_proxy.sources.explaining import Explainer


def assembled(
    library: Library | None,
    base: str | None,
    clock: Clock,
    synth: Callable[[], Source],
    upstream: Callable[[], Source],
    settings: CassetteSettings,
    counting: Callable[[bytes], Awaitable[int]] | None = None,
    pace: float = 1.0,
    reframes: bool = False,
    notices: Notices | None = None,
) -> Parts:
    """`base` is the upstream that requests without a host are for; `counting`, `pace` and `reframes` as
    the Player has them."""

    def opened() -> Library:
        assert library is not None, "a mode that plays or records has its library"
        return library

    def miss() -> Source:
        from fakeai_proxy.cassette.leniency import Leniency
        from fakeai_proxy.sources.miss import Miss

        leniency, theirs = Leniency.of(settings), settings.match_credential
        return Miss(opened(), base, clock, leniency, theirs)

    def recorder(source: Source) -> Source:
        from fakeai_proxy.sources.recorder import Recorder

        return Recorder(source, opened(), clock, base)

    def player(on_miss: Source) -> Source:
        from fakeai_proxy.cassette.leniency import Leniency
        from fakeai_proxy.sources.gate import Gate, numbers_of
        from fakeai_proxy.sources.recorded import Player

        again = numbers_of(settings.rerecord, opened())
        return Player(
            opened(),
            on_miss,
            base,
            Leniency.of(settings),
            counting,
            settings.explain_hits,
            pace,
            reframes,
            Gate(settings.max_age, again, clock.wall),
            settings.match_credential,
            _explainer(on_miss, opened(), base, clock, settings),
        )

    def differ(source: Source, live: Source) -> Source:
        from fakeai_proxy.sources.differ import Differ

        assert notices is not None, "a mode that compares has somebody who is told"
        made = Differ(source, live, opened(), clock, base, notices)
        notices.settled = made.settled
        return made

    return Parts(synth, upstream, miss, recorder, player, differ)


def _explainer(
    on_miss: Source, library: Library, base: str | None, clock: Clock, settings: CassetteSettings
) -> Explainer | None:
    """For misses that are answered; others explain themselves."""
    from fakeai_proxy.cassette.leniency import Leniency
    from fakeai_proxy.sources.explaining import Explainer
    from fakeai_proxy.sources.recorded import Miss, Recorder

    if isinstance(on_miss, Miss):
        return None
    leniency, records = Leniency.of(settings), isinstance(on_miss, Recorder)
    return Explainer(library, base, clock, leniency, settings.match_credential, records)
