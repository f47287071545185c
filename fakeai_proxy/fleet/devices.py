"""Which GPU is where: nodes, indices on them, and the names that monitoring knows GPUs by."""

from __future__ import annotations

from typing import NamedTuple

from fakeai_proxy.dice import Dice
from fakeai_proxy.profiles.gpu import Gpu

GPUS_PER_NODE = 8
#: Buses of the eight GPUs of a common HGX board, as nvidia-smi lists them.
_BUSES = (0x19, 0x3B, 0x4C, 0x5D, 0x9B, 0xBB, 0xCB, 0xDB)


class Device(NamedTuple):
    """`slot` counts on the node."""

    slot: int
    uuid: str
    pci_bus_id: str
    device: str
    model: str
    hostname: str


class Nodes:
    """Fills up as workers come. A node has GPUs of one kind; a worker stays within a node unless it
    wants more than one holds."""

    def __init__(
        self, dice: Dice, per_node: int = GPUS_PER_NODE, hostname: str = "gpu-node-{}"
    ) -> None:
        self._dice = dice
        self._per_node = per_node
        self._hostname = hostname
        #: What kind a node has, and how many of them are taken.
        self._taken: list[tuple[str, int]] = []

    def take(self, gpu: Gpu, count: int) -> list[Device]:
        devices: list[Device] = []
        while len(devices) < count:
            wanted = min(count - len(devices), self._per_node)
            number = self._with_room(gpu, wanted)
            taken = self._taken[number][1]
            name = self._hostname.format(number)
            devices += [_device(self._dice, gpu, name, taken + slot) for slot in range(wanted)]
            self._taken[number] = (gpu.name, taken + wanted)
        return devices

    def _with_room(self, gpu: Gpu, wanted: int) -> int:
        for number, (name, taken) in enumerate(self._taken):
            if name == gpu.name and taken + wanted <= self._per_node:
                return number
        self._taken.append((gpu.name, 0))
        return len(self._taken) - 1


def _device(dice: Dice, gpu: Gpu, hostname: str, slot: int) -> Device:
    digits = f"{dice.number('gpu uuid', hostname, slot):032x}"
    parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    domain, bus = divmod(slot, len(_BUSES))
    return Device(
        slot,
        "GPU-" + "-".join(parts),
        f"{domain:08X}:{_BUSES[bus]:02X}:00.0",
        f"nvidia{slot}",
        gpu.device_name,
        hostname,
    )
