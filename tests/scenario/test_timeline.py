"""When each phase is."""

from __future__ import annotations

import math
from typing import Any
from zoneinfo import available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.profiles.spans import shown_span, span_s
from fakeai_proxy.shaping.scenario.timeline import DAY_S, Timeline
from tests.scenario.stages import scenario

#: Midnight in UTC.
MIDNIGHT_S = 20_000 * DAY_S
HOUR_S = 3600.0


def phases(timeline: Timeline, *elapsed_s: float) -> list[int | None]:
    return [timeline.place(at).index for at in elapsed_s]


def test_phases_follow_each_other_without_a_gap() -> None:
    timeline = Timeline(
        scenario({"name": "a", "duration": "30s"}, {"name": "b", "duration": "1m30s"}, {"name": "c"}),
        0.0,
    )  # fmt: skip
    assert timeline.spans == [(0, 30), (30, 120), (120, math.inf)]
    assert phases(timeline, 0, 29.9, 30, 119.9, 120, 1e9) == [0, 0, 1, 1, 2, 2]


def test_between_two_phases_there_may_be_none() -> None:
    timeline = Timeline(
        scenario({"name": "a", "duration": "10s"}, {"name": "b", "at": "30s", "duration": 5}), 0.0
    )
    assert phases(timeline, 5, 10, 29, 30, 35) == [0, None, None, 1, None]
    gap, over = timeline.place(10), timeline.place(35)
    assert (gap.ends_s, gap.next_index) == (30, 1)
    assert (over.ends_s, over.next_index) == (math.inf, None)


def test_a_phase_without_a_duration_lasts_until_the_next_begins() -> None:
    timeline = Timeline(scenario({"name": "a"}, {"name": "b", "at": "1m"}), 0.0)
    assert timeline.spans == [(0, 60), (60, math.inf)]


def test_what_repeats_begins_again_at_its_end() -> None:
    timeline = Timeline(
        scenario({"name": "a", "duration": 10}, {"name": "b", "duration": 5}, repeat=True), 0.0
    )
    assert phases(timeline, 0, 10, 15, 25, 30, 1500, 1510) == [0, 1, 0, 1, 0, 0, 1]
    assert timeline.place(29).next_s == 30
    assert timeline.place(31).lap == 2


@pytest.mark.parametrize(
    ("hour", "phase", "left_h"), [(0, 0, 12), (9, 0, 3), (12, 1, 1), (12.5, 1, 0.5), (18, 2, 6)]
)
def test_a_day_is_entered_where_the_clock_stands(hour: float, phase: int, left_h: float) -> None:
    day = scenario(
        {"name": "morning", "at": "00:00"},
        {"name": "noon", "at": "12:00", "duration": "1h"},
        {"name": "afternoon"},
        repeat=True,
        time_zone="UTC",
    )
    timeline = Timeline(day, MIDNIGHT_S + hour * HOUR_S)
    place = timeline.place(timeline.skipped_s)
    assert place.index == phase
    assert place.ends_s - timeline.skipped_s == pytest.approx(left_h * HOUR_S)
    assert timeline.place(timeline.skipped_s + 2 * DAY_S).index == phase


def test_a_time_of_day_later_in_a_scenario_is_the_next_one() -> None:
    timeline = Timeline(
        scenario({"name": "now"}, {"name": "noon", "at": "12:00"}, time_zone="UTC"),
        MIDNIGHT_S + 13 * HOUR_S,
    )
    assert timeline.spans[1] == (pytest.approx(23 * HOUR_S), math.inf)


@pytest.mark.skipif("Europe/Paris" not in available_timezones(), reason="no time zones here")
def test_noon_is_that_of_the_time_zone() -> None:
    paris = scenario({"name": "noon", "at": "12:00"}, time_zone="Europe/Paris")
    skipped = {Timeline(paris, MIDNIGHT_S + hour * HOUR_S).skipped_s for hour in (10, 11)}
    assert 0.0 in skipped  # noon in Paris is at 10 or 11 in UTC, by the season


@pytest.mark.parametrize(
    ("given_phases", "values", "said"),
    [
        ([{"name": "a"}, {"name": "b"}], {}, "phase.0.duration"),
        ([{"name": "a", "duration": 20}, {"name": "b", "at": 10}], {}, "phase.1.at"),
        ([{"name": "a", "at": 10}, {"name": "b", "at": 10}], {}, "phase.1.at"),
        ([{"name": "a"}], {"repeat": True}, "phase.0.duration"),
        ([{"name": "a", "at": "12:00"}, {"name": "b", "at": 5}], {}, "phase.1.at"),
        ([{"name": "a"}], {"time_zone": "Europe/Atlantis"}, "time_zone"),
        (
            [{"name": "a", "at": "12:00", "duration": "30h"}, {"name": "b"}],
            {"repeat": True},
            "phase.1.at",
        ),
    ],
)
def test_times_that_make_no_sense_are_refused_by_key(
    given_phases: list[dict[str, Any]], values: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        Timeline(scenario(*given_phases, **values), 0.0)


@given(st.lists(st.integers(1, 500), min_size=1, max_size=6), st.booleans(), st.floats(0, 1e5))
def test_an_instant_is_within_the_place_it_is_said_to_be_in(
    durations: list[int], repeat: bool, elapsed_s: float
) -> None:
    given_phases = [{"name": "a", "duration": float(seconds)} for seconds in durations]
    place = Timeline(scenario(*given_phases, repeat=repeat), 0.0).place(elapsed_s)
    assert place.began_s <= elapsed_s < place.ends_s
    assert place.next_s >= place.ends_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("1m30s", 90), ("250ms", 0.25), ("1.5h", 5400), ("1d", DAY_S)],
)
def test_spans_are_read(text: str, seconds: float) -> None:
    assert span_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "5 parsecs", "-1s", "1h x", "10000d"])
def test_other_texts_are_no_spans(text: str) -> None:
    with pytest.raises(ValueError, match="span"):
        span_s(text)


@given(st.integers(1, 10**7))
def test_a_span_that_is_shown_can_be_read(seconds: int) -> None:
    assert span_s(shown_span(seconds)) == seconds
