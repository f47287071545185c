"""Instants of chunks: what is kept of them, and the gaps that are told."""

from __future__ import annotations

import statistics
import sys
import tracemalloc
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.body import Body
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.exchange import Exchange, Reply, Request, Usage, Workload
from fakeai_proxy.observe.entry import entry_of
from fakeai_proxy.observe.journal import Journal, JournalSettings
from fakeai_proxy.observe.timeline import KEPT_MAX, Gaps, gaps_of, kept, offsets_of

SPACINGS = st.lists(st.floats(0.001, 2.0), min_size=1, max_size=1_500)


def instants(spacings: Sequence[float], begin: float = 1000.0) -> list[float]:
    made = [begin]
    for spacing in spacings:
        made.append(made[-1] + spacing)
    return made


@given(SPACINGS)
def test_what_is_kept_tells_the_gaps_as_they_were(spacings: list[float]) -> None:
    at = instants(spacings)
    told = kept(at, 999.5)
    offsets = offsets_of(told.offsets)
    assert offsets[0] == pytest.approx(0.5)
    assert offsets[-1] == pytest.approx(at[-1] - 999.5, rel=1e-6)
    assert len(offsets) == min(len(at), KEPT_MAX)
    gaps = Gaps._make(told.gaps) if told.gaps else gaps_of(offsets)
    assert gaps is not None
    ordered = sorted(spacings)
    assert gaps.most == pytest.approx(ordered[-1], abs=1e-3, rel=1e-3)
    assert gaps.p50 == pytest.approx(ordered[-(-len(ordered) // 2) - 1], abs=1e-3, rel=1e-3)
    assert gaps.p50 <= gaps.p90 <= gaps.p99 <= gaps.most


def test_chunks_that_leave_together_are_one_instant() -> None:
    told = kept([1.0, 1.0, 1.5, 1.5, 1.5], 0.0)
    assert list(offsets_of(told.offsets)) == [1.0, 1.5]
    assert gaps_of([1.0]) is None


def test_a_stream_of_ten_thousand_is_thinned_and_its_one_stall_is_told() -> None:
    at = instants([0.01] * 5_000 + [3.0] + [0.01] * 4_999)
    told = kept(at, 1000.0)
    assert len(told.offsets) == KEPT_MAX * 4
    gaps = Gaps._make(told.gaps)
    assert (gaps.p99, gaps.most) == (pytest.approx(0.01), pytest.approx(3.0))
    steps = [after - before for before, after in pairwise(offsets_of(told.offsets))]
    assert statistics.median(steps) == pytest.approx(0.39, rel=0.02)


def ended(number: int, chunks: int) -> Exchange:
    request = Request("POST", f"/v1/chat/completions?{number}", (), Body(b""))
    made = Exchange(f"req_{number:032}", request, 1.0)
    workload = Workload("gpt-4o-mini", [1] * 100, chunks)
    amounts = {"input_tokens": 100, "output_tokens": chunks, "num_model_requests": 1}
    usage = (Usage("completions", "gpt-4o-mini", amounts),)
    made.reply = Reply(200, (), [], workload=workload, usage=usage)
    made.status, made.end, made.project, made.key_id = 200, "ok", "proj_default", "key_1"
    made.instants.extend(instants([0.013] * chunks, 1.2))
    made.first_byte_at, made.finished_at = 1.2, made.instants[-1]
    made.settle()
    return made


@pytest.mark.parametrize(("chunks", "bytes_max"), [(1, 1_000), (100, 1_400), (5_000, 2_100)])
def test_an_entry_takes_little_memory(chunks: int, bytes_max: int) -> None:
    journal = Journal(JournalSettings(), VirtualClock())
    exchanges = [ended(number, chunks) for number in range(50)]
    tracemalloc.start()
    try:
        for each in exchanges:
            journal.finished(each)
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert entry_of(next(iter(journal.newest_first()))).bill
    # The id is the exchange's own, which nothing else keeps afterwards.
    assert taken / len(exchanges) + sys.getsizeof(exchanges[0].id) < bytes_max
