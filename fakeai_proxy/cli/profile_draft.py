"""A profile to start from: the text of another, then every setting that it leaves alone as a comment
with its meaning and default."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined


def draft(file: Path, base: str, text: str, profile: BaseModel) -> str:
    lines = [
        f"# A profile of your own, from {base}. Use it with --profile {file}; what you change is",
        f"# looked at by `fakeai-proxy profiles check {file}`. `source` says where your numbers are from.",
        "",
        text.rstrip("\n"),
        "",
        *_left_alone(type(profile), text),
    ]
    return "\n".join(lines) + "\n"


def _left_alone(shape: type[BaseModel], text: str) -> Iterator[str]:
    rest = list(_tables(shape, ""))
    if not rest:
        return
    yield "# --- What else may be set, with what holds without it ---"
    for table, fields in rest:
        yield "#"
        yield f"# {table}" if table else "# At the top of the file:"
        for name, field in fields:
            default = field.get_default(call_default_factory=True)
            value = "(unset)" if default is None else _toml(default)
            meaning = f"  # {field.description}" if field.description else ""
            yield f"#   {name} = {value}{meaning}"


def _tables(shape: type[BaseModel], path: str) -> Iterator[tuple[str, list[tuple[str, FieldInfo]]]]:
    """Each table below `shape`, with the fields that have a default."""
    plain: list[tuple[str, FieldInfo]] = []
    below: list[tuple[str, bool, type[BaseModel]]] = []
    for name, field in shape.model_fields.items():
        inner, several = _shape_in(field.annotation)
        if inner is not None:
            below.append((name, several, inner))
        elif field.default is not PydanticUndefined:
            plain.append((name, field))
    if plain:
        yield path, plain
    for name, several, inner in below:
        key = f"{path.strip('[]')}.{name}".lstrip(".")
        yield from _tables(inner, f"[[{key}]]" if several else f"[{key}]")


def _shape_in(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The shape of a table, and whether there may be several of it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    origin = get_origin(annotation)
    if origin in (tuple, Union, UnionType):
        for inner in get_args(annotation):
            found, _ = _shape_in(inner)
            if found is not None:
                return found, origin is tuple
    return None, False


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)
