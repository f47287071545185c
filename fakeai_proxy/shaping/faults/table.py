"""Every fault there is."""

from __future__ import annotations

from fakeai_proxy.shaping.faults import broken, content, door, instead, line
from fakeai_proxy.shaping.faults.kinds import AnyFault

FAULTS: dict[str, AnyFault] = {
    fault.name: fault
    for fault in (*instead.FAULTS, *broken.FAULTS, *content.FAULTS, *line.FAULTS, *door.FAULTS)
}
