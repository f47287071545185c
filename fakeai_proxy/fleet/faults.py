"""What can be wrong with a GPU: the codes its driver reports and the faults that can be injected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple


class XidKind(NamedTuple):
    """`kills` whatever computes on the GPU. `lost`: the driver cannot reach it any more."""

    text: str
    kills: bool = True
    lost: bool = False
    counts: tuple[str, ...] = ()


#: Meanings: NVIDIA's XID catalogue. `counts` are the counters of `Counters` that come with it.
XIDS: dict[int, XidKind] = {
    13: XidKind("Graphics engine exception"),
    31: XidKind("GPU memory page fault"),
    43: XidKind("GPU stopped processing"),
    45: XidKind("Preemptive cleanup", kills=False),
    48: XidKind("Double bit ECC error", counts=("ecc_dbe",)),
    61: XidKind("Internal microcontroller breakpoint", kills=False),
    62: XidKind("Internal microcontroller halt"),
    63: XidKind("Row remapping recorded", kills=False, counts=("remapped_uncorrectable",)),
    64: XidKind("Row remapping failed", counts=("remap_failures",)),
    74: XidKind("NVLink error", counts=("nvlink_recovery_errors", "nvlink_crc_errors")),
    79: XidKind("GPU has fallen off the bus", lost=True),
    92: XidKind("High single bit ECC error rate", kills=False, counts=("ecc_sbe",)),
    94: XidKind("Contained ECC error", counts=("ecc_dbe",)),
    95: XidKind("Uncontained ECC error", counts=("ecc_dbe",)),
    109: XidKind("Context switch timeout"),
    119: XidKind("GSP RPC timeout"),
    120: XidKind("GSP error"),
    140: XidKind("Unrecovered ECC error", counts=("ecc_dbe",)),
}
#: A code that the catalogue lacks is shown and does no harm.
UNKNOWN_XID = XidKind("Unknown error", kills=False)


@dataclass(frozen=True)
class Xid:
    code: int
    gpu: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.code < 1000:
            raise ValueError(f"xid {self.code}: codes are between 1 and 999")

    @property
    def kind(self) -> XidKind:
        return XIDS.get(self.code, UNKNOWN_XID)


@dataclass(frozen=True)
class Ecc:
    """`count` memory errors; those of two bits also raise XID 48 and remap as many rows."""

    kind: Literal["sbe", "dbe"]
    count: int = 1
    gpu: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.count <= 1_000_000_000:
            raise ValueError("ecc: a count is between 1 and 1e9")


@dataclass(frozen=True)
class Thermal:
    """Warmer air, or cooling that is worse by a factor (a failed fan or pump: about 2 to 4)."""

    ambient_c: float | None = None
    resistance: float = 1.0
    gpu: int | None = None

    def __post_init__(self) -> None:
        if self.ambient_c is not None and not -20 <= self.ambient_c <= 120:
            raise ValueError("thermal: ambient_c is between -20 and 120")
        if not 0.1 <= self.resistance <= 20:
            raise ValueError("thermal: resistance is between 0.1 and 20")


@dataclass(frozen=True)
class PowerCap:
    """A limit under the factory's; what is above that changes nothing."""

    limit_w: float
    gpu: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.limit_w <= 100_000:
            raise ValueError("power cap: limit_w is between 1 and 100000")


#: `gpu` counts within the worker; None is all of them.
Fault = Xid | Ecc | Thermal | PowerCap


@dataclass
class Counters:
    """Of one GPU, since boot."""

    ecc_sbe: int = 0
    ecc_dbe: int = 0
    remapped_correctable: int = 0
    remapped_uncorrectable: int = 0
    remap_failures: int = 0
    nvlink_crc_errors: int = 0
    nvlink_recovery_errors: int = 0
