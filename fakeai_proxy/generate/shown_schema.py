"""JSON Schemas that stand in a prompt's text, as clients write them there whose mode is plain JSON."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.strict_schema import SchemaError
from fakeai_proxy.generate.structured import Schema

#: Of each text, and openings of objects that are tried.
_READ_CHARS = 60_000
_OPENINGS_MAX = 40
#: What stands at the root where the object itself is defined elsewhere.
_ROOTS = ("anyOf", "allOf", "$ref")
_decoder = json.JSONDecoder()


def shown_instance(rng: Random, hints: Hints) -> Any:
    """An instance of the schema that the instructions or the prompt show; None where there is none, or none
    that can be followed."""
    for text in (hints.instructions, hints.prompt):
        schema = shown_schema(text)
        if schema is not None:
            try:
                return Schema.load(schema).instance(rng, hints, False)
            except SchemaError:
                continue
    return None


def shown_schema(text: str) -> dict[str, Any] | None:
    """The first object in `text` that is a schema of objects."""
    text = text[:_READ_CHARS]
    place = text.find("{") if '"properties"' in text else -1
    for _ in range(_OPENINGS_MAX):
        if place < 0:
            break
        try:
            found, end = _decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            end = place + 1
        else:
            if _is_schema(found):
                return found  # type: ignore[no-any-return]  # an object, or it were no schema
        place = text.find("{", end)
    return None


def _is_schema(found: Any) -> bool:
    if not isinstance(found, dict):
        return False
    if isinstance(found.get("properties"), dict):
        return bool(found.get("type", "object") == "object")
    return "$defs" in found and not found.keys().isdisjoint(_ROOTS)
