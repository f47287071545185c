"""What was made is kept by a key, bounded by its weight: the longest unused goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

_Kept = TypeVar("_Kept")


class Shelf(Generic[_Kept]):
    """Safe to share between threads."""

    def __init__(self, bytes_max: int) -> None:
        self._kept: OrderedDict[bytes, tuple[_Kept, int]] = OrderedDict()
        self._bytes = 0
        self._bytes_max = bytes_max
        self._lock = threading.Lock()

    def find(self, key: bytes) -> _Kept | None:
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept.move_to_end(key)
            return found[0]

    def keep(self, key: bytes, value: _Kept, weight: int) -> None:
        with self._lock:
            before = self._kept.pop(key, None)
            if before is not None:
                self._bytes -= before[1]
            self._kept[key] = value, weight
            self._bytes += weight
            while self._bytes > self._bytes_max:
                _, (_, dropped) = self._kept.popitem(last=False)
                self._bytes -= dropped
