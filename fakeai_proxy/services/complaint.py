"""Which of pydantic's complaints about a request body is the one to report.

pydantic reports every complaint of every branch of every union; a vendor reports one, about the
branch that was meant. This file picks it and knows no words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

Step = str | int

#: Complaints looked at: a union over a long list brings thousands, which all say the same.
_COMPLAINTS_MAX = 1000
MISSING = object()
#: Fields that tell the branches of a union apart.
DISCRIMINATING = ("type", "role", "object")

#: Complaints about a JSON type, with what to expect where the shape does not tell.
TYPES = {
    "string_type": "string", "int_type": "integer", "int_from_float": "integer", "int_parsing": "integer",
    "float_type": "decimal", "float_parsing": "decimal", "bool_type": "boolean", "bool_parsing": "boolean",
    "list_type": "array", "tuple_type": "array", "set_type": "array", "iterable_type": "array",
    "dict_type": "object", "mapping_type": "object", "model_type": "object", "dataclass_type": "object",
    "model_attributes_type": "object", "none_required": "value", "int_parsing_size": "integer",
    "is_instance_of": "file",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Complaint:
    """One line of pydantic's report. `real[k]` tells whether `loc[k]` is a step into the body
    rather than the name of a union's branch."""

    kind: str
    loc: tuple[Step, ...]
    real: tuple[bool, ...]
    value: Any
    context: Mapping[str, Any]
    message: str

    @property
    def steps(self) -> list[Step]:
        return [step for step, real in zip(self.loc, self.real, strict=True) if real]

    @property
    def path(self) -> str:
        return path_of(self.steps)

    @property
    def about_type(self) -> bool:
        if self.kind in ("literal_error", "enum"):
            return not isinstance(self.value, str)
        return self.kind in TYPES


def complaint_about(error: ValidationError, body: object) -> Complaint:
    complaints = [
        Complaint(
            line["type"],
            line["loc"],
            _steps_in(line["loc"], body, line["type"], line["input"]),
            line["input"],
            line.get("ctx", {}),
            line["msg"],
        )
        for line in error.errors(include_url=False)[:_COMPLAINTS_MAX]
    ]
    return _choose(complaints, 0)


def path_of(steps: Iterable[Step]) -> str:
    """`messages[0].role`."""
    path = ""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def _steps_in(loc: tuple[Step, ...], body: object, kind: str, value: object) -> tuple[bool, ...]:
    """Which parts of `loc` lead through `body` to the value complained about."""

    def walk(place: int, at: object) -> Iterator[tuple[bool, ...]]:
        if place == len(loc):
            if at is value:
                yield ()
            return
        step = loc[place]
        if place == len(loc) - 1 and kind == "missing" and at is value:
            yield (True,)
        inner = below(at, step)
        if inner is not MISSING:
            yield from ((True, *rest) for rest in walk(place + 1, inner))
        if isinstance(step, str):
            yield from ((False, *rest) for rest in walk(place + 1, at))

    found = next(walk(0, body), None)
    return found if found is not None else _greedy_steps(loc, body, kind)


def _greedy_steps(loc: tuple[Step, ...], body: object, kind: str) -> tuple[bool, ...]:
    """For values that a validator has replaced before pydantic complained about them."""
    real = []
    for place, step in enumerate(loc):
        inner = below(body, step)
        is_step = inner is not MISSING or (kind == "missing" and place == len(loc) - 1)
        real.append(is_step)
        body = inner if inner is not MISSING else body
    return tuple(real)


def below(at: object, step: Step) -> object:
    if isinstance(at, dict) and isinstance(step, str):
        return at.get(step, MISSING)
    if isinstance(at, list) and isinstance(step, int) and step < len(at):
        return at[step]
    return MISSING


def _choose(complaints: list[Complaint], place: int) -> Complaint:
    """The complaint of the first bad field; where that is a union, of the branch that was meant."""
    first = complaints[0]
    if len(first.loc) <= place:
        return first
    if first.real[place]:
        same = [c for c in complaints if c.loc[: place + 1] == first.loc[: place + 1]]
        return _choose(same, place + 1)
    branches: dict[Step, list[Complaint]] = {}
    for complaint in complaints:
        if len(complaint.loc) > place and complaint.loc[:place] == first.loc[:place]:
            branches.setdefault(complaint.loc[place], []).append(complaint)
    return _choose(min(branches.values(), key=lambda branch: _distance(branch, place)), place + 1)


def _distance(branch: list[Complaint], place: int) -> tuple[int, int, int]:
    """How far a branch is from what was sent: of another JSON type, of another `type`, or only
    with so many mistakes."""
    other_type = any(c.about_type and not any(c.real[place:]) for c in branch)
    other_kind = any(
        c.steps[-1:] and c.steps[-1] in DISCRIMINATING and sum(c.real[place:]) == 1 for c in branch
    )
    return int(other_type), int(other_kind), len(branch)
