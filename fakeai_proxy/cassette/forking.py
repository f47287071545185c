"""A session up to one of its turns, as a cassette of its own, from which it can go on otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fakeai_proxy.cassette import rewriting
from fakeai_proxy.cassette.entries import Entry
from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.sealing import Progress
from fakeai_proxy.errors import CassetteError

#: Longer numbers are ids.
_TURN_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Fork:
    """`kept` are the ids of all that the session recorded up to turn number `turn`, which is
    `turn_id`; `after` is how many turns it had beyond."""

    session: str
    turn: int
    turn_id: str
    kept: tuple[str, ...]
    after: int


def forked_at(
    library: Library, at: str, load: Callable[[Entry], Interaction], tell: Progress
) -> Fork:
    """`at` is a turn's number, SESSION:NUMBER, or the id of a turn or how it begins. A turn is a request
    that a model answered; the rest of the session goes with the turn before it. Raises CassetteError."""
    sessions: dict[str, list[tuple[str, bool]]] = {}
    entries = library.index.entries
    for done, entry in enumerate(entries):
        if not done % 256:
            tell(done, len(entries))
        record = load(entry)
        is_turn = "model" in record.view and record.response is not None
        sessions.setdefault(record.session, []).append((record.id, is_turn))
    session, _, number = at.rpartition(":")
    if not (number.isdigit() and len(number) <= _TURN_DIGITS):
        return _at_id(sessions, at)
    if session not in sessions:
        named = ", ".join(name or "(without a name)" for name in list(sessions)[:5]) or "none"
        hint = "Say SESSION:TURN. " if not session else ""
        raise CassetteError(f"there is no session '{session}'. {hint}Recorded: {named}")
    return _at_turn(session, sessions[session], int(number))


def _at_id(sessions: dict[str, list[tuple[str, bool]]], at: str) -> Fork:
    found = [
        (session, [is_turn for _, is_turn in rows[: place + 1]].count(True))
        for session, rows in sessions.items()
        for place, (record_id, is_turn) in enumerate(rows)
        if is_turn and record_id.startswith(at)
    ]
    if len(found) != 1:
        raise CassetteError(
            f"{len(found) or 'no'} turns have an id that begins with {at}. A turn is named by its number, "
            "by SESSION:NUMBER, or by its id"
        )
    session, turn = found[0]
    return _at_turn(session, sessions[session], turn)


def _at_turn(session: str, rows: list[tuple[str, bool]], turn: int) -> Fork:
    turns = [place for place, (_, is_turn) in enumerate(rows) if is_turn]
    if not 1 <= turn <= len(turns):
        raise CassetteError(f"there is no turn {turn}: the session has 1 to {len(turns)}")
    end = turns[turn] if turn < len(turns) else len(rows)
    kept = tuple(record_id for record_id, _ in rows[:end])
    return Fork(session, turn, rows[turns[turn - 1]][0], kept, len(turns) - turn)


def write_fork(
    source: Path,
    fork: Fork,
    target: Path,
    change: Callable[[Interaction], Interaction],
    tell: Progress,
) -> None:
    """The cassette `target` of what is kept, its last turn changed. Raises CassetteError."""
    kept = frozenset(fork.kept)

    def carried(record: Interaction) -> Interaction | None:
        if record.id == fork.turn_id:
            return change(record)
        return record if record.id in kept else None

    rewriting.rewrite((source,), target, carried, tell, unfinished=False)
