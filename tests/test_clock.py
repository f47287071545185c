from __future__ import annotations

import asyncio

import pytest

from fakeai_proxy.clock import Clock, SystemClock, VirtualClock


async def test_virtual_sleepers_wake_in_order_of_deadline_at_their_exact_instants() -> None:
    clock = VirtualClock()
    woken: list[tuple[str, float]] = []

    async def sleep(name: str, deadline: float) -> None:
        await clock.sleep_until(deadline)
        woken.append((name, clock.now()))

    await asyncio.gather(sleep("late", 450.0), sleep("early", 0.25), sleep("middle", 7.5))
    assert woken == [("early", 0.25), ("middle", 7.5), ("late", 450.0)]


async def test_without_autojump_time_stands_until_it_is_advanced() -> None:
    clock = VirtualClock(autojump=False)
    sleeper = asyncio.ensure_future(clock.sleep_until(2.0))
    for _ in range(100):
        await asyncio.wait([sleeper], timeout=0)
    assert not sleeper.done()
    clock.advance(1.5)
    assert clock.now() == 1.5
    clock.advance(0.5)
    await sleeper
    assert clock.now() == 2.0


async def test_advance_fires_what_falls_due_on_the_way_at_its_own_instant() -> None:
    clock = VirtualClock(autojump=False)
    seen: list[float] = []
    second = clock.timer(lambda: seen.append(clock.now()))

    def fire() -> None:
        seen.append(clock.now())
        second.at(3.0)

    first = clock.timer(fire)
    first.at(1.0)
    clock.advance(10.0)
    assert seen == [1.0, 3.0]


async def test_a_timer_set_again_forgets_its_first_deadline() -> None:
    clock = VirtualClock(autojump=False)
    seen: list[float] = []
    timer = clock.timer(lambda: seen.append(clock.now()))
    timer.at(1.0)
    timer.at(2.0)
    clock.advance(5.0)
    assert seen == [2.0]
    timer.at(6.0)
    timer.close()
    clock.advance(5.0)
    assert seen == [2.0]


async def test_held_time_does_not_jump() -> None:
    clock = VirtualClock()
    with clock.hold():
        sleeper = asyncio.ensure_future(clock.sleep_until(1.0))
        await asyncio.to_thread(sum, range(1000))
        assert clock.now() == 0.0
    await sleeper
    assert clock.now() == 1.0


def test_wall_time_moves_with_the_clock() -> None:
    clock = VirtualClock(epoch=1000.0)
    clock.advance(5.0)
    assert clock.wall() == 1005.0


@pytest.mark.parametrize("rate", [1.0, 50.0])
async def test_system_time_never_wakes_a_sleeper_early(rate: float) -> None:
    clock: Clock = SystemClock(rate)
    deadline = clock.now() + 0.01 * rate
    await clock.sleep_until(deadline)
    assert clock.now() >= deadline
    await clock.sleep_until(deadline - 1.0)


async def test_a_sleeper_that_is_cancelled_leaves_no_timer_behind() -> None:
    clock = SystemClock()
    sleeper = asyncio.ensure_future(clock.sleep_until(clock.now() + 3600))
    await asyncio.wait([sleeper], timeout=0)
    sleeper.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeper
