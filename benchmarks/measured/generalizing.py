"""How the constants speak of models and GPUs whose loops they never saw: fits without them, by the
closed form, on a part of the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from measured.fitting import LOOPED, fit_loops, fit_steps, sampled, start
from measured.loops import predicted_s, with_surrogates

from fakeai_proxy.fleet.calibration import (
    Constant,
    Observation,
    Profiles,
    Step,
    errors,
    mape,
)

#: Of the loops, for speed.
_EVERY = 4
_EXPERTS = ("weights_share", "compute_share", "layer_us")


class LeftOut(NamedTuple):
    kind: str
    name: str
    tpot_error: float
    ttft_error: float
    rows: int


def leave_each_out(
    observations: Sequence[Observation],
    told: Callable[[str], Callable[[int, int], None]],
) -> list[LeftOut]:
    loops = [
        each
        for each in observations
        if not isinstance(each.work, Step)
        and not each.drafted
        and each.gpu in LOOPED
        and sampled(each, _EVERY)
    ]
    shipped = Profiles.of(observations)
    said_s = predicted_s(None, loops, told("simulating what is left out"))
    rows = with_surrogates(shipped, loops, said_s)
    begin = fit_steps(start(observations), observations)
    steps = [each for each in observations if isinstance(each.work, Step)]
    found = []
    for kind in ("model", "gpu"):
        for name in sorted({getattr(each, kind) for each in rows}):
            told(f"without {name}")
            kept = [each for each in rows if getattr(each, kind) != name]
            profiles = _with_the_others_experts(fit_loops(begin, steps[::_EVERY], kept), name)
            out = [each for each in rows if getattr(each, kind) == name]
            found.append(_scored(profiles, kind, name, out))
    return found


def _with_the_others_experts(profiles: Profiles, name: str) -> Profiles:
    """A mixture of experts that was left out has the mean of the others' constants."""
    model = profiles.models.get(name)
    if model is None or model.experts is None:
        return profiles
    others = [
        each.experts
        for other, each in profiles.models.items()
        if other != name and each.experts is not None
    ]
    return profiles.changed(
        {
            Constant("models", (name,), f"experts.{field}"): float(
                np.exp(np.mean([np.log(getattr(experts, field)) for experts in others]))
            )
            for field in _EXPERTS
        }
    )


def _scored(profiles: Profiles, kind: str, name: str, out: Sequence[Observation]) -> LeftOut:
    logs = errors(profiles, out)
    first = np.array([each.work.measures == "ttft" for each in out])  # type: ignore[union-attr]
    ttft = np.abs(np.exp(logs[first]) - 1)
    median = float(np.median(ttft)) if len(ttft) else float("nan")
    return LeftOut(kind, name, mape(logs[~first]), median, len(out))
