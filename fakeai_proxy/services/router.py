"""Finds the operation that a request means. Rooms are imported when somebody first asks for them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from fakeai_proxy import errors
from fakeai_proxy.services import Room
from fakeai_proxy.services.operation import Operation

_DIALECTS = (
    re.compile(r"/openai/deployments/(?P<deployment>[^/]+)(?P<rest>/.*)"),
    re.compile(r"/openai/v1(?P<rest>/.*)"),
    re.compile(r"/openai(?P<rest>/.*)"),
    re.compile(r"/v1(?P<rest>/.*)"),
)

#: Paths that are remembered: Azure's have the names of deployments in them.
_FOUND_MAX = 1024


class _Door:
    """The operations below one first segment."""

    def __init__(self, rooms: Iterable[Room]) -> None:
        self.plain: dict[str, dict[str, Operation]] = {}
        self.at_root: dict[str, dict[str, Operation]] = {}
        self.patterned: list[Operation] = []
        for operation in (one for room in rooms for one in room.operations):
            if operation.at_root:
                self.at_root.setdefault(operation.path, {})[operation.method] = operation
            elif "{" in operation.path:
                self.patterned.append(operation)
            else:
                self.plain.setdefault(operation.path, {})[operation.method] = operation


class Router:
    def __init__(self, rooms: Iterable[Room]) -> None:
        self._rooms: dict[str, list[Room]] = {}
        for room in rooms:
            for segment in room.under:
                self._rooms.setdefault(segment, []).append(room)
        self._doors: dict[str, _Door] = {}
        #: What has been found on paths without parameters, and whether nobody needs a key there.
        self._found: dict[tuple[str, str], tuple[Operation, Mapping[str, str]]] = {}
        self._keyless: dict[str, bool] = {}

    def is_at_hand(self, path: str) -> bool:
        """Whether `find` can tell at once; otherwise `open` has something to import first."""
        if path in self._keyless:
            return True
        segment = _segment(_split(path)[0])
        rooms = self._rooms.get(segment, ())
        return segment in self._doors or all(room.is_ready for room in rooms)

    def open(self, path: str) -> None:
        """A tenth of a second's work where it is needed, in any thread."""
        self._door(_segment(_split(path)[0]))

    def _door(self, segment: str) -> _Door | None:
        door = self._doors.get(segment)
        if door is None and segment in self._rooms:
            door = self._doors[segment] = _Door(self._rooms[segment])
        return door

    def is_keyless(self, path: str) -> bool:
        """Whether nobody needs a key there. The path is at hand."""
        known = self._keyless.get(path)
        if known is not None:
            return known
        door = self._door(_segment(_split(path)[0]))
        if door is None:
            return False
        found = door.at_root.get(path) or door.plain.get(path.removeprefix("/v1")) or {}
        return any(operation.keyless for operation in found.values())

    def find(self, method: str, path: str) -> tuple[Operation, Mapping[str, str]]:
        """The operation and the parameters in its path, which is at hand. Raises 404 and 405."""
        found = self._found.get((method, path))
        if found is not None:
            return found
        rest, params = _split(path)
        door = self._door(_segment(rest))
        if door is None:
            raise errors.unknown_url(method, path)
        at_root = door.at_root.get(path)
        if at_root is not None:
            if method not in at_root:
                raise errors.method_not_allowed(method, path, ", ".join(sorted(at_root)))
            return at_root[method], {}
        if params is None:
            raise errors.unknown_url(method, path)
        rest = rest.rstrip("/")
        at_path = door.plain.get(rest)
        if at_path is not None and method in at_path:
            if len(self._found) < _FOUND_MAX:
                self._keyless[path] = self.is_keyless(path)
                self._found[method, path] = at_path[method], params
            return at_path[method], params
        allowed = set(at_path or ())
        for operation in door.patterned:
            match = operation.pattern.fullmatch(rest)
            if match:
                if operation.method == method:
                    return operation, {**params, **match.groupdict()}
                allowed.add(operation.method)
        if allowed:
            raise errors.method_not_allowed(method, path, ", ".join(sorted(allowed)))
        raise errors.unknown_url(method, path)


@lru_cache(maxsize=1024)
def _split(path: str) -> tuple[str, Mapping[str, str] | None]:
    """The path without its dialect, and what the dialect says; None for a path that has none."""
    for dialect in _DIALECTS:
        match = dialect.fullmatch(path)
        if match:
            params = match.groupdict()
            return params.pop("rest"), params
    return path, None


def _segment(path: str) -> str:
    return path.split("/", 2)[1] if path.startswith("/") else ""
