"""Where content comes from. A mode is one expression over the sources; the two tables are all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from fakeai_proxy.roles import Source

Mode = Literal["synth", "record", "replay", "auto", "hybrid", "diff", "pass"]
OnMiss = Literal["error", "synth", "record", "record-synth", "pass"]


@dataclass(frozen=True)
class Parts:
    """What modes are made of; each is a function so that only what a mode uses is opened."""

    synth: Callable[[], Source]
    upstream: Callable[[], Source]
    miss: Callable[[], Source]
    recorder: Callable[[Source], Source]
    player: Callable[[Source], Source]
    differ: Callable[[Source, Source], Source]


#: What answers a request that the cassette does not hold.
ON_MISS: dict[OnMiss, Callable[[Parts], Source]] = {
    "error": lambda parts: parts.miss(),
    "synth": lambda parts: parts.synth(),
    "record": lambda parts: parts.recorder(parts.upstream()),
    "record-synth": lambda parts: parts.recorder(parts.synth()),
    "pass": lambda parts: parts.upstream(),
}

#: Modes that play, with what they do on a miss unless told otherwise.
PLAYING: dict[Mode, OnMiss] = {
    "replay": "error", "auto": "record", "hybrid": "synth", "diff": "error",
}  # fmt: skip

#: Modes (or choices on a miss) that ask a live back end.
LIVE_ON: frozenset[str] = frozenset(("record", "pass", "diff"))
#: Those that answer by themselves, and those that record.
MADE_UP_ON: frozenset[str] = frozenset(("synth", "record-synth"))
RECORDED_ON: frozenset[str] = frozenset(("record", "record-synth"))

MODES: dict[Mode, Callable[[Parts, OnMiss], Source]] = {
    "synth": lambda parts, _: parts.synth(),
    "record": lambda parts, _: parts.recorder(parts.upstream()),
    "replay": lambda parts, on_miss: parts.player(ON_MISS[on_miss](parts)),
    "auto": lambda parts, on_miss: parts.player(ON_MISS[on_miss](parts)),
    "hybrid": lambda parts, on_miss: parts.player(ON_MISS[on_miss](parts)),
    "diff": lambda parts, on_miss: parts.differ(
        parts.player(ON_MISS[on_miss](parts)), parts.upstream()
    ),
    "pass": lambda parts, _: parts.upstream(),
}
