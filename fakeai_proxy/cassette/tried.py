"""What was looked for on the cassettes and not found, as far back as a person may want to look. Knows
nothing of how a miss is explained."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

#: Misses that are remembered one by one.
MISSES_MAX = 200
#: Characters kept of a path.
_PATH_CHARS_MAX = 256


@dataclass(slots=True)
class Missed:
    """`asked_at` is the clock's. `message` is "" and `nearest` empty where something else answered, so
    that nobody was told anything."""

    id: str
    asked_at: float
    method: str
    path: str
    message: str = ""
    nearest: Sequence[object] = field(default_factory=tuple)


class Tried:
    def __init__(self) -> None:
        self.misses = 0
        self._last: deque[Missed] = deque(maxlen=MISSES_MAX)

    def miss(self, exchange_id: str, asked_at: float, method: str, path: str) -> None:
        self.misses += 1
        self._last.append(Missed(exchange_id, asked_at, method, path[:_PATH_CHARS_MAX]))

    def explain(self, exchange_id: str, message: str, nearest: Sequence[object]) -> None:
        """The same miss, later, unless it has been forgotten meanwhile."""
        for missed in reversed(self._last):
            if missed.id == exchange_id:
                missed.message, missed.nearest = message, nearest
                return

    def newest_first(self) -> list[Missed]:
        return list(reversed(self._last))

    def reset(self) -> None:
        self.misses = 0
        self._last.clear()
