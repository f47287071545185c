"""Samples of many GPUs, a few in each turn of the event loop: one takes 50 us, and nothing else may
touch their telemetry meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor

from fakeai_proxy.clock import turn
from fakeai_proxy.fleet.sample import Sample
from fakeai_proxy.fleet.telemetry import Telemetry
from fakeai_proxy.observe.dcgm import DcgmSettings, position

_GPUS_A_TURN = 40


async def collected(telemetries: Sequence[Telemetry], now: float) -> list[list[Sample]]:
    """Of each, as of `now`."""
    samples: list[list[Sample]] = []
    room = _GPUS_A_TURN
    for telemetry in telemetries:
        if room <= 0:
            await turn()
            room = _GPUS_A_TURN
        samples.append(telemetry.sample(now))
        room -= len(telemetry.boards)
    return samples


class Collector:
    """Holds what it collected until the first look in the next interval, as dcgm-exporter does."""

    def __init__(self, settings: DcgmSettings) -> None:
        self._interval_s = settings.dcgm_interval_s
        self._tick: int | None = None
        self._held: list[Sample] = []

    async def samples(self, telemetries: Sequence[Telemetry], now: float) -> list[Sample]:
        """In the order of nodes and slots."""
        tick = floor(now / self._interval_s)
        if tick != self._tick:
            each = await collected(telemetries, now)
            self._held = sorted((one for samples in each for one in samples), key=position)
            self._tick = tick
        return self._held
