"""Exchanges that are counted together count as each by itself would."""

from __future__ import annotations

import asyncio
from array import array

from hypothesis import given, settings
from hypothesis import strategies as st

from fakeai_proxy.body import Body
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.exchange import (
    HIT,
    LIVE,
    SYNTH,
    Admission,
    Exchange,
    Reply,
    Request,
    Usage,
    Workload,
)
from fakeai_proxy.observe.aggregates import Aggregates
from fakeai_proxy.observe.exchanges import ExchangeCounts
from fakeai_proxy.observe.gathering import Counting, Gathering
from fakeai_proxy.observe.live import Live, Second
from fakeai_proxy.observe.marks import Marks
from fakeai_proxy.observe.status import Status
from fakeai_proxy.shared.commons import Commons

EVENTS = ((b"content-type", b"text/event-stream"),)
JSON = ((b"Content-Type", b"application/json"),)
#: Quarters, whose sums are exact in whichever order.
quarters = st.integers(0, 12).map(lambda n: n / 4)
usages = st.sampled_from(
    [
        (),
        (Usage("completions", "m1", {"input_tokens": 2}),),
        (Usage("images", "m2", {"images": 1}, {"size": "1024x1024"}),),
    ]
)
workloads = st.none() | st.builds(
    Workload, st.sampled_from(["m1", "m2"]), st.just((1, 2, 3)), st.integers(0, 4)
)
replies = st.none() | st.builds(
    Reply,
    status=st.sampled_from([200, 404]),
    headers=st.sampled_from([EVENTS, JSON]),
    chunks=st.just(()),
    workload=workloads,
    provenance=st.sampled_from([SYNTH, HIT, LIVE]),
    cut=st.booleans(),
    usage=usages,
)
requests = st.builds(
    Request,
    st.just("POST"),
    st.sampled_from(["/v1/chat/completions", "/v1/messages?a=1", "/v1/files/file-abc123"]),
    st.sampled_from([(), ((b"authorization", b"Bearer sk-1"),), ((b"X-Api-Key", b"sk-2"),)]),
    st.sampled_from([b"{}", b'{"model": "m3"}']).map(Body),
)
admissions = st.builds(
    Admission, st.sampled_from(["", "w0", "w1"]), st.integers(0, 2), st.sampled_from([0.0, 0.5])
)


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    arrived = draw(quarters)
    began = draw(st.none() | quarters)
    first = None if began is None else arrived + began
    made = Exchange(
        "req",
        draw(requests),
        arrived,
        reply=draw(replies),
        admission=draw(admissions),
        first_byte_at=first,
        finished_at=(first or arrived) + draw(quarters),
        sent_bytes=draw(st.integers(0, 9)),
        instants=array("d", () if first is None else (first,)),
        faults=draw(st.sampled_from([(), ("503",)])),
        tier=draw(st.sampled_from(["", "batch"])),
        refused=draw(st.sampled_from([None, ("rpm", 2.0)])),
        end=draw(st.sampled_from(["ok", "error", "cut", "client_gone"])),
    )
    made.status = draw(st.sampled_from([0, 200, 429, 500]))
    made.is_settled = True
    return made


class Counts:
    """All that counts, and what it then has to say."""

    def __init__(self) -> None:
        clock, commons = VirtualClock(), Commons()
        self.status = Status(clock)
        self.exchanges = ExchangeCounts()
        self.aggregates = Aggregates(clock, commons, lambda: 0)
        self.live = Live(clock, Commons(), Marks(clock))
        self.observers: tuple[Counting, ...] = (
            self.status, self.exchanges, self.aggregates, self.live,
        )  # fmt: skip

    async def told(self) -> object:
        sums = self.aggregates.sums()
        return (
            {**await self.status.page(), "instance": "", "tasks": 0},
            vars(self.exchanges.copy()),
            {key: _plain(cell) for key, cell in sums.cells.items()},
            self.aggregates.used(),
            [_plain(second) for second in self.live._after(-1)],
        )


def _plain(value: object) -> object:
    if hasattr(value, "bins"):
        return value.bins, value.least, value.most, round(value.sum, 6)
    fields = (
        {name: getattr(value, name) for name in value.__slots__}
        if isinstance(value, Second)
        else vars(value)
    )
    return {name: _plain(part) if hasattr(part, "bins") else part for name, part in fields.items()}


@settings(max_examples=150, deadline=None)
@given(st.lists(exchanges(), max_size=20), st.integers(1, 25))
def test_together_they_count_as_one_by_one(ended: list[Exchange], at_once: int) -> None:
    ended.sort(key=lambda one: one.finished_at or 0.0)
    alone, together = Counts(), Counts()
    for exchange in ended:
        for observer in alone.observers:
            observer.finished(exchange)
    gathering = Gathering(together.observers, at_once)
    for exchange in ended:
        gathering.finished(exchange)
    assert asyncio.run(alone.told()) == asyncio.run(together.told())
