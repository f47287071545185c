"""The control API's rows of the cassettes: what there is, how often it was the answer, and what was
looked for in vain, with the explanation: the one that the client was given, or would have been."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fakeai_proxy import errors
from fakeai_proxy.clock import Clock
from fakeai_proxy.observe.pages import CONTROL, Answer, Call, Parameter, Route
from fakeai_proxy.shared.commons import Commons

if TYPE_CHECKING:
    from fakeai_proxy.cassette.library import Library
    from fakeai_proxy.cassette.segments import Segment
    from fakeai_proxy.cassette.tried import Missed

_ROWS = Parameter("limit", "At most so many misses.", "integer", 50, 1, 1000)


def cassette_routes(
    library: Library | None, miss: str | None, commons: Commons, clock: Clock
) -> tuple[Route, ...]:
    """`library` is None in the modes without cassettes; `miss` is what a miss leads to."""

    commons.offer("cassettes", lambda: _hits(library))

    async def missed(limit: int, exchange_id: str) -> list[Missed]:
        if library is None:
            return []
        from fakeai_proxy.cassette.tried import explained

        with clock.hold():
            return await asyncio.to_thread(
                explained, library.tried.newest_first(limit, exchange_id)
            )

    commons.offer("cassettes.misses", missed)

    async def page(call: Call) -> Answer:
        counted = await commons.gather("cassettes")
        answered = sum((found for found, _ in counted), Counter[str]())
        data = []
        if library is not None:
            with clock.hold():
                data = await asyncio.to_thread(_listed, library, answered)
        return Answer(
            {
                "object": "list",
                "data": data,
                "hits": sum(answered.values()),
                "misses": sum(misses for _, misses in counted),
                "on_miss": miss,
            }
        )

    async def misses(call: Call) -> Answer:
        limit = call.query["limit"]
        parts = await commons.gather("cassettes.misses", limit, "")
        found = sorted((one for part in parts for one in part), key=lambda one: -one.asked_at)
        shown = found[:limit]
        return Answer(
            lambda: {"object": "list", "data": [_told(one, clock.epoch_s, miss) for one in shown]}
        )

    async def one(call: Call) -> Answer:
        wanted = call.params["id"]
        for part in await commons.gather("cassettes.misses", 1, wanted):
            for found in part:
                return Answer(_told(found, clock.epoch_s, miss))
        raise errors.no_such_miss(errors.shown(wanted))

    path = f"{CONTROL}cassettes"
    return (
        Route("GET", path, page, "The cassettes, and how often each had the answer."),
        Route("GET", f"{path}/misses", misses,
              "The last requests that were not on them, newest first, and why.",
              (_ROWS,)),
        Route("GET", f"{path}/misses/{{id}}", one, "The miss of one exchange, by its id."),
    )  # fmt: skip


def _hits(library: Library | None) -> tuple[Counter[str], int]:
    """By cassette, and how many misses."""
    found: Counter[str] = Counter()
    if library is None:
        return found, 0
    for segment in library.segments:
        found[_cassette_of(segment, library.paths)] += segment.hits
    return found, library.tried.misses


def _listed(library: Library, answered: Counter[str]) -> list[dict[str, Any]]:
    """In a thread."""
    held: Counter[str] = Counter()
    for segment, count in library.index.counts().items():
        held[_cassette_of(segment, library.paths)] += count
    return [
        {
            "path": str(path),
            "recordings": held[str(path)],
            "hits": answered[str(path)],
            "segments": sum(_cassette_of(one, library.paths) == str(path)
                            for one in library.segments),
            "bytes": _size_bytes(path),
        }
        for path in dict.fromkeys(library.paths)
    ]  # fmt: skip


def _cassette_of(segment: Segment, paths: Sequence[Path]) -> str:
    """The cassette that a file belongs to."""
    for path in paths:
        if segment.path == path or path in segment.path.parents:
            return str(path)
    return str(segment.path)


def _size_bytes(path: Path) -> int:
    try:
        if path.is_dir():
            return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
        return path.stat().st_size
    except OSError:
        return 0  # not written yet, or moved away meanwhile


def _told(missed: Missed, epoch_s: float, miss: str | None) -> dict[str, Any]:
    from fakeai_proxy.cassette.shapes import blotted

    at = datetime.fromtimestamp(epoch_s + missed.asked_at, UTC)
    return {
        "id": missed.id,
        "asked": at.isoformat(timespec="microseconds"),
        "method": missed.method,
        "path": blotted(missed.path),
        "answered_by": miss,
        "explanation": missed.message or None,
        "nearest": list(missed.nearest),
    }
