"""When each phase is: arithmetic on instants, without a clock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.profiles.scenario import Scenario
from fakeai_proxy.profiles.spans import TimeOfDay

DAY_S = 86_400.0


@dataclass(frozen=True)
class Place:
    """Where an instant is: in a phase by its number, or in none (`index` is None). `began_s` and
    `ends_s` are seconds since the scenario's zero; `ends_s` is infinite where nothing follows."""

    index: int | None
    lap: int
    began_s: float
    ends_s: float
    #: The phase that follows, by its number; None where none does.
    next_index: int | None
    next_s: float


class Timeline:
    """`spans` are the begin and end of each phase within a lap, in seconds since its zero. A lap
    begins anew every `period_s`, which is infinite where nothing is repeated. The scenario was put on
    `skipped_s` after its zero: one that begins at a time of day has begun at the last such time."""

    def __init__(self, scenario: Scenario, wall_s: float) -> None:
        """`wall_s`: the instant at which it is put on, in seconds since the Unix epoch. Raises
        ConfigError."""
        self._name = scenario.name
        now = TimeOfDay(_seconds_of_day(wall_s, _zone(scenario)))
        first = scenario.phase[0].at
        by_day = isinstance(first, TimeOfDay)
        self.skipped_s = (
            (now.seconds - first.seconds) % DAY_S if isinstance(first, TimeOfDay) else 0.0
        )
        self.period_s = DAY_S if scenario.repeat and by_day else math.inf
        zero = TimeOfDay((now.seconds - self.skipped_s) % DAY_S)
        self.spans = self._spans(scenario, zero)
        end_s = self.spans[-1][1]
        if scenario.repeat and not by_day:
            if end_s == math.inf:
                raise self._wrong(len(self.spans) - 1, "duration", "the last phase of a scenario that "
                                  "repeats has one")  # fmt: skip
            self.period_s = end_s
        elif scenario.repeat and self.spans[-1][0] >= DAY_S:
            raise self._wrong(len(self.spans) - 1, "at", "a day is over before it begins")
        elif scenario.repeat:
            self.spans[-1] = (self.spans[-1][0], min(end_s, DAY_S))

    @property
    def ends_s(self) -> float:
        """Infinite where the last phase stays, or all of them come again."""
        return math.inf if self.period_s < math.inf else self.spans[-1][1]

    def place(self, elapsed_s: float) -> Place:
        """`elapsed_s` since the scenario's zero."""
        lap = int(elapsed_s // self.period_s) if self.period_s < math.inf else 0
        base_s = lap * self.period_s if lap else 0.0
        # Rounding may put an instant that was meant to be the next lap's first into this one.
        if elapsed_s >= base_s + self.period_s:
            lap, base_s = lap + 1, base_s + self.period_s
        gap_from_s = 0.0
        for index, span in enumerate(self.spans):
            begin_s, end_s = base_s + span[0], base_s + span[1]
            if elapsed_s < begin_s:
                return Place(None, lap, base_s + gap_from_s, begin_s, index, begin_s)
            if elapsed_s < end_s:
                next_index, next_s = self._after(index, base_s)
                return Place(index, lap, begin_s, end_s, next_index, next_s)
            gap_from_s = span[1]
        if self.period_s == math.inf:
            return Place(None, lap, gap_from_s, math.inf, None, math.inf)
        next_s = base_s + self.period_s + self.spans[0][0]
        return Place(None, lap, base_s + gap_from_s, next_s, 0, next_s)

    def _after(self, index: int, base_s: float) -> tuple[int | None, float]:
        if index + 1 < len(self.spans):
            return index + 1, base_s + self.spans[index + 1][0]
        if self.period_s == math.inf:
            return None, math.inf
        return 0, base_s + self.period_s + self.spans[0][0]

    def _spans(self, scenario: Scenario, zero: TimeOfDay) -> list[tuple[float, float]]:
        spans: list[tuple[float, float]] = []
        begin_s = earliest_s = 0.0
        for index, phase in enumerate(scenario.phase):
            if isinstance(phase.at, TimeOfDay):
                least_s = earliest_s if earliest_s < math.inf else begin_s + 1e-3
                least_of_day = (zero.seconds + least_s) % DAY_S
                begin_s = least_s + (phase.at.seconds - least_of_day) % DAY_S
            elif phase.at is not None:
                if any(isinstance(other.at, TimeOfDay) for other in scenario.phase[:index]):
                    raise self._wrong(index, "at", "after times of day, give durations")
                if earliest_s < math.inf and phase.at < earliest_s:
                    raise self._wrong(index, "at", "the phase before has not ended by then")
                if spans and phase.at <= spans[-1][0]:
                    raise self._wrong(index, "at", "the phase before begins no sooner")
                begin_s = phase.at
            elif earliest_s < math.inf:
                begin_s = earliest_s
            else:
                raise self._wrong(index - 1, "duration", "how long it is must be said, or when the "
                                  "next one begins")  # fmt: skip
            if spans and spans[-1][1] == math.inf:
                spans[-1] = (spans[-1][0], begin_s)
            earliest_s = math.inf if phase.duration is None else begin_s + phase.duration
            spans.append((begin_s, earliest_s))
        return spans

    def _wrong(self, index: int, key: str, message: str) -> ConfigError:
        return ConfigError(f"scenario {self._name}: phase.{index}.{key}: {message}")


def _zone(scenario: Scenario) -> tzinfo | None:
    if not scenario.time_zone:
        return None
    if scenario.time_zone.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(scenario.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(
            f"scenario {scenario.name}: time_zone: there is no '{scenario.time_zone}'; names are as "
            "in Europe/Paris"
        ) from None


def _seconds_of_day(wall_s: float, zone: tzinfo | None) -> float:
    at = datetime.fromtimestamp(wall_s, zone or UTC)
    if zone is None:
        at = at.astimezone()
    return at.hour * 3600.0 + at.minute * 60 + at.second + at.microsecond / 1e6
