"""What pydantic says about a request body, in the words that the vendor would use.

A validator that needs words of its own raises an `ApiError`, which passes through pydantic as it is,
or, where a union has to try its next branch, `PydanticCustomError(code, message, {"param": path})`.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from fakeai_proxy import errors
from fakeai_proxy.errors import ApiError
from fakeai_proxy.services.complaint import (
    DISCRIMINATING,
    MISSING,
    TYPES,
    Complaint,
    Step,
    below,
    complaint_about,
    path_of,
)


def request_error(
    error: ValidationError, body: object, shape: type[BaseModel] | None = None
) -> ApiError:
    """`shape` is what `body` was held against; it tells what would have been right."""
    complaint = complaint_about(error, body)
    return _WORDS.get(complaint.kind, _other)(complaint, _expected(complaint.steps, body, shape))


# --- what would have been right --------------------------------------------------------------------


def _expected(steps: Sequence[Step], body: object, shape: type[BaseModel] | None) -> list[Any]:
    """The annotations that apply at `steps`, alternatives of unions side by side."""
    found: list[Any] = [] if shape is None else [shape]
    for step in steps:
        found = [inner for outer in found for inner in _inside(outer, step, body)]
        body = below(body, step)
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
    for name in DISCRIMINATING:
        field = shape.model_fields.get(name)
        if field is not None and get_origin(field.annotation) is Literal:
            said = value.get(name, MISSING) if isinstance(value, dict) else MISSING
            if said is not MISSING and said not in get_args(field.annotation):
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


# --- the words ---------------------------------------------------------------------------------------


def _missing(complaint: Complaint, expected: list[Any]) -> ApiError:
    return errors.missing_parameter(complaint.path)


def _invalid_type(complaint: Complaint, expected: list[Any]) -> ApiError:
    names = _names(expected) or [TYPES.get(complaint.kind, "value")]
    wanted = _article(names[0])
    if len(names) > 1:
        several = [wanted, *names[1:]]
        comma = "," if len(several) > 2 else ""
        wanted = f"one of {', '.join(several[:-1])}{comma} or {several[-1]}"
    return errors.invalid_type(complaint.path, wanted, complaint.value)


def _not_listed(complaint: Complaint, expected: list[Any]) -> ApiError:
    words = [word for kind in expected if get_origin(kind) is Literal for word in get_args(kind)]
    if complaint.about_type and type(complaint.value) not in set(map(type, words)):
        return _invalid_type(complaint, expected)
    supported = [str(word) for word in words if word is not None]
    return errors.invalid_value(
        complaint.path, complaint.value, supported or _quoted(complaint.context.get("expected"))
    )


def _quoted(text: object) -> list[str]:
    """The words that pydantic lists."""
    return re.findall(r"'([^']*)'", str(text))


def _no_such_tag(complaint: Complaint, expected: list[Any]) -> ApiError:
    name = str(complaint.context.get("discriminator", "")).strip("'")
    if not name.isidentifier():
        return _other(complaint, expected)
    if not isinstance(complaint.value, dict):
        return _invalid_type(complaint, expected)
    path = path_of((*complaint.steps, name))
    tag = complaint.value.get(name, MISSING)
    if tag is MISSING:
        return errors.missing_parameter(path)
    if not isinstance(tag, str):
        return errors.invalid_type(path, "a string", tag)
    tags = _quoted(complaint.context.get("expected_tags")) or _tags(expected, name)
    return errors.invalid_value(path, tag, tags)


def _tags(expected: list[Any], name: str) -> list[str]:
    """The words that tell the alternatives apart, in their order."""
    words: list[str] = []
    for shape in expected:
        if isinstance(shape, type) and issubclass(shape, BaseModel) and name in shape.model_fields:
            words += map(str, get_args(shape.model_fields[name].annotation))
    return list(dict.fromkeys(words))


def _size(complaint: Complaint, expected: list[Any]) -> ApiError:
    """Arrays and objects with too few or too many members."""
    short = complaint.kind == "too_short"
    limit = complaint.context["min_length" if short else "max_length"]
    count = len(complaint.value)
    sign = ">=" if short else "<="
    if isinstance(complaint.value, dict):
        return errors.wrong_number_of_properties(complaint.path, sign, limit, count)
    return errors.wrong_length(complaint.path, "array", sign, limit, count)


def _length(complaint: Complaint, expected: list[Any]) -> ApiError:
    """Strings that are too short or too long."""
    key, sign = (
        ("max_length", "<=") if complaint.kind == "string_too_long" else ("min_length", ">=")
    )
    limit = complaint.context[key]
    return errors.wrong_length(complaint.path, "string", sign, limit, len(complaint.value))


#: pydantic's bounds: the key of the context, and the sign.
_BOUNDS = {
    "greater_than_equal": ("ge", ">="),
    "greater_than": ("gt", ">"),
    "less_than_equal": ("le", "<="),
    "less_than": ("lt", "<"),
}


def _range(complaint: Complaint, expected: list[Any]) -> ApiError:
    key, sign = _BOUNDS[complaint.kind]
    kind = "decimal" if isinstance(complaint.value, float) or float in expected else "integer"
    limit = complaint.context[key]
    return errors.out_of_range(complaint.path, kind, sign, limit, complaint.value)


def _pattern(complaint: Complaint, expected: list[Any]) -> ApiError:
    return ApiError(
        400,
        f"Invalid '{complaint.path}': string does not match pattern. Expected a string that matches "
        f"the pattern '{complaint.context['pattern']}'.",
        param=complaint.path,
        code="invalid_value",
    )


def _unknown(complaint: Complaint, expected: list[Any]) -> ApiError:
    return errors.unknown_parameter(complaint.path)


def _other(complaint: Complaint, expected: list[Any]) -> ApiError:
    """Custom errors carry their own words; what pydantic knows besides is rare in JSON."""
    if "param" in complaint.context:
        param = str(complaint.context["param"]) or None
        return ApiError(400, complaint.message, param=param, code=complaint.kind)
    words = f"Invalid '{complaint.path}': {complaint.message}."
    if "error" in complaint.context:
        words = str(complaint.context["error"])
    return ApiError(400, words, param=complaint.path or None, code="invalid_value")


_WORDS: dict[str, Callable[[Complaint, list[Any]], ApiError]] = {
    **dict.fromkeys(TYPES, _invalid_type),
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
