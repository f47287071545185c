"""Stages, without a wire: where a read begins and ends changes nothing, and late data is changed too."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.body import Body
from fakeai_proxy.exchange import Admission, Chunk, Exchange, Reply, Request
from fakeai_proxy.shaping.faults.frames import Frames, each
from fakeai_proxy.shaping.faults.injection import Chain, apply
from fakeai_proxy.shaping.faults.kinds import Case, Stop
from fakeai_proxy.shaping.faults.parsing import rule_of
from fakeai_proxy.shaping.faults.table import FAULTS
from tests.shaping.test_faults_bytes import EVENTS, STREAM

SSE = ((b"content-type", b"text/event-stream"),)
STAGED = [name for name, fault in FAULTS.items() if fault.stage is not None]


class Line:
    """Stands for the link: remembers its pauses."""

    def __init__(self) -> None:
        self.holds: dict[int, float] = {}


async def _never(instant: float) -> None: ...


def chain(text: str, reply: Reply) -> Chain:
    rule = rule_of(text)
    exchange = Exchange("req_1", Request("POST", "/v1/chat/completions", (), Body()), 0.0)
    case = Case(exchange, Line(), _never, lambda: Random(3))  # type: ignore[arg-type]
    assert rule.fault.stage is not None
    return Chain([Frames(), rule.fault.stage(rule.params, case, reply)])


def run(text: str, pieces: list[bytes]) -> tuple[bytes, Stop | None]:
    chunks = [Chunk(piece) for piece in pieces]
    made = chain(text, Reply(200, SSE, chunks))
    return b"".join(each(made.all(chunks))), made.stopped


@given(
    cuts=st.sets(st.integers(1, len(STREAM) - 1), max_size=40),
    newline=st.sampled_from([b"\n", b"\r\n"]),
)
@pytest.mark.parametrize("name", STAGED)
def test_where_reads_begin_changes_nothing(name: str, cuts: set[int], newline: bytes) -> None:
    text = f"{name}:after=2" if "after" in FAULTS[name].params.model_fields else name
    body = STREAM.replace(b"\n", newline)
    places = [0, *sorted(cuts), len(body)]
    pieces = [body[start:end] for start, end in pairwise(places)]
    assert run(text, pieces) == run(text, [event.replace(b"\n", newline) for event in EVENTS])


@given(cuts=st.sets(st.integers(1, len(STREAM) - 1), max_size=40))
def test_tokens_are_kept_when_events_are_cut_anew(cuts: set[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    pieces = [Chunk(STREAM[a:b], 3) for a, b in pairwise(places)]
    passed = Chain([Frames()]).all(pieces)
    assert sum(chunk.tokens for chunk in passed) == 3 * len(pieces)
    assert list(each(passed)) == EVENTS


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("no_usage", b"data: {}\n\n"),
        ("wrong_model", b'data: {"usage":{"total_tokens":7}}\n\n'),
        ("no_blank_line", b'data: {"usage":{"total_tokens":7}}\n\n'),
    ],
)
def test_data_that_is_not_there_yet_is_changed_when_it_is(fault: str, expected: bytes) -> None:
    late = Chunk(
        lambda admission: b'data: {"usage":{"total_tokens":%d}}\n\n' % admission.cached_tokens
    )
    reply = Reply(200, SSE, [late])
    apply(chain(fault, reply)._stages, reply, True)
    [chunk] = list(reply.chunks)  # type: ignore[arg-type]
    assert callable(chunk.data)
    assert chunk.data(Admission(cached_tokens=7)) == expected


async def test_an_upstream_is_closed_as_soon_as_its_answer_is_cut() -> None:
    closed = []

    async def arriving() -> AsyncGenerator[Chunk]:
        try:
            for event in EVENTS:
                yield Chunk(event)
        finally:
            closed.append(True)

    reply = Reply(200, SSE, arriving())
    apply(chain("truncate:after=2", reply)._stages, reply, True)
    assert not isinstance(reply.chunks, list | tuple)
    assert [chunk.data async for chunk in reply.chunks] == EVENTS[:2]
    assert closed == [True]
