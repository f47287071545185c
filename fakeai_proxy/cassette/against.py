"""A live answer held against its recording: status, shape, text and timing apart."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fakeai_proxy.cassette.comparing import Change, answers
from fakeai_proxy.cassette.draft import Draft, Sealer
from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.rewriting import blobs_at

#: Answers up to this size are compared.
COMPARED_BYTES_MAX = 1 << 20
#: What a provider has changed, in contrast to what a model says anew each time.
DRIFTING = ("status", "shape")


@dataclass(frozen=True, slots=True)
class Compared:
    """`ttft_ms` and `total_ms` are the recording's and the live answer's, None where nothing came."""

    request: str
    recording: str
    changes: tuple[Change, ...]
    ttft_ms: tuple[float | None, float | None]
    total_ms: tuple[float | None, float | None]

    @property
    def drifts(self) -> list[Change]:
        return [change for change in self.changes if change.kind in DRIFTING]


def against(library: Library, recorded: Interaction, draft: Draft) -> Compared:
    """`draft` is the live call with its answer. Both are compared as a cassette has them: without
    secrets."""
    sealer = Sealer(library.redactor, blobs_at(library.paths[0]), False, True)
    live = replace(sealer.sealed(draft, 0), id="live")
    changes = tuple(answers(recorded, live))
    model = recorded.view.get("model")
    name = f"{recorded.request.method} {recorded.request.target.partition('?')[0]}"
    return Compared(
        f"{name}, {model}" if isinstance(model, str) else name,
        recorded.id,
        changes,
        (_ttft_ms(recorded), _ttft_ms(live)),
        (_total_ms(recorded), _total_ms(live)),
    )


def _ttft_ms(record: Interaction) -> float | None:
    gaps = record.response.gaps_us if record.response else ()
    return gaps[0] / 1000 if gaps else None


def _total_ms(record: Interaction) -> float | None:
    gaps = record.response.gaps_us if record.response else ()
    return sum(gaps) / 1000 if gaps else None
