"""Pages of lists by cursor: `limit`, `order` and `after`, and the envelope that lists come in."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from fakeai_proxy import errors
from fakeai_proxy.errors import ApiError

LIMIT, LIMIT_MAX = 20, 100
_ORDERS = {"asc": True, "desc": False}
_INTEGER = re.compile(r"-?[0-9]{1,18}")

Item = TypeVar("Item", bound=Mapping[str, Any])


class Cut(NamedTuple, Generic[Item]):
    items: Sequence[Item]
    has_more: bool


def limit_of(given: str | None, default: int = LIMIT, most: int = LIMIT_MAX, least: int = 1) -> int:
    """Raises 400."""
    if given is None:
        return default
    if not _INTEGER.fullmatch(given):
        raise errors.invalid_type("limit", "an integer", given)
    limit = int(given)
    if limit < least:
        raise errors.out_of_range("limit", "integer", ">=", least, limit)
    if limit > most:
        raise errors.out_of_range("limit", "integer", "<=", most, limit)
    return limit


def is_ascending(given: str | None, default: bool) -> bool:
    """Raises 400."""
    if given is None:
        return default
    if given not in _ORDERS:
        raise errors.invalid_value("order", given, list(_ORDERS))
    return _ORDERS[given]


def cut(
    items: Sequence[Item],
    query: Mapping[str, str],
    missing: Callable[[str], ApiError],
    *,
    ascending: bool = False,
    least: int = 1,
) -> Cut[Item]:
    """What the query asks for of a list, the oldest first, whose items have ids; `missing` words that
    there is none to begin `after`. Raises 400 and that."""
    ordered = items if is_ascending(query.get("order"), ascending) else items[::-1]
    limit = limit_of(query.get("limit"), least=least)
    after = query.get("after")
    if after:
        place = next((k for k, item in enumerate(ordered) if item["id"] == after), None)
        if place is None:
            raise missing(after)
        ordered = ordered[place + 1 :]
    return Cut(ordered[:limit], len(ordered) > limit)


def envelope(
    data: Sequence[Mapping[str, Any]], *, has_more: bool = False, has_ids: bool = True
) -> dict[str, Any]:
    body: dict[str, Any] = {"object": "list", "data": data, "has_more": has_more}
    if has_ids:
        body["first_id"] = data[0]["id"] if data else None
        body["last_id"] = data[-1]["id"] if data else None
    return body
