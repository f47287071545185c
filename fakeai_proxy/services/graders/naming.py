"""What a grader asks of its data: the names in its templates."""

from __future__ import annotations

from collections.abc import Iterator

from fakeai_proxy.services.graders.template import names_in, texts_in
from fakeai_proxy.services.graders.wire import (
    Grader,
    LabelModel,
    Multi,
    Plain,
    ScoreModel,
    StringCheck,
    TextSimilarity,
)


def parts_of(grader: Multi) -> dict[str, Plain]:
    """Its graders by the names that the formula has for them."""
    given = grader.graders
    if isinstance(given, dict):
        return given
    return {part.name: part for part in (given if isinstance(given, list) else [given])}


def templates_of(grader: Grader) -> Iterator[str]:
    if isinstance(grader, Multi):
        for part in parts_of(grader).values():
            yield from templates_of(part)
    elif isinstance(grader, StringCheck | TextSimilarity):
        yield grader.input
        yield grader.reference
    elif isinstance(grader, ScoreModel | LabelModel):
        for message in grader.input:
            yield from texts_in(message.content)


def item_names(grader: Grader) -> set[str]:
    """The paths below `item`."""
    names = set().union(*map(names_in, templates_of(grader)))
    return {name.removeprefix("item.") for name in names if name.startswith("item.")}


def foreign_names(grader: Grader) -> list[str]:
    """Names that begin with neither `item` nor `sample`."""
    names = set().union(*map(names_in, templates_of(grader)))
    return sorted(name for name in names if name.partition(".")[0] not in ("item", "sample"))
