"""What was made is kept by a key, bounded by its weight: the longest unused goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Kept = TypeVar("_Kept")


class Shelf(Generic[_Key, _Kept]):
    """Safe to share between threads."""

    def __init__(self, weight_max: int, count_max: int | None = None) -> None:
        self._kept: OrderedDict[_Key, tuple[_Kept, int]] = OrderedDict()
        self._weight = 0
        self._weight_max = weight_max
        self._count_max = count_max
        self._lock = threading.Lock()

    def __contains__(self, key: _Key) -> bool:
        return key in self._kept

    def find(self, key: _Key) -> _Kept | None:
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept.move_to_end(key)
            return found[0]

    def keep(self, key: _Key, value: _Kept, weight: int) -> None:
        with self._lock:
            self._drop(key)
            self._kept[key] = value, weight
            self._weight += weight
            while self._weight > self._weight_max or self._is_crowded():
                self._drop(next(iter(self._kept)))

    def forget(self, key: _Key) -> None:
        with self._lock:
            self._drop(key)

    def _is_crowded(self) -> bool:
        return self._count_max is not None and len(self._kept) > self._count_max

    def _drop(self, key: _Key) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._weight -= found[1]
