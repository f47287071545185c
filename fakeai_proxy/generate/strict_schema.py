"""What the vendor's strict mode accepts of JSON Schema, and the words in which it refuses the rest.

Knows the subset and its limits; generates nothing (`structured.py` does).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fakeai_proxy.errors import FakeAIError

PROPERTIES_MAX = 5_000
NESTING_MAX = 10
NAME_CHARS_MAX = 120_000
ENUM_VALUES_MAX = 1_000
#: A string enum of more values than the first may have no more characters than the second.
LONG_ENUM_VALUES, LONG_ENUM_CHARS_MAX = 250, 15_000

TYPES = ("string", "number", "integer", "boolean", "object", "array", "null")
FORMATS = frozenset(
    ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid")
)
_REFUSED = (
    "allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas",
    "patternProperties", "propertyNames", "minProperties", "maxProperties",
    "unevaluatedProperties", "unevaluatedItems", "prefixItems", "contains", "minContains",
    "maxContains", "uniqueItems",
)  # fmt: skip
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_COUNTS = ("minItems", "maxItems", "minLength", "maxLength")

Path = tuple[str, ...]


class SchemaError(FakeAIError):
    """A schema that is not accepted, or that no value satisfies. `context` is where, as a path."""

    def __init__(self, context: Path, reason: str) -> None:
        super().__init__(f"In context={context!r}, {reason}")
        self.reason = reason


def schema_check(schema: Any) -> None:
    """Raises SchemaError where strict mode refuses `schema`."""
    if not isinstance(schema, dict):
        raise SchemaError((), "schema must be a JSON object.")
    kind = schema.get("type")
    if kind != "object" and "$ref" not in schema:
        raise SchemaError((), f"""schema must be a JSON Schema of 'type: "object"', """
                              f"""got 'type: "{'None' if kind is None else kind}"'.""")  # fmt: skip
    if "anyOf" in schema:
        raise SchemaError((), "'anyOf' is not permitted at the root of the schema.")
    _Check(schema).run()


class _Check:
    def __init__(self, root: dict[str, Any]) -> None:
        self.root = root
        self.properties = 0
        self.enum_values = 0
        self.chars = 0

    def run(self) -> None:
        # A stack of our own: depth is the client's choice.
        waiting: list[tuple[Any, Path, int]] = [(self.root, (), 1)]
        while waiting:
            node, path, depth = waiting.pop()
            if not isinstance(node, dict):
                raise SchemaError(path, "schema must be a JSON object.")
            if depth > NESTING_MAX:
                raise SchemaError(
                    path, f"the schema exceeds the maximum of {NESTING_MAX} levels of nesting."
                )
            self._keywords(node, path)
            waiting += reversed(list(self._children(node, path, depth)))

    def _children(
        self, node: dict[str, Any], path: Path, depth: int
    ) -> Iterator[tuple[Any, Path, int]]:
        for keyword in ("$defs", "definitions"):
            definitions = node.get(keyword, {})
            if not isinstance(definitions, dict):
                raise SchemaError(path, f"'{keyword}' must be an object.")
            for name, child in definitions.items():
                self._count_chars(name)
                yield child, (*path, keyword, name), 1
        for name, child in (node.get("properties") or {}).items():
            yield child, (*path, "properties", name), depth + 1
        if "items" in node:
            yield node["items"], (*path, "items"), depth + 1
        for k, child in enumerate(node.get("anyOf") or ()):
            yield child, (*path, "anyOf", str(k)), depth

    def _keywords(self, node: dict[str, Any], path: Path) -> None:
        for keyword in _REFUSED:
            if keyword in node:
                raise SchemaError(path, f"'{keyword}' is not permitted.")
        if "$ref" in node:
            resolve(self.root, node["$ref"], path)
            return
        types = self._types(node, path)
        if "anyOf" in node and (not isinstance(node["anyOf"], list) or not node["anyOf"]):
            raise SchemaError(path, "'anyOf' must be a non-empty array.")
        if "enum" in node:
            self._enum(node["enum"], path)
        if "const" in node and isinstance(node["const"], str):
            self._count_chars(node["const"])
        check_values(node, path)
        if "object" in types or "properties" in node:
            self._object(node, path)
        if "array" in types and "items" not in node:
            raise SchemaError(path, "array schema missing items.")
        form = node.get("format")
        if form is not None and "string" in types and form not in FORMATS:
            raise SchemaError(path, f"'{form}' is not a valid format.")

    def _types(self, node: dict[str, Any], path: Path) -> list[str]:
        if "type" not in node:
            if not {"anyOf", "enum", "const"} & node.keys():
                raise SchemaError(path, "schema must have a 'type' key.")
            return []
        return types_of(node, path)

    def _enum(self, values: Any, path: Path) -> None:
        if not isinstance(values, list) or not values:
            raise SchemaError(path, "'enum' must be a non-empty array.")
        self.enum_values += len(values)
        chars = sum(len(value) for value in values if isinstance(value, str))
        if self.enum_values > ENUM_VALUES_MAX:
            raise SchemaError(
                path, f"the schema exceeds the maximum of {ENUM_VALUES_MAX} enum values."
            )
        if len(values) > LONG_ENUM_VALUES and chars > LONG_ENUM_CHARS_MAX:
            raise SchemaError(
                path, f"an enum of more than {LONG_ENUM_VALUES} values exceeds the maximum of "
                f"{LONG_ENUM_CHARS_MAX} characters.")  # fmt: skip
        self._add_chars(chars)

    def _object(self, node: dict[str, Any], path: Path) -> None:
        if node.get("additionalProperties") is not False:
            raise SchemaError(
                path, "'additionalProperties' is required to be supplied and to be false."
            )
        properties = node.get("properties", {})
        required = node.get("required", [] if not properties else None)
        for name in properties:
            self._count_chars(name)
        self.properties += len(properties)
        if self.properties > PROPERTIES_MAX:
            raise SchemaError(
                path, f"the schema exceeds the maximum of {PROPERTIES_MAX} object properties."
            )
        lead = "'required' is required to be supplied and to be an array including every key in properties."
        if not isinstance(required, list):
            raise SchemaError(path, lead)
        names = set(required)
        missing = [name for name in properties if name not in names]
        if missing:
            raise SchemaError(path, f"{lead} Missing '{missing[0]}'.")
        extra = [name for name in required if name not in properties]
        if extra:
            raise SchemaError(path, f"{lead} Extra required key '{extra[0]}' supplied.")

    def _count_chars(self, text: str) -> None:
        self._add_chars(len(text))

    def _add_chars(self, count: int) -> None:
        self.chars += count
        if self.chars > NAME_CHARS_MAX:
            raise SchemaError(
                (), f"the names and enum values of the schema exceed {NAME_CHARS_MAX} characters."
            )


def types_of(node: dict[str, Any], path: Path = ()) -> list[str]:
    """The declared types as a list. Raises SchemaError for one that does not exist."""
    declared = node["type"]
    types = declared if isinstance(declared, list) else [declared]
    for kind in types:
        if kind not in TYPES:
            raise SchemaError(path, f"'{kind}' is not a valid type.")
    if not types:
        raise SchemaError(path, "'type' must name a type.")
    return types


def check_values(node: dict[str, Any], path: Path) -> None:
    """Raises SchemaError where a keyword has a value of the wrong kind."""
    for keyword in _NUMBERS:
        value = node.get(keyword, 0)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise SchemaError(path, f"'{keyword}' must be a number.")
    if "multipleOf" in node and node["multipleOf"] <= 0:
        raise SchemaError(path, "'multipleOf' must be greater than 0.")
    for keyword in _COUNTS:
        value = node.get(keyword, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value % 1:
            raise SchemaError(path, f"'{keyword}' must be a non-negative integer.")
    for keyword in ("pattern", "format"):
        if not isinstance(node.get(keyword, ""), str):
            raise SchemaError(path, f"'{keyword}' must be a string.")
    if not isinstance(node.get("properties", {}), dict):
        raise SchemaError(path, "'properties' must be an object.")
    required = node.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise SchemaError(path, "'required' must be an array of strings.")


def resolve(root: dict[str, Any], reference: Any, path: Path = ()) -> Any:
    """What `$ref` points at. Raises SchemaError where it leads nowhere."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        raise SchemaError(
            path, "reference can only point to definitions defined at the top level of the schema."
        )
    node: Any = root
    for part in reference[1:].split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict) and name in node:
            node = node[name]
        elif isinstance(node, list) and name.isdigit() and int(name) < len(node):
            node = node[int(name)]
        else:
            raise SchemaError(path, f"reference '{reference}' does not resolve.")
    if not reference[1:].startswith("/") and reference != "#":
        raise SchemaError(path, f"reference '{reference}' does not resolve.")
    return node


def merge(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """A schema for what satisfies both, as far as keywords can be joined one by one."""
    merged = {**first, **second}
    for keyword in first.keys() & second.keys():
        one, other = first[keyword], second[keyword]
        if keyword == "properties":
            both = {name: {"allOf": [one[name], other[name]]} for name in one.keys() & other.keys()}
            merged[keyword] = {**one, **other, **both}
        elif keyword == "required":
            merged[keyword] = list(dict.fromkeys([*one, *other]))
        elif keyword in ("minimum", "exclusiveMinimum", "minItems", "minLength", "minProperties"):
            merged[keyword] = max(one, other)
        elif keyword in ("maximum", "exclusiveMaximum", "maxItems", "maxLength"):
            merged[keyword] = min(one, other)
        elif keyword == "type":
            given = one if isinstance(one, list) else [one]
            wanted = other if isinstance(other, list) else [other]
            merged[keyword] = [kind for kind in given if kind in wanted] or wanted
        elif keyword == "enum":
            merged[keyword] = [value for value in one if value in other]
        elif keyword in ("anyOf", "oneOf", "allOf") and one != other:
            merged[keyword] = one
            merged["allOf"] = [*merged.get("allOf", ()), {keyword: other}]
        elif keyword == "items":
            merged[keyword] = {"allOf": [one, other]}
    return merged
