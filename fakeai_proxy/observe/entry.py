"""What is remembered of an exchange, as it is read and as it is kept."""

from __future__ import annotations

from array import array
from functools import lru_cache
from typing import Any, NamedTuple

#: Kept in place of the instants of an answer that came with its first byte.
AT_ONCE = b"."


class Entry(NamedTuple):
    """`arrived_at` and the instants after it are the clock's; `offsets` and `gaps` are what
    `timeline.kept` keeps. `bill` is what is to be paid for, in JSON: [kind, model, labels, amounts] each."""

    id: str
    arrived_at: float
    first_byte_at: float | None
    finished_at: float
    method: str
    host: str
    path: str
    route: str
    project: str
    key_id: str
    model: str
    status: int
    source: str
    worker: str
    cached_tokens: int
    queue_s: float
    prompt_tokens: int | None
    output_tokens: int | None
    sent_bytes: int
    faults: tuple[str, ...]
    phase: str
    end: str
    finish: str
    error: str
    offsets: bytes
    gaps: tuple[float, ...]
    bill: str
    request: str
    response: str
    #: In the order in which its process finished them.
    number: int = 0


#: The same as it is kept: a plain tuple, which the garbage collector lets go; it would walk over a named
#: one for ever.
Row = tuple[Any, ...]
#: When an exchange ended and, among those of one instant, which one it is.
Moment = tuple[float, int, str]

_FINISHED_AT, _NUMBER = (Entry._fields.index(name) for name in ("finished_at", "number"))


def entry_of(row: Row) -> Entry:
    entry = Entry._make(row)
    if entry.offsets == AT_ONCE and entry.first_byte_at is not None:
        offsets = array("f", (entry.first_byte_at - entry.arrived_at,)).tobytes()
        return entry._replace(offsets=offsets)
    return entry


def id_of(row: Row) -> str:
    return str(row[0])


def moment_of(row: Row) -> Moment:
    return row[_FINISHED_AT], row[_NUMBER], row[0]


@lru_cache(maxsize=1024)
def usual(text: str, chars_max: int) -> str:
    """One object of all texts that are alike, which each request brings anew."""
    return text[:chars_max]
