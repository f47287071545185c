"""What was looked for on the cassettes and not found, as far back as a person may want to look. Knows
nothing of how a miss is explained, but that it may be done later, when somebody asks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from fakeai_proxy.errors import CassetteError

#: Misses that are remembered one by one.
MISSES_MAX = 200
#: Requests that are kept for an explanation, by their bodies.
KEPT_BYTES_MAX = 16 << 20
#: Characters kept of a path.
_PATH_CHARS_MAX = 256


class Explanation(NamedTuple):
    message: str
    nearest: Sequence[Mapping[str, object]]


class Later(NamedTuple):
    """An explanation that is made when somebody asks for it, and the bytes that are kept for it."""

    size_bytes: int
    explain: Callable[[], Explanation]


@dataclass(slots=True)
class Missed:
    """`asked_at` is the clock's. `message` is "" and `nearest` empty until it is explained. Plain values
    once `later` is None."""

    id: str
    asked_at: float
    method: str
    path: str
    message: str = ""
    nearest: Sequence[Mapping[str, object]] = field(default_factory=tuple)
    later: Later | None = None
    kept_bytes: int = 0


class Tried:
    def __init__(self) -> None:
        self.misses = 0
        self._last: deque[Missed] = deque(maxlen=MISSES_MAX)
        self._kept: deque[Missed] = deque()
        self._kept_bytes = 0

    def miss(
        self, exchange_id: str, asked_at: float, method: str, path: str, later: Later | None = None
    ) -> None:
        self.misses += 1
        missed = Missed(exchange_id, asked_at, method, path[:_PATH_CHARS_MAX], later=later)
        self._last.append(missed)
        if later is not None:
            missed.kept_bytes = later.size_bytes
            self._kept.append(missed)
            self._kept_bytes += later.size_bytes
            while len(self._kept) > MISSES_MAX or self._kept_bytes > KEPT_BYTES_MAX:
                oldest = self._kept.popleft()
                self._kept_bytes -= oldest.kept_bytes
                oldest.later = None

    def explain(self, exchange_id: str, told: Explanation) -> None:
        """The same miss, later, unless it has been forgotten meanwhile."""
        for missed in reversed(self._last):
            if missed.id == exchange_id:
                missed.message, missed.nearest = told
                return

    def newest_first(self, limit: int = MISSES_MAX, exchange_id: str = "") -> list[Missed]:
        """At most so many, of one exchange where that is named; to be `explained`."""
        newest = (one for one in reversed(self._last) if not exchange_id or one.id == exchange_id)
        return list(islice(newest, limit))

    def reset(self) -> None:
        self.misses = 0
        self._last.clear()
        self._kept.clear()
        self._kept_bytes = 0


def explained(misses: list[Missed]) -> list[Missed]:
    """The same, as plain values with the explanations that could wait till now. Reads recordings: for a
    thread."""
    for missed in misses:
        later = missed.later
        if later is not None:
            with suppress(CassetteError):  # the recordings have gone away meanwhile
                missed.message, missed.nearest = later.explain()
            missed.later = None
    return misses
