"""What is remembered of an exchange, as it is read and as it is kept.

Ten thousand of them are kept, and each that comes lets another go: the numbers are packed, because an
object for each would be ten places in memory that nobody has looked at for long.
"""

from __future__ import annotations

import math
from array import array
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

#: Seconds: arrived_at, first_byte_at, finished_at, queue_s. Counts: cached, prompt, output tokens,
#: bytes, number; the status.
_NUMBERS = Struct("<4d5qh")
#: In place of an instant, and of a count, that there is none of.
_NEVER, _NONE = math.nan, -1
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


#: The same as it is kept: the numbers, then the rest in its order. A plain tuple, which the garbage
#: collector lets go; it would walk over a named one for ever.
Row = tuple[
    bytes, str, str, str, str, str, str, str, str, str, str, tuple[str, ...], str, str, str, str,
    bytes, tuple[float, ...], str, str, str,
]  # fmt: skip

#: When an exchange ended and, among those of one instant, which one it is.
Moment = tuple[float, int, str]


def packed(
    arrived_at: float,
    first_byte_at: float | None,
    finished_at: float,
    queue_s: float,
    cached_tokens: int,
    prompt_tokens: int | None,
    output_tokens: int | None,
    sent_bytes: int,
    number: int,
    status: int,
) -> bytes:
    return _NUMBERS.pack(
        arrived_at,
        _NEVER if first_byte_at is None else first_byte_at,
        finished_at,
        queue_s,
        cached_tokens,
        _NONE if prompt_tokens is None else prompt_tokens,
        _NONE if output_tokens is None else output_tokens,
        sent_bytes,
        number,
        status,
    )


def entry_of(row: Row) -> Entry:
    (
        numbers, id_, method, host, path, route, project, key_id, model, source, worker, faults, phase,
        end, finish, error, offsets, gaps, bill, request, response,
    ) = row  # fmt: skip
    arrived_at, first, finished_at, queue_s, cached, prompt, output, sent, number, status = (
        _NUMBERS.unpack(numbers)
    )
    if offsets == AT_ONCE:
        offsets = array("f", (first - arrived_at,)).tobytes()
    return Entry(
        id_, arrived_at, None if math.isnan(first) else first, finished_at, method, host, path, route,
        project, key_id, model, status, source, worker, cached, queue_s,
        None if prompt < 0 else prompt, None if output < 0 else output,
        sent, faults, phase, end, finish, error, offsets, gaps, bill, request, response, number,
    )  # fmt: skip


def id_of(row: Row) -> str:
    return row[1]


def moment_of(row: Row) -> Moment:
    numbers = _NUMBERS.unpack(row[0])
    return numbers[2], numbers[8], row[1]


def row_of(entry: Entry) -> Row:
    numbers = packed(
        entry.arrived_at, entry.first_byte_at, entry.finished_at, entry.queue_s, entry.cached_tokens,
        entry.prompt_tokens, entry.output_tokens, entry.sent_bytes, entry.number, entry.status,
    )  # fmt: skip
    return (
        numbers, entry.id, entry.method, entry.host, entry.path, entry.route, entry.project,
        entry.key_id, entry.model, entry.source, entry.worker, entry.faults, entry.phase, entry.end,
        entry.finish, entry.error, entry.offsets, entry.gaps, entry.bill, entry.request, entry.response,
    )  # fmt: skip


@lru_cache(maxsize=1024)
def usual(text: str, chars_max: int) -> str:
    """One object of all texts that are alike, which each request brings anew."""
    return text[:chars_max]
