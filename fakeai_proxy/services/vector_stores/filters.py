"""Which files are searched, by their attributes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from fakeai_proxy import errors
from fakeai_proxy.services.wire import Shape

Plain = Annotated[str, Field(max_length=512)] | bool | int | float
Attributes = Annotated[
    dict[Annotated[str, Field(max_length=64)], Plain],
    Field(max_length=16),
]
#: Of one `in`, and of one `and`; limits of ours.
_VALUES_MAX, _FILTERS_MAX = 1000, 200


class Comparison(Shape):
    type: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
    key: str
    value: Plain | Annotated[list[Plain], Field(max_length=_VALUES_MAX)]


class Compound(Shape):
    type: Literal["and", "or"]
    filters: Annotated[list[Filter], Field(max_length=_FILTERS_MAX)]


Filter = Annotated[Comparison | Compound, Field(discriminator="type")]
Compound.model_rebuild()

_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le,
}  # fmt: skip


def check(asked: Comparison | Compound, path: str = "filters") -> None:
    """What the shape does not say. Raises 400."""
    if isinstance(asked, Compound):
        for place, each in enumerate(asked.filters):
            check(each, f"{path}.filters[{place}]")
    elif isinstance(asked.value, list) != (asked.type in ("in", "nin")):
        wanted = "an array" if asked.type in ("in", "nin") else "a string, a number or a boolean"
        raise errors.invalid_type(f"{path}.value", wanted, asked.value)
    elif asked.type in _ORDERS and isinstance(asked.value, bool):
        raise errors.invalid_type(f"{path}.value", "a string or a number", asked.value)


def matches(asked: Comparison | Compound, attributes: Mapping[str, Any]) -> bool:
    """A file without the attribute is unequal to everything and has no place in an order."""
    if isinstance(asked, Compound):
        each = (matches(one, attributes) for one in asked.filters)
        return all(each) if asked.type == "and" else any(each)
    value, wanted = attributes.get(asked.key), asked.value
    if asked.type == "eq":
        return _equal(value, wanted)
    if asked.type == "ne":
        return not _equal(value, wanted)
    if isinstance(wanted, list):
        return any(_equal(value, one) for one in wanted) == (asked.type == "in")
    if isinstance(value, bool) or not _comparable(value, wanted):
        return False
    return _ORDERS[asked.type](value, wanted)


def _equal(value: object, wanted: object) -> bool:
    """True is no number."""
    return isinstance(value, bool) == isinstance(wanted, bool) and value == wanted


def _comparable(value: object, wanted: object) -> bool:
    if isinstance(value, str):
        return isinstance(wanted, str)
    return isinstance(value, int | float) and isinstance(wanted, int | float)
