"""What pydantic says about a request body, as the one error that the vendor would answer.

pydantic reports every complaint of every branch of every union; the vendor reports one, with a path
into the body (`messages[0].role`). This file picks that one and words it; it knows no room.

A validator that needs words of its own raises an `ApiError`, which passes through pydantic as it is,
or, where a union has to try its next branch, `PydanticCustomError(code, message, {"param": path})`.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from fakeai_proxy.errors import ApiError

Step = str | int

#: Characters of a refused value that are repeated in the answer.
_SHOWN_MAX = 200
#: Complaints looked at: a union over a long list brings thousands, which all say the same.
_COMPLAINTS_MAX = 1000
_MISSING = object()
#: Fields that tell the branches of a union apart.
_DISCRIMINATING = ("type", "role", "object")


@dataclass(frozen=True, slots=True)
class _Complaint:
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
    def about_type(self) -> bool:
        if self.kind in ("literal_error", "enum"):
            return not isinstance(self.value, str)
        return self.kind in _TYPES


def request_error(
    error: ValidationError, body: object, shape: type[BaseModel] | None = None
) -> ApiError:
    """`shape` is what `body` was held against; it tells what would have been right."""
    complaints = [
        _Complaint(
            line["type"],
            line["loc"],
            _steps_in(line["loc"], body, line["type"], line["input"]),
            line["input"],
            line.get("ctx", {}),
            line["msg"],
        )
        for line in error.errors(include_url=False)[:_COMPLAINTS_MAX]
    ]
    chosen = _choose(complaints, 0)
    return _WORDS.get(chosen.kind, _other)(chosen, _expected(chosen.steps, body, shape))


def path_of(steps: Iterable[Step]) -> str:
    """`messages[0].role`."""
    path = ""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


# --- which of the complaints ---------------------------------------------------------------------


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
        below = _below(at, step)
        if below is not _MISSING:
            yield from ((True, *rest) for rest in walk(place + 1, below))
        if isinstance(step, str):
            yield from ((False, *rest) for rest in walk(place + 1, at))

    found = next(walk(0, body), None)
    return found if found is not None else _greedy_steps(loc, body, kind)


def _greedy_steps(loc: tuple[Step, ...], body: object, kind: str) -> tuple[bool, ...]:
    """For values that a validator has replaced before pydantic complained about them."""
    real = []
    for place, step in enumerate(loc):
        below = _below(body, step)
        is_step = below is not _MISSING or (kind == "missing" and place == len(loc) - 1)
        real.append(is_step)
        body = below if below is not _MISSING else body
    return tuple(real)


def _below(at: object, step: Step) -> object:
    if isinstance(at, dict) and isinstance(step, str):
        return at.get(step, _MISSING)
    if isinstance(at, list) and isinstance(step, int) and step < len(at):
        return at[step]
    return _MISSING


def _choose(complaints: list[_Complaint], place: int) -> _Complaint:
    """The complaint of the first bad field; where that is a union, of the branch that was meant."""
    first = complaints[0]
    if len(first.loc) <= place:
        return first
    if first.real[place]:
        same = [c for c in complaints if c.loc[: place + 1] == first.loc[: place + 1]]
        return _choose(same, place + 1)
    branches: dict[Step, list[_Complaint]] = {}
    for complaint in complaints:
        if len(complaint.loc) > place and complaint.loc[:place] == first.loc[:place]:
            branches.setdefault(complaint.loc[place], []).append(complaint)
    return _choose(min(branches.values(), key=lambda branch: _distance(branch, place)), place + 1)


def _distance(branch: list[_Complaint], place: int) -> tuple[int, int, int]:
    """How far a branch is from what was sent: of another JSON type, of another `type`, or only
    with so many mistakes."""
    other_type = any(c.about_type and not any(c.real[place:]) for c in branch)
    other_kind = any(
        c.steps[-1:] and c.steps[-1] in _DISCRIMINATING and sum(c.real[place:]) == 1 for c in branch
    )
    return int(other_type), int(other_kind), len(branch)


# --- what would have been right --------------------------------------------------------------------


def _expected(steps: Sequence[Step], body: object, shape: type[BaseModel] | None) -> list[Any]:
    """The annotations that apply at `steps`, alternatives of unions side by side."""
    found: list[Any] = [] if shape is None else [shape]
    for step in steps:
        found = [inner for outer in found for inner in _inside(outer, step, body)]
        body = _below(body, step)
    return found


def _inside(annotation: Any, step: Step, value: object) -> Iterator[Any]:
    arguments = get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if isinstance(step, str) and _may_be(annotation, value):
            for name, field in annotation.model_fields.items():
                if step in (name, field.alias):
                    yield from _alternatives(field.annotation)
    elif isinstance(step, int) and arguments and get_origin(annotation) is list:
        yield from _alternatives(arguments[0])
    elif isinstance(step, str) and len(arguments) == 2 and get_origin(annotation) is dict:
        yield from _alternatives(arguments[1])


def _may_be(shape: type[BaseModel], value: object) -> bool:
    """Whether no field that tells shapes apart says otherwise."""
    for name in _DISCRIMINATING:
        field = shape.model_fields.get(name)
        if field is not None and get_origin(field.annotation) is Literal:
            said = value.get(name, _MISSING) if isinstance(value, dict) else _MISSING
            if said is not _MISSING and said not in get_args(field.annotation):
                return False
    return True


def _alternatives(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for alternative in get_args(annotation):
            yield from _alternatives(alternative)
    elif annotation is not types.NoneType:
        yield annotation


#: JSON's types in the vendor's words, without their article.
_NAMES: dict[type, str] = {bool: "boolean", int: "integer", float: "decimal", str: "string"}


def _name_of(annotation: Any) -> str:
    origin = get_origin(annotation) or annotation
    if origin is Literal:
        return _NAMES.get(type(get_args(annotation)[0]), "string")
    if origin in (list, tuple, Sequence):
        inner = _names(_alternatives(get_args(annotation)[0])) if get_args(annotation) else []
        return "array of " + " or ".join(name + "s" for name in inner) if inner else "array"
    if origin in _NAMES:
        return _NAMES[origin]
    is_shape = isinstance(origin, type) and issubclass(origin, (dict, BaseModel, Mapping))
    return "object" if is_shape else ""


def _names(annotations: Iterable[Any]) -> list[str]:
    """Without repetitions, in the order of the annotations."""
    return [name for name in dict.fromkeys(map(_name_of, annotations)) if name]


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'aeio' else 'a'} {name}"


def _got(value: object) -> str:
    if value is None:
        return "null"
    names = {**_NAMES, list: "array", dict: "object"}
    return _article(names.get(type(value), "value"))


# --- the words ---------------------------------------------------------------------------------------


def listed(values: Sequence[str]) -> str:
    """`'a'`, `'a' and 'b'`, `'a', 'b', and 'c'`."""
    quoted = [f"'{value}'" for value in values]
    if len(quoted) < 3:
        return " and ".join(quoted)
    return f"{', '.join(quoted[:-1])}, and {quoted[-1]}"


def _shown(value: object) -> str:
    text = json.dumps(value) if value is None or isinstance(value, bool) else str(value)
    return text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "..."


def _refusal(complaint: _Complaint, message: str, code: str | None, *further: Step) -> ApiError:
    path = path_of((*complaint.steps, *further))
    return ApiError(400, message.replace("{path}", path), param=path or None, code=code)


def _missing(complaint: _Complaint, expected: list[Any]) -> ApiError:
    return _refusal(
        complaint, "Missing required parameter: '{path}'.", "missing_required_parameter"
    )


def _invalid_type(complaint: _Complaint, expected: list[Any]) -> ApiError:
    names = _names(expected) or [_TYPES.get(complaint.kind, "value")]
    wanted = _article(names[0])
    if len(names) > 1:
        rest = [wanted, *names[1:]]
        comma = "," if len(rest) > 2 else ""
        wanted = f"one of {', '.join(rest[:-1])}{comma} or {rest[-1]}"
    return _refusal(
        complaint,
        f"Invalid type for '{{path}}': expected {wanted}, but got {_got(complaint.value)} instead.",
        "invalid_type",
    )


def invalid_value(value: object, supported: Sequence[str], param: str | None) -> ApiError:
    """For a word that is none of those `supported`."""
    return ApiError(
        400,
        f"Invalid value: '{_shown(value)}'. Supported values are: {listed(supported)}.",
        param=param,
        code="invalid_value",
    )


def _not_listed(complaint: _Complaint, expected: list[Any]) -> ApiError:
    literals = [word for kind in expected if get_origin(kind) is Literal for word in get_args(kind)]
    if complaint.about_type and (
        not literals or type(complaint.value) not in set(map(type, literals))
    ):
        return _invalid_type(complaint, expected)
    words = [str(word) for word in literals if word is not None] or re.findall(
        r"'([^']*)'", str(complaint.context.get("expected", ""))
    )
    return invalid_value(complaint.value, words, path_of(complaint.steps) or None)


def _no_such_tag(complaint: _Complaint, expected: list[Any]) -> ApiError:
    name = str(complaint.context.get("discriminator", "")).strip("'")
    if not name.isidentifier():
        return _other(complaint, expected)
    if not isinstance(complaint.value, dict):
        return _invalid_type(complaint, expected)
    param = path_of((*complaint.steps, name))
    tag = complaint.value.get(name, _MISSING)
    if tag is _MISSING:
        return _refusal(
            complaint, "Missing required parameter: '{path}'.", "missing_required_parameter", name
        )
    if not isinstance(tag, str):
        return _refusal(
            complaint,
            f"Invalid type for '{{path}}': expected a string, but got {_got(tag)} instead.",
            "invalid_type",
            name,
        )
    words = re.findall(r"'([^']*)'", str(complaint.context.get("expected_tags", "")))
    return invalid_value(tag, words or _tags(expected, name), param)


def _tags(expected: list[Any], name: str) -> list[str]:
    """The words that tell the alternatives apart, in their order."""
    words: list[str] = []
    for shape in expected:
        if isinstance(shape, type) and issubclass(shape, BaseModel) and name in shape.model_fields:
            words += map(str, get_args(shape.model_fields[name].annotation))
    return list(dict.fromkeys(words))


def _items(count: int) -> str:
    return f"an array with length {count}" if count else "an empty array"


def _size(complaint: _Complaint, expected: list[Any]) -> ApiError:
    """Arrays and objects with too few or too many members."""
    short = complaint.kind == "too_short"
    limit = complaint.context["min_length" if short else "max_length"]
    count = len(complaint.value) if isinstance(complaint.value, (list, dict)) else 0
    if isinstance(complaint.value, dict):
        many, bound = ("few", "at least") if short else ("many", "at most")
        return _refusal(
            complaint,
            f"Invalid '{{path}}': too {many} properties. Expected an object with {bound} {limit} "
            f"properties, but got an object with {count} properties instead.",
            "object_below_min_properties" if short else "object_above_max_properties",
        )
    what = ("empty array" if count == 0 else "array too short") if short else "array too long"
    code = (
        ("empty_array" if count == 0 else "array_below_min_length")
        if short
        else "array_above_max_length"
    )
    return _refusal(
        complaint,
        f"Invalid '{{path}}': {what}. Expected an array with {'minimum' if short else 'maximum'} "
        f"length {limit}, but got {_items(count)} instead.",
        code,
    )


def _length(complaint: _Complaint, expected: list[Any]) -> ApiError:
    """Strings that are too short or too long."""
    if complaint.kind == "string_too_long":
        what, bound, code = "string too long", "maximum", "string_above_max_length"
    elif not complaint.value:
        what, bound, code = "empty string", "minimum", "empty_string"
    else:
        what, bound, code = "string too short", "minimum", "string_below_min_length"
    limit = complaint.context["max_length" if bound == "maximum" else "min_length"]
    length = len(complaint.value)
    got = f"a string with length {length}" if length else "an empty string"
    return _refusal(
        complaint,
        f"Invalid '{{path}}': {what}. Expected a string with {bound} length {limit}, but got {got} "
        "instead.",
        code,
    )


#: pydantic's bounds: (key of the context, sign, below or above).
_BOUNDS = {
    "greater_than_equal": ("ge", ">=", "below minimum", "below_min_value"),
    "greater_than": ("gt", ">", "below minimum", "below_min_value"),
    "less_than_equal": ("le", "<=", "above maximum", "above_max_value"),
    "less_than": ("lt", "<", "above maximum", "above_max_value"),
}


def _range(complaint: _Complaint, expected: list[Any]) -> ApiError:
    key, sign, where, code = _BOUNDS[complaint.kind]
    is_decimal = isinstance(complaint.value, float) or float in expected
    kind = "decimal" if is_decimal else "integer"
    limit = complaint.context[key]
    if isinstance(limit, float) and limit.is_integer():
        limit = int(limit)
    return _refusal(
        complaint,
        f"Invalid '{{path}}': {kind} {where} value. Expected a value {sign} {limit}, but got "
        f"{_shown(complaint.value)} instead.",
        f"{kind}_{code}",
    )


def _pattern(complaint: _Complaint, expected: list[Any]) -> ApiError:
    return _refusal(
        complaint,
        "Invalid '{path}': string does not match pattern. Expected a string that matches the "
        f"pattern '{complaint.context['pattern']}'.",
        "invalid_value",
    )


def _unknown(complaint: _Complaint, expected: list[Any]) -> ApiError:
    return _refusal(complaint, "Unknown parameter: '{path}'.", "unknown_parameter")


def _other(complaint: _Complaint, expected: list[Any]) -> ApiError:
    """Custom errors carry their own words; what pydantic knows besides is rare in JSON."""
    if "param" in complaint.context:
        param = str(complaint.context["param"]) or None
        return ApiError(400, complaint.message, param=param, code=complaint.kind)
    if "error" in complaint.context:
        return _refusal(complaint, str(complaint.context["error"]), "invalid_value")
    return _refusal(complaint, f"Invalid '{{path}}': {complaint.message}.", "invalid_value")


#: Complaints about a JSON type, with what to expect where the shape does not tell.
_TYPES = {
    "string_type": "string", "int_type": "integer", "int_from_float": "integer", "int_parsing": "integer",
    "float_type": "decimal", "float_parsing": "decimal", "bool_type": "boolean", "bool_parsing": "boolean",
    "list_type": "array", "tuple_type": "array", "set_type": "array", "iterable_type": "array",
    "dict_type": "object", "mapping_type": "object", "model_type": "object", "model_attributes_type": "object",
    "dataclass_type": "object", "none_required": "value", "int_parsing_size": "integer",
}  # fmt: skip

_WORDS: dict[str, Callable[[_Complaint, list[Any]], ApiError]] = {
    **dict.fromkeys(_TYPES, _invalid_type),
    "missing": _missing,
    "literal_error": _not_listed,
    "enum": _not_listed,
    "union_tag_invalid": _no_such_tag,
    "union_tag_not_found": _no_such_tag,
    "too_short": _size,
    "too_long": _size,
    "string_too_short": _length,
    "string_too_long": _length,
    **dict.fromkeys(_BOUNDS, _range),
    "string_pattern_mismatch": _pattern,
    "extra_forbidden": _unknown,
}
