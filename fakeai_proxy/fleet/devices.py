"""Which GPU is where: nodes, indices on them, and the names that monitoring knows GPUs by."""

from __future__ import annotations

from collections.abc import Sequence
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


def place(
    dice: Dice,
    wanted: Sequence[tuple[Gpu, int]],
    per_node: int = GPUS_PER_NODE,
    hostname: str = "gpu-node-{}",
) -> list[list[Device]]:
    """Devices for workers that want so many of a GPU each. A node has GPUs of one kind; a worker
    stays within a node unless it wants more than one holds."""
    nodes: list[tuple[str, list[Device]]] = []
    workers = []
    for gpu, count in wanted:
        devices: list[Device] = []
        room_wanted = min(count, per_node)
        while len(devices) < count:
            node = next(
                (
                    (number, held)
                    for number, (name, held) in enumerate(nodes)
                    if name == gpu.name and per_node - len(held) >= room_wanted
                ),
                None,
            )
            if node is None:
                nodes.append((gpu.name, []))
                node = (len(nodes) - 1, nodes[-1][1])
            number, held = node
            for _ in range(min(count - len(devices), per_node - len(held))):
                held.append(_device(dice, gpu, hostname.format(number), len(held)))
                devices.append(held[-1])
            room_wanted = min(count - len(devices), per_node)
        workers.append(devices)
    return workers


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
