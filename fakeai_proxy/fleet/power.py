"""What a GPU draws, how its clock gives way to limits, and how it warms: closed forms over a
stretch of time in which the load is constant. Knows no worker and no clock.
"""

from __future__ import annotations

from math import exp
from typing import NamedTuple

from fakeai_proxy.profiles.gpu import Gpu, Power

#: Time constant with which the drawn and reported power follows the load; boards average over
#: about a second (nvidia-smi manual, power.draw.average).
POWER_LAG_S = 1.0
#: Time constant and air of the thermal model: a board settles within about a minute; a cold aisle.
THERMAL_LAG_S = 25.0
AMBIENT_C = 29.0
#: At full power in cold air, of the passively or liquid cooled boards of such fleets.
LOADED_C = 70.0
#: Above the first the driver lowers the clock bit by bit, from the second on the hardware does so
#: at once (nvidia-smi -q of H100 boards: Max Operating 85-87 C, Slowdown 89-92 C).
OPERATING_MAX_C = 87.0
SLOWDOWN_C = 92.0
#: Of the clock, for each degree above the operating maximum; and what the hardware leaves.
_CLOCK_PER_DEGREE = 0.1
_CLOCK_HARDWARE = 0.5
_CLOCK_MIN = 0.2
#: Tensor activity at which the cost of having the tensor cores at work at all has mostly come.
_TENSOR_ONSET = 0.05


def demand(power: Power, busy: float, dram: float, tensor: float) -> float:
    """Share of the span from idle to TDP that this activity wants at full clock; can exceed 1."""
    return (
        power.busy * busy
        + power.memory * dram
        + power.tensor_on * (1.0 - exp(-tensor / _TENSOR_ONSET))
        + power.tensor * tensor
    )


def power_w(gpu: Gpu, busy: float, dram: float, tensor: float) -> float:
    """Settled, at the factory limit, for activities between 0 and 1."""
    share = demand(gpu.power, busy, dram, tensor)
    return gpu.idle_w + (gpu.tdp_w - gpu.idle_w) * min(1.0, share)


def clock_ratio(allowed: float, wanted: float, temperature_c: float) -> float:
    """Of the highest clock. Power of logic goes with the cube of its clock, because the voltage
    follows: at the formula's worst (1.46 times what is allowed) that is 12 % less."""
    ratio = 1.0 if wanted <= allowed else (allowed / wanted) ** (1 / 3)
    return max(_CLOCK_MIN, min(ratio, thermal_ratio(temperature_c)))


def thermal_ratio(temperature_c: float) -> float:
    """What heat leaves of the clock."""
    if temperature_c <= OPERATING_MAX_C:
        return 1.0
    ratio = 1.0 - _CLOCK_PER_DEGREE * (temperature_c - OPERATING_MAX_C)
    return min(ratio, _CLOCK_HARDWARE) if temperature_c >= SLOWDOWN_C else ratio


class Heat(NamedTuple):
    """Power and temperature of one board, and the energy it has used."""

    power_w: float
    temperature_c: float
    energy_j: float = 0.0

    def after(self, seconds: float, target_w: float, ambient_c: float, kelvin_per_w: float) -> Heat:
        """With the power on its way to `target_w` all the while: exact, for any stretch."""
        fade, cool = exp(-seconds / POWER_LAG_S), exp(-seconds / THERMAL_LAG_S)
        above = self.power_w - target_w
        settled_c = ambient_c + kelvin_per_w * target_w
        # The excess of power fades faster than the board follows; its share of the temperature.
        riding = kelvin_per_w * above * POWER_LAG_S / (POWER_LAG_S - THERMAL_LAG_S)
        return Heat(
            target_w + above * fade,
            settled_c + riding * fade + (self.temperature_c - settled_c - riding) * cool,
            self.energy_j + target_w * seconds + above * POWER_LAG_S * (1.0 - fade),
        )
