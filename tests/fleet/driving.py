"""Drives an engine the way load generators do, on virtual time: a closed loop of clients that ask
again as soon as they are answered, or requests at given instants.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from fakeai_proxy.fleet.engine import Engine
from fakeai_proxy.fleet.sequence import EngineSequence
from fakeai_proxy.profiles.serving import ServingEngine


class Demand(NamedTuple):
    prompt_tokens: int
    output_tokens: int


class Answered(NamedTuple):
    """One request as its client saw it."""

    arrived_at: float
    first_token_at: float
    last_token_at: float
    output_tokens: int

    @property
    def ttft_s(self) -> float:
        return self.first_token_at - self.arrived_at

    @property
    def e2e_s(self) -> float:
        return self.last_token_at - self.arrived_at

    @property
    def tpot_s(self) -> float:
        """Mean time per output token after the first; nan where there is none."""
        if self.output_tokens < 2:
            return math.nan
        return (self.last_token_at - self.first_token_at) / (self.output_tokens - 1)


def closed_loop(
    engine: Engine, serving: ServingEngine, demands: Iterable[Demand], concurrency: int
) -> list[Answered]:
    """All `demands`, `concurrency` at a time, all clients starting at once; in the order in which
    they were answered."""
    waiting = iter(demands)
    for demand in islice(waiting, concurrency):
        _ask(engine, serving, demand, 0.0)
    answered = []
    for sequence, at in _finished(engine):
        answered.append(_answer(sequence, at))
        following = next(waiting, None)
        if following is not None:
            _ask(engine, serving, following, at)
    return answered


def open_loop(
    engine: Engine, serving: ServingEngine, arrivals: Iterable[tuple[float, Demand]]
) -> list[Answered]:
    """Requests at their instants, whatever is still unanswered; in the order of their answers."""
    for at, demand in arrivals:
        _ask(engine, serving, demand, at)
    return [_answer(sequence, at) for sequence, at in _finished(engine)]


def _ask(engine: Engine, serving: ServingEngine, demand: Demand, at: float) -> None:
    sequence = EngineSequence(demand.prompt_tokens, demand.output_tokens)
    sequence.arrived_at = at
    engine.submit(sequence, at + serving.front_end_s(demand.prompt_tokens))


def _finished(engine: Engine) -> Iterator[tuple[EngineSequence, float]]:
    while engine.next_at < math.inf:
        step = engine.turn()
        if step is not None:
            for sequence in step.finished:
                yield sequence, step.ended_at


def _answer(sequence: EngineSequence, at: float) -> Answered:
    assert sequence.first_token_at is not None
    return Answered(sequence.arrived_at, sequence.first_token_at, at, sequence.output_tokens)
