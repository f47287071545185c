"""What the script in Redis answers is what the process answers that counts alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from fakeai_proxy.body import Body
from fakeai_proxy.clock import SystemClock, VirtualClock
from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import Request
from fakeai_proxy.profiles.limits import LimitsProfile
from fakeai_proxy.shaping.limits import Limiter, LimitSettings
from fakeai_proxy.shaping.limits.asked import AskedTables, served
from fakeai_proxy.shaping.limits.central import Central
from fakeai_proxy.shaping.limits.charge import Charge
from fakeai_proxy.shaping.limits.demand import Demand
from fakeai_proxy.shaping.limits.distant import DistantTables
from fakeai_proxy.shaping.limits.tables import Tables
from fakeai_proxy.shaping.limits.vendor import OPENAI, VENDORS
from fakeai_proxy.shared.operations import Performer
from fakeai_proxy.shared.replicas import Replicas
from tests.servers.redis import Redis

ROWS = [
    {"model": "a*", "rpm": 5, "tpm": 300},
    {"model": "b", "rpm": 60, "rpm_window_s": 10, "tpm": 200, "tpm_counter": True},
    {"scope": "key", "rpd": 40, "concurrent": 3},
    {"scope": "project", "itpm": 500, "otpm": 50.5, "burst_s": 7, "usd_per_month": 0.5},
    {"model": "c", "each": True, "rpm": 4, "batch_queue_tokens": 100},
]
TOLD = frozenset(name for row in ROWS for name in row)


@dataclass(frozen=True)
class Step:
    """What somebody does. `kind` is ask, end (what was asked first and still is), pass (of time), scale
    or reset."""

    kind: str
    seconds: float = 0.0
    model: str = "a"
    key: str = "one"
    tokens: int = 0
    factor: float = 1.0


STEPS = st.lists(
    st.one_of(
        st.builds(
            Step,
            st.just("ask"),
            model=st.sampled_from(["a", "ab", "b", "c", "d"]),
            key=st.sampled_from(["one", "other"]),
            tokens=st.integers(0, 400),
        ),
        st.builds(Step, st.just("end"), tokens=st.integers(0, 400)),
        st.builds(Step, st.just("pass"), seconds=st.floats(0.001, 100, allow_nan=False)),
        st.builds(Step, st.just("scale"), factor=st.sampled_from([0.25, 0.5, 1.0])),
        st.builds(Step, st.just("reset")),
    ),
    max_size=25,
)


def request(key: str) -> Request:
    headers = ((b"authorization", b"Bearer " + key.encode()),)
    return Request("POST", "/v1/chat/completions", headers, Body(b""))


class Player:
    """Goes through a history, and notes what it is told."""

    def __init__(self, clock: VirtualClock, limiter: Limiter) -> None:
        profile = LimitsProfile.model_validate(
            {"name": "mine", "description": "x", "source": "made up here", "limit": ROWS,
             "price": [{"model": "*", "input_usd": 900, "output_usd": 1000}]}
        )  # fmt: skip
        self.clock, self.limiter = clock, limiter
        limiter.replace([(profile, "")], "first")
        self.under_way: list[tuple[object, object]] = []
        self.resets = 0
        self.told: list[object] = []

    async def go(self, step: Step) -> None:
        limiter = self.limiter
        if step.kind == "pass":
            self.clock.advance(step.seconds)
        elif step.kind == "scale":
            limiter.scale(step.factor)
        elif step.kind == "reset":
            self.resets += 1
            limiter.replace(limiter._profiles, f"reset-{self.resets}")
            self.under_way.clear()
        elif step.kind == "ask":
            await self.ask(step)
        elif self.under_way:
            booking, plan = self.under_way.pop(0)
            for place, quota in plan.holding:  # type: ignore[attr-defined] # as the limiter gave it
                booking.take(place, quota, -1)  # type: ignore[attr-defined] # as above
            booking.add(Charge(tokens=step.tokens - 200, input_tokens=step.tokens))  # type: ignore[attr-defined] # as above
            for place, quota in plan.spending:  # type: ignore[attr-defined] # as above
                booking.take(place, quota, step.tokens / 1000)  # type: ignore[attr-defined] # as above

    async def ask(self, step: Step) -> None:
        rules = self.limiter.rules_for("openai")
        assert rules is not None
        plan = rules.plan(step.model)
        charge = Charge(1, step.tokens, step.tokens * 2 / 3, step.tokens / 3)
        try:
            booking = await self.limiter.enter(
                request(step.key), plan, Demand("chat/completions", step.model), charge
            )
        except ApiError as error:
            self.told.append((error.status, error.message, sorted(error.headers.items())))
            return
        self.under_way.append((booking, plan))
        standings = booking.standings(TOLD)
        for vendor in (OPENAI, *VENDORS.values()):
            self.told.append(vendor.headers(standings, self.clock.wall))
        self.told.append(
            {name: (one.shown_limit, one.remaining) for name, one in sorted(standings.items())}
        )


@asynccontextmanager
async def replicas(server: Redis) -> AsyncIterator[Replicas]:
    one = Replicas(SecretStr(server.url), SystemClock(), Performer())
    await one.open()
    try:
        yield one
    finally:
        await one.close()


async def settled(one: Replicas) -> None:
    """What nobody waits for has been done."""
    while one._tasks:
        await asyncio.gather(*one._tasks)


async def alone(history: list[Step]) -> list[object]:
    clock = VirtualClock(autojump=False)
    player = Player(clock, Limiter(LimitSettings(), clock))
    for step in history:
        await player.go(step)
    return player.told


async def with_tables(
    history: list[Step],
    make: Callable[[VirtualClock], Tables],
    wait: Callable[[], object] = lambda: None,
) -> list[object]:
    clock = VirtualClock(autojump=False)
    player = Player(clock, Limiter(LimitSettings(), clock, make(clock)))
    for step in history:
        await player.go(step)
        waiting = wait()
        if waiting is not None:
            await waiting  # type: ignore[misc] # it is one then
    return player.told


class Direct:
    """A line without another end."""

    def __init__(self, central: Central) -> None:
        self._services = served(central)

    def tell(self, service: str, *values: object) -> None:
        self._services[service](self, *values)

    async def ask(self, service: str, *values: object) -> object:
        return self._services[service](self, *values)


#: Between two requests the share changes twice, and what is owed runs at three speeds.
SCALED_TWICE = [
    Step("ask"),
    Step("scale", factor=0.25),
    Step("pass", seconds=1.0),
    Step("scale", factor=1.0),
    Step("ask"),
    Step("scale", factor=0.25),
    Step("ask"),
    Step("pass", seconds=2.0),
    Step("scale", factor=1.0),
    Step("scale", factor=0.25),
    Step("ask"),
]


@given(history=STEPS)
@example(history=SCALED_TWICE)
@settings(max_examples=150, deadline=None)
async def test_whoever_is_asked_answers_as_one_alone(history: list[Step]) -> None:
    told = await with_tables(
        history, lambda clock: AskedTables(Direct(Central(clock)), lambda: "first")
    )
    assert told == await alone(history)


@given(history=STEPS)
@example(history=SCALED_TWICE)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_redis_answers_as_one_alone(server: Redis, history: list[Step]) -> None:
    async with replicas(server) as one:
        one.prefix += f"{one.me}:"  # each history has a world of its own

        def make(clock: VirtualClock) -> Tables:
            return DistantTables(one, clock, lambda: "first", clock.now)

        told = await with_tables(history, make, lambda: settled(one))
    assert told == await alone(history)
