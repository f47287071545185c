"""What a query of usage asks for: a range of time in buckets, groups, filters and a page of it."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fakeai_proxy import errors
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.paging import limit_of
from fakeai_proxy.store import Sum

_INTEGER = re.compile(r"-?[0-9]{1,15}")
_PAGE = re.compile(r"page_([A-Za-z0-9_-]{1,32}=*)")


class Width(NamedTuple):
    """Seconds of a bucket, and how many of them a page has."""

    seconds: int
    default: int
    most: int


#: platform.openai.com/docs/api-reference/usage
WIDTHS = {"1m": Width(60, 60, 1440), "1h": Width(3600, 24, 168), "1d": Width(86_400, 7, 31)}
COSTS_WIDTHS = {"1d": Width(86_400, 7, 180)}

#: Query parameters that filter, and the labels that they look at.
FILTERS = {
    "project_ids": "project_id", "user_ids": "user_id", "api_key_ids": "api_key_id",
    "models": "model", "sizes": "size", "sources": "source", "batch": "batch",
    "vector_store_ids": "vector_store_id", "context_levels": "context_level",
    "line_items": "line_item",
}  # fmt: skip
_BOOLEANS = {"true": "true", "1": "true", "false": "", "0": ""}


@dataclass(frozen=True)
class Query:
    """`start_at` and `end_at` are ends of buckets; `end_at` is that of the page."""

    width_s: int
    start_at: int
    end_at: int
    has_more: bool
    groups: tuple[str, ...]
    filters: Mapping[str, frozenset[str]]

    @classmethod
    def of(
        cls,
        call: Call,
        groups: Sequence[str],
        filters: Sequence[str],
        widths: Mapping[str, Width] = WIDTHS,
    ) -> Query:
        """Raises 400."""
        width = _width(call, widths)
        start = _instant(call, "start_time")
        if start is None:
            raise errors.missing_parameter("start_time")
        end = _instant(call, "end_time")
        if end is not None and end <= start:
            raise errors.bad_parameter(
                "end_time", "invalid_value", "'end_time' must be after 'start_time'."
            )
        seconds = width.seconds
        # What is yet to come is no part of an account.
        last = min(call.wall() + 1, float("inf") if end is None else end)
        end_at = max(-(-int(last) // seconds) * seconds, start // seconds * seconds)
        start_at = max(start // seconds * seconds, _cursor(call.query.get("page", ""), seconds))
        limit = limit_of(call.query.get("limit"), width.default, width.most)
        page_end = min(start_at + limit * seconds, end_at)
        return cls(
            seconds, start_at, max(page_end, start_at), page_end < end_at,
            _groups(call, groups), _filters(call, filters),
        )  # fmt: skip

    def starts(self) -> range:
        return range(self.start_at, self.end_at, self.width_s)

    def admits(self, labels: Mapping[str, str]) -> bool:
        return all(labels.get(name, "") in wanted for name, wanted in self.filters.items())

    def group(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(labels.get(name, "") for name in self.groups)

    def grouped(self, sums: Sequence[Sum]) -> dict[int, dict[tuple[str, ...], dict[str, int]]]:
        """Amounts by bucket and group."""
        found: dict[int, dict[tuple[str, ...], dict[str, int]]] = {}
        for at, labels, amounts in sums:
            if self.admits(labels):
                counted = found.setdefault(at, {}).setdefault(self.group(labels), {})
                for name, amount in amounts.items():
                    counted[name] = counted.get(name, 0) + amount
        return found

    def page(self, results: Mapping[int, list[dict[str, Any]]]) -> dict[str, Any]:
        """`results` by the beginning of their bucket."""
        return {
            "object": "page",
            "data": [
                {
                    "object": "bucket", "start_time": start, "end_time": start + self.width_s,
                    "results": results.get(start, []),
                }
                for start in self.starts()
            ],
            "has_more": self.has_more,
            "next_page": _page(self.end_at) if self.has_more else None,
        }  # fmt: skip


def _width(call: Call, widths: Mapping[str, Width]) -> Width:
    asked = call.query.get("bucket_width") or "1d"
    if asked not in widths:
        raise errors.invalid_value("bucket_width", asked, list(widths))
    return widths[asked]


def _instant(call: Call, name: str) -> int | None:
    given = call.query.get(name, "")
    if not given:
        return None
    if not _INTEGER.fullmatch(given):
        raise errors.invalid_type(name, "an integer", given)
    if int(given) < 0:
        raise errors.out_of_range(name, "integer", ">=", 0, int(given))
    return int(given)


def _groups(call: Call, known: Sequence[str]) -> tuple[str, ...]:
    asked = list(dict.fromkeys(_several(call, "group_by")))
    for place, name in enumerate(asked):
        if name not in known:
            raise errors.invalid_value(f"group_by[{place}]", name, list(known))
    return tuple(asked)


def _filters(call: Call, known: Sequence[str]) -> dict[str, frozenset[str]]:
    found = {}
    for name in known:
        asked = list(_several(call, name))
        if name == "batch" and asked:
            if asked[0].lower() not in _BOOLEANS:
                raise errors.invalid_type(name, "a boolean", asked[0])
            asked = [_BOOLEANS[asked[0].lower()]]
        if asked:
            found[FILTERS[name]] = frozenset(asked)
    return found


def _several(call: Call, name: str) -> Iterator[str]:
    """As often as it is given, and each time perhaps several with commas."""
    whole = name == "line_items"  # names that have commas
    for value in call.queried(name):
        yield from [value] if whole else [one for one in value.split(",") if one]


def _page(start_at: int) -> str:
    return "page_" + urlsafe_b64encode(b"%d" % start_at).decode()


def _cursor(given: str, seconds: int) -> int:
    """Raises 400."""
    if not given:
        return 0
    match = _PAGE.fullmatch(given)
    try:
        text = urlsafe_b64decode(match[1]).decode("ascii") if match else ""
    except (Error, UnicodeDecodeError):
        text = ""
    if not _INTEGER.fullmatch(text) or int(text) < 0 or int(text) % seconds:
        raise errors.bad_parameter(
            "page", "invalid_value", f"Invalid page cursor: '{given[:100]}'."
        )
    return int(text)
