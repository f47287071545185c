"""Marks in time: what somebody noted while watching, and when a scenario's phases began. The charts
show them all."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fakeai_proxy import errors
from fakeai_proxy.clock import Clock
from fakeai_proxy.observe.pages import CONTROL, Answer, Call, Route
from fakeai_proxy.shaping.scenario.plan import Plan
from fakeai_proxy.shaping.scenario.timeline import Place

NOTE_CHARS_MAX = 200
#: Of each kind.
MARKS_MAX = 100

Kind = Literal["incident", "phase"]


class Note(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    note: str = Field("", max_length=NOTE_CHARS_MAX, description="What it is.")


@dataclass(frozen=True, slots=True)
class Mark:
    """`at` is the clock's."""

    id: str
    at: float
    kind: Kind
    note: str


class Marks:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[Kind, deque[Mark]] = {
            "incident": deque(maxlen=MARKS_MAX),
            "phase": deque(maxlen=MARKS_MAX),
        }
        #: How many changes there were.
        self.revision = 0
        self._made: dict[Kind, int] = {"incident": 0, "phase": 0}

    def add(self, kind: Kind, note: str, at: float | None = None) -> Mark:
        """At the instant `at` of the clock, or now. Processes that do the same give the same ids."""
        self._made[kind] += 1
        when = self._clock.now() if at is None else at
        mark = Mark(f"{kind}_{self._made[kind]}", round(when, 3), kind, note)
        self._kept[kind].append(mark)
        self.revision += 1
        return mark

    def note_phase(self, plan: Plan, place: Place) -> None:
        """A phase of a scenario begins, or the time after one."""
        phase = "between phases" if place.index is None else plan.phases[place.index].name
        if place.index is None and place.next_index is None:
            phase = "over"
        self.add("phase", f"{plan.scenario.name}: {phase}")

    def remove(self, wanted: str) -> bool:
        for kept in self._kept.values():
            for mark in kept:
                if mark.id == wanted:
                    kept.remove(mark)
                    self.revision += 1
                    return True
        return False

    def clear(self) -> None:
        for kept in self._kept.values():
            kept.clear()
        self.revision += 1

    def told(self, mark: Mark) -> dict[str, Any]:
        return {**asdict(mark), "wall": round(self._clock.epoch_s + mark.at, 3)}

    def as_json(self) -> dict[str, Any]:
        """In their order in time."""
        marks = sorted((mark for kept in self._kept.values() for mark in kept), key=lambda m: m.at)
        return {"object": "list", "data": [self.told(mark) for mark in marks]}


def mark_routes(marks: Marks) -> tuple[Route, ...]:
    def page(call: Call) -> Answer:
        return Answer(marks.as_json())

    def add(call: Call) -> Answer:
        return Answer(marks.told(marks.add("incident", call.body.note.strip(), call.at)), 201)

    def remove(call: Call) -> Answer:
        wanted = call.params["id"]
        if not marks.remove(wanted):
            raise errors.no_such_mark(errors.shown(wanted))
        return Answer({"id": wanted, "deleted": True})

    path = f"{CONTROL}marks"
    return (
        Route("GET", path, page, "What was marked: incidents, and phases of scenarios."),
        Route("POST", path, add, "Mark an incident: all charts show it with its note.", body=Note),
        Route("DELETE", f"{path}/{{id}}", remove, "Take a mark away."),
    )
