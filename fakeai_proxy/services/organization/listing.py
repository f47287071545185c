"""Lists of an organization that no tag tells, or that go on in a way of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.paging import is_ascending, limit_of
from fakeai_proxy.services.wire import json_reply
from fakeai_proxy.store import Missing, Page, Row

_TOGETHER = 200


def next_listing(data: list[Any], following: str | None) -> Reply:
    """A list that says after what it goes on."""
    return json_reply(
        {"object": "list", "data": data, "has_more": following is not None, "next": following}
    )


async def scanned(
    call: Call,
    kind: str,
    parent: str,
    missing: Callable[[str], ApiError],
    admits: Callable[[Row], bool],
    *,
    ascending: bool = False,
    limit: tuple[int, int] = (20, 100),
) -> Page:
    """A page of the rows that `admits` says are wanted, which no tag tells. Raises 400 and 404."""
    most = limit_of(call.query.get("limit") or None, *limit)
    forwards = is_ascending(call.query.get("order") or None, ascending)
    after, before = call.query.get("after", ""), call.query.get("before", "")
    backwards = bool(before) and not after
    found: list[Row] = []
    while True:
        try:
            page = await call.store.page(
                kind, parent, after=after, before=before, limit=_TOGETHER, ascending=forwards
            )
        except Missing as error:
            raise missing(error.key.id) from None
        rows = list(page.rows)
        wanted = [row for row in rows if admits(row)]
        found = [*wanted, *found] if backwards else [*found, *wanted]
        if len(found) > most or not page.has_more:
            break
        if backwards:
            before = rows[0].key.id
        else:
            after = rows[-1].key.id
    shown = found[-most:] if backwards else found[:most]
    return Page(shown, len(found) > most)


async def all_rows(
    call: Call, kind: str, parent: str | None, tags: Mapping[str, str] | None = None
) -> list[Row]:
    found: list[Row] = []
    while True:
        after = found[-1].key.id if found else ""
        page = await call.store.page(
            kind, parent, tags=tags, after=after, limit=_TOGETHER, ascending=True
        )
        found += page.rows
        if not page.has_more:
            return found
