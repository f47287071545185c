"""What was asked, as a list that a test makes assertions about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Self, TypedDict, Unpack, overload

from fakeai_proxy.embedded.call import Call

#: Calls that a failure lists.
_LISTED = 20
#: Values of one place that a misfit names.
_SHOWN_VALUES = 3


class Wanted(TypedDict, total=False):
    """`path`, `host` and `model` may hold `*`; `contains` is looked for in the prompt, `body` in the
    bytes that were sent; `json` has JSONPaths and the value that one of their places has."""

    path: str
    method: str
    host: str
    model: str
    contains: str
    body: str
    json: Mapping[str, object]
    status: int
    source: str


def _like(name: str, call: Call, wanted: object) -> str | None:
    found = getattr(call, name)
    matches = found == wanted or (
        isinstance(wanted, str) and isinstance(found, str) and fnmatchcase(found, wanted)
    )
    return None if matches else f"{name} is {found!r}"


def _same_case(name: str, call: Call, wanted: object) -> str | None:
    return _like(name, call, wanted.upper() if isinstance(wanted, str) else wanted)


def _contains(name: str, call: Call, wanted: object) -> str | None:
    if str(wanted) in call.prompt:
        return None
    return f"its prompt does not contain {wanted!r}"


def _in_body(name: str, call: Call, wanted: object) -> str | None:
    if call.body is None:
        return "its body was too large to be kept"
    if str(wanted).encode() in call.body:
        return None
    return f"its body does not contain {wanted!r}"


def _has_values(name: str, call: Call, wanted: object) -> str | None:
    assert isinstance(wanted, Mapping), "JSONPath -> value"
    for path, value in wanted.items():
        found = [match.value for match in jsonpath(path).find(call.json)]
        if value not in found:
            there = ", ".join(repr(one) for one in found[:_SHOWN_VALUES]) or "nothing"
            return f"at {path} there is {there}"
    return None


def jsonpath(path: str) -> Any:
    """Raises ValueError for what is none."""
    from jsonpath_ng.exceptions import JSONPathError
    from jsonpath_ng.parser import parse

    try:
        return parse(path)
    except (JSONPathError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{path!r} is no JSONPath ({error})") from None


#: Filter -> what does not fit, None when it fits.
_TESTS: dict[str, Callable[[str, Call, object], str | None]] = {
    "path": _like,
    "method": _same_case,
    "host": _like,
    "model": _like,
    "contains": _contains,
    "body": _in_body,
    "json": _has_values,
    "status": _like,
    "source": _same_case,
}


class Calls(Sequence[Call]):
    """A snapshot, in the order in which they were asked."""

    def __init__(self, calls: Iterable[Call] = ()) -> None:
        self._calls = tuple(calls)

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(self._calls)

    @overload
    def __getitem__(self, index: int) -> Call: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Call | Self:
        found = self._calls[index]
        return found if isinstance(found, Call) else type(self)(found)

    def __str__(self) -> str:
        return "\n".join(self._lines({})) if self._calls else "no calls"

    def __repr__(self) -> str:
        return f"<Calls: {self}>"

    def to(self, path: str) -> Self:
        """Those of this path, in which `*` stands for anything."""
        return self.matching(path=path)

    def matching(self, **wanted: Unpack[Wanted]) -> Self:
        return type(self)(call for call in self._calls if not misfits(call, wanted))

    def assert_called(self, **wanted: Unpack[Wanted]) -> Self:
        """At least once; what fits."""
        found = self.matching(**wanted)
        if not found:
            raise AssertionError(self._told("Expected a call", wanted, "there was none"))
        return found

    def assert_called_once(self, **wanted: Unpack[Wanted]) -> Call:
        return self.assert_called_times(1, **wanted)[0]

    def assert_called_times(self, count: int, **wanted: Unpack[Wanted]) -> Self:
        found = self.matching(**wanted)
        if len(found) != count:
            expected = "Expected exactly one call" if count == 1 else f"Expected {count} calls"
            there = f"there {_were(len(found))}"
            raise AssertionError(self._told(expected, wanted, there))
        return found

    def assert_not_called(self, **wanted: Unpack[Wanted]) -> None:
        found = self.matching(**wanted)
        if found:
            there = f"there {_were(len(found))}"
            raise AssertionError(self._told("Expected no call", wanted, there))

    def _told(self, expected: str, wanted: Mapping[str, object], there: str) -> str:
        conditions = ", ".join(f"{name}={value!r}" for name, value in wanted.items())
        said = f"{expected} with {conditions}" if conditions else expected
        if not self._calls:
            return f"{said}, but nothing was asked at all."
        asked = "1 call:" if len(self) == 1 else f"{len(self)} calls:"
        return "\n".join([f"{said}, but {there} among {asked}", *self._lines(wanted)])

    def _lines(self, wanted: Mapping[str, object]) -> Iterator[str]:
        for number, call in enumerate(self._calls[:_LISTED], 1):
            found = misfits(call, wanted)
            remark = "; ".join(found) if found else "this one" if wanted else ""
            yield f"  {number}. {call}" + (f"\n     ({remark})" if remark else "")
        if len(self) > _LISTED:
            yield f"  ... and {len(self) - _LISTED} more"


def misfits(call: Call, wanted: Mapping[str, object]) -> list[str]:
    """Raises TypeError for a filter that there is not."""
    for name in wanted:
        if name not in _TESTS:
            raise TypeError(f"calls have no {name!r}; filters are {', '.join(_TESTS)}")
    told = (_TESTS[name](name, call, value) for name, value in wanted.items())
    return [misfit for misfit in told if misfit is not None]


def _were(count: int) -> str:
    return {0: "was none", 1: "was one"}.get(count, f"were {count}")
