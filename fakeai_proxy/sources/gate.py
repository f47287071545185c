"""Which recordings no longer count: those that are too old, and those that shall be asked again."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fakeai_proxy.cassette.index import number_of
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.errors import ConfigError


class Gate:
    """`wall` is the time now, in seconds of the epoch; recordings made from the start on count again."""

    def __init__(
        self, max_age_s: float | None, again: Iterable[int], wall: Callable[[], float]
    ) -> None:
        self._max_age_s = max_age_s
        self._again = frozenset(again)
        self._wall = wall
        self._started_at = wall()

    @property
    def is_open(self) -> bool:
        """Whether all recordings count."""
        return self._max_age_s is None and not self._again

    def refuses(self, number: int, at: float) -> bool:
        """`number` is the recording's id, `at` when it was made, 0 where nobody knows."""
        if number in self._again and at < self._started_at:
            return True
        return self._max_age_s is not None and 0 < at < self._wall() - self._max_age_s


def numbers_of(ids: Iterable[str], library: Library) -> list[int]:
    """The recordings with these ids, or the beginnings of ids. Raises ConfigError."""
    found = []
    for name in ids:
        if library.index.by_id(number_of(name)) is not None:
            found.append(number_of(name))
            continue
        near = {
            entry.label.id
            for entry in library.index.entries
            if f"{entry.label.id:016x}".startswith(name)
        }
        if len(near) != 1:
            paths = ", ".join(map(str, library.paths))
            many = f"{len(near)} recordings" if near else "no recording"
            raise ConfigError(f"rerecord: {paths} has {many} whose id begins with {name}.")
        found += near
    return found
