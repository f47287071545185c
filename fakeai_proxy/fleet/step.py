"""What happened in one step of an engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fakeai_proxy.fleet.cost import Cost
from fakeai_proxy.fleet.sequence import EngineSequence


class Step(NamedTuple):
    """`gaps` are pairs: seconds since the last token, and how many sequences waited so long for
    theirs. `first` got their first token, `finished` their last; the prompts of `prefilled` are
    computed, be it again."""

    began_at: float
    ended_at: float
    cost: Cost
    prompt_tokens: int
    decodes: int
    first: list[EngineSequence]
    finished: list[EngineSequence]
    gaps: list[tuple[float, int]]
    prefilled: Sequence[EngineSequence] = ()
