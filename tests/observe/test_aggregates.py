"""The sums behind the metric pages: exact where they can be, bounded, and the same of several processes."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.body import Body
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.exchange import Exchange, Reply, Request, Usage, Workload
from fakeai_proxy.observe.aggregates import CELLS_MAX, MODELS_MAX, Aggregates, Sums, united
from fakeai_proxy.observe.cell import Sum
from fakeai_proxy.observe.digest import Digest
from fakeai_proxy.observe.names import Names, asked_model, endpoint_name
from fakeai_proxy.shared.commons import Commons

VALUES = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=200)


@given(VALUES, VALUES)
def test_a_digest_of_two_parts_is_that_of_the_whole(some: list[float], more: list[float]) -> None:
    whole = Digest(some + more)
    merged = Digest.of((Digest(some), Digest(more)))
    grown = Digest(some)
    for value in more:
        grown.add(value)
    assert (grown.bins, grown.least, grown.most) == (merged.bins, merged.least, merged.most)
    assert (merged.count, merged.bins) == (len(some) + len(more), whole.bins)
    assert (merged.least, merged.most) == (min(some + more), max(some + more))
    assert merged.sum == pytest.approx(sum(some + more))
    ordered = sorted(some + more)
    for share in (0.5, 0.9, 0.99):
        exact = ordered[-(-int(share * 1000) * len(ordered) // 1000) - 1]
        assert merged.quantile(share) == pytest.approx(exact, rel=0.045)


def exchange(at: float, model: str = "m", path: str = "/v1/chat/completions") -> Exchange:
    made = Exchange("req", Request("POST", path, (), Body(b"{}")), at, key_id="key_1")
    usage = Usage("completions", model, {"input_tokens": 3, "output_tokens": 2})
    made.reply = Reply(200, (), (), workload=Workload(model, [1, 2, 3], 2), usage=(usage,))
    made.status, made.end, made.finished_at = 200, "ok", at + 0.5
    return made


def fed(*exchanges: Exchange, until: float = 200.0) -> Sums:
    clock = VirtualClock(autojump=False)
    aggregates = Aggregates(clock, Commons(), lambda: 1)
    for one in exchanges:
        aggregates.finished(one)
    clock.advance(until)
    return aggregates.sums()


@given(st.lists(st.tuples(st.floats(0, 199), st.sampled_from("abc")), max_size=60), st.data())
def test_several_processes_add_up_to_one(
    asked: list[tuple[float, str]], data: st.DataObject
) -> None:
    asked.sort()
    exchanges = [exchange(at, model) for at, model in asked]
    whose = [data.draw(st.booleans()) for _ in exchanges]
    parts = [
        fed(*(one for one, other in zip(exchanges, whose, strict=True) if other is mine))
        for mine in (True, False)
    ]
    # As one process sends it to another.
    both = united([pickle.loads(pickle.dumps(part)) for part in parts])
    alone = fed(*exchanges)
    assert both.cells.keys() == alone.cells.keys()
    for key, cell in alone.cells.items():
        other = both.cells[key]
        assert (other.requests, other.tokens, other.statuses) == (
            cell.requests, cell.tokens, cell.statuses
        )  # fmt: skip
        assert other.used == cell.used
        assert other.latency.bins == cell.latency.bins
    assert {name: list(counts) for name, counts in both.minutes.items()} == {
        name: list(counts) for name, counts in alone.minutes.items()
    }
    recent = sum(second.requests for second in both.seconds.values())
    assert recent == sum(int(at + 0.5) > 140 for at, _ in asked)
    assert both.active_streams == 2


def test_names_without_end_are_counted_together() -> None:
    sums = fed(*(exchange(1.0, f"model-{n}", f"/v1/p{n}/x") for n in range(CELLS_MAX + 100)))
    assert len(sums.cells) <= CELLS_MAX + 1
    assert len({key.model for key in sums.cells}) == MODELS_MAX + 1
    assert sum(cell.requests for cell in sums.cells.values()) == CELLS_MAX + 100
    assert Sum.of(sums.cells.values()).prompt_tokens == 3 * (CELLS_MAX + 100)
    assert Names(1).known("n" * 1000) == Names.OTHER


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/files/file-AbC123defg/content", "/v1/files/{id}/content"),
        ("/v1/threads/thread_abc123/runs/run_00ff1234", "/v1/threads/{id}/runs/{id}"),
        ("/v1/models/gpt-4o-2024-08-06", "/v1/models/gpt-4o-2024-08-06"),
        ("/openai/deployments/my-gpt-4o/chat/completions",
         "/openai/deployments/my-gpt-4o/chat/completions"),
        ("/", "/"),
    ],
)  # fmt: skip
def test_an_endpoint_is_a_path_without_ids(path: str, name: str) -> None:
    assert endpoint_name(path) == name


@pytest.mark.parametrize(
    ("path", "body", "model"),
    [
        ("/v1/chat/completions",
         b'{"messages":[{"content":"\\"model\\": \\"x\\""}], "model" : "gpt"}', "gpt"),
        ("/v1/chat/completions", b'{"model": 5}', ""),
        ("/v1beta/models/gemini-2.5:generateContent", b"{}", "gemini-2.5"),
        ("/openai/deployments/mine/embeddings", b"", "mine"),
        ("/v1/files", b"", ""),
    ],
)  # fmt: skip
def test_the_model_is_found_where_nobody_has_read_it(path: str, body: bytes, model: str) -> None:
    assert asked_model(Request("POST", path, (), Body(body))) == model
