"""Marks: made, shown, taken away, and never too many."""

from __future__ import annotations

from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.observe.marks import MARKS_MAX, NOTE_CHARS_MAX, Marks
from tests.conftest import Serve
from tests.observe.asking import ask

MARKS = "/_fakeai/v1/marks"


async def test_a_mark_has_its_instant_and_can_be_taken_away(serve: Serve) -> None:
    clock = VirtualClock(epoch=1_000.0)
    app = await serve(clock)
    clock.advance(5)
    made = await ask(app, MARKS, "POST", {"note": "  the router was deployed "})
    assert made.status == 201
    assert made.body == {
        "id": "incident_1", "at": 5.0, "kind": "incident", "note": "the router was deployed", "wall": 1_005.0,
    }  # fmt: skip
    assert (await ask(app, MARKS)).body["data"] == [made.body]
    assert (await ask(app, f"{MARKS}/incident_1", "DELETE")).body["deleted"]
    gone = await ask(app, f"{MARKS}/incident_1", "DELETE")
    assert (gone.status, gone.code) == (404, "mark_not_found")
    assert (await ask(app, MARKS)).body["data"] == []


async def test_a_note_has_an_end(serve: Serve) -> None:
    app = await serve()
    assert (await ask(app, MARKS, "POST", {"note": "x" * (NOTE_CHARS_MAX + 1)})).status == 400


async def test_phases_of_a_scenario_mark_themselves(serve: Serve) -> None:
    clock = VirtualClock(autojump=False)
    app = await serve(clock)
    await ask(app, "/_fakeai/v1/scenario", "PUT", {"scenario": "brown-out"})
    clock.advance(31)
    found = (await ask(app, MARKS)).body["data"]
    assert [(mark["kind"], mark["note"]) for mark in found] == [
        ("phase", "brown-out: calm"), ("phase", "brown-out: strain"),
    ]  # fmt: skip


def test_the_oldest_marks_of_a_kind_make_room() -> None:
    marks = Marks(VirtualClock())
    marks.add("phase", "first of all", at=0.0)
    for number in range(MARKS_MAX + 3):
        marks.add("incident", str(number), at=float(number + 1))
    kept = marks.as_json()["data"]
    assert len(kept) == MARKS_MAX + 1
    assert [mark["note"] for mark in kept[:2]] == ["first of all", "3"]
