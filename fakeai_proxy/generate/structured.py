"""Instances of a JSON Schema: what a model answers under `response_format` and in tool arguments.

Total: a schema that no value satisfies, or only an absurdly large one, ends in SchemaError after
bounded work. What is produced depends on the schema, the generator passed in and the hints alone.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from random import Random
from typing import Any

import orjson

from fakeai_proxy.generate.numbers import number
from fakeai_proxy.generate.pattern import CHARS_MAX, Budget, Pattern
from fakeai_proxy.generate.plausible import FORMATS, Hints, text_for
from fakeai_proxy.generate.strict_schema import SchemaError, check_values, merge, resolve, types_of

NODES_MAX = 20_000
#: Values after which only the smallest choices are made, and the depth from which.
_PLENTY_NODES, _PLENTY_DEPTH = 400, 6
_HEIGHT_MAX = 60
_ATTEMPTS = 8
_ITEMS_USUAL = 3
_PASSES_MAX = 60
_SCHEMAS_KEPT = 256

_ASSERTIONS = frozenset(
    ("type", "properties", "required", "items", "enum", "const", "anyOf", "oneOf", "allOf", "pattern",
     "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minItems",
     "maxItems", "minLength", "maxLength", "prefixItems", "minProperties", "additionalProperties",
     "uniqueItems", "$ref")
)  # fmt: skip

_Node = dict[str, Any]


class Schema:
    """A JSON Schema made ready: references followed, the height of its smallest instances known.
    Raises SchemaError."""

    def __init__(self, schema: Any) -> None:
        if not isinstance(schema, dict | bool):
            raise SchemaError((), "schema must be a JSON object.")
        self.root: _Node = schema if isinstance(schema, dict) else ({} if schema else {"enum": []})
        self._heights = self._measure()
        if self.height(self.root) > _HEIGHT_MAX:
            raise SchemaError((), "no finite value satisfies the schema.")
        import jsonschema_rs  # 3 MB that most servers never need

        try:
            self._accepts = jsonschema_rs.Draft202012Validator(
                self.root, validate_formats=True, retriever=_nothing_is_fetched
            ).is_valid
        except (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
            raise SchemaError((), f"{str(error).splitlines()[0][:300]}") from None

    @staticmethod
    def load(schema: Any) -> Schema:
        """The same, kept for schemas that come again."""
        try:
            key = orjson.dumps(schema)
        except orjson.JSONEncodeError:
            raise SchemaError((), "the schema is nested too deeply.") from None
        with _lock:
            known = _schemas.get(key)
            if known is not None:
                _schemas.move_to_end(key)
                return known
        made = Schema(schema)
        with _lock:
            _schemas[key] = made
            if len(_schemas) > _SCHEMAS_KEPT:
                _schemas.popitem(last=False)
        return made

    def instance(self, rng: Random, hints: Hints = Hints(), strict: bool = True) -> Any:  # noqa: B008 - frozen
        """A value that satisfies the schema; where not `strict`, the last attempt if none does."""
        value: Any = None
        failure: SchemaError | None = None
        budget = Budget()
        for _ in range(_ATTEMPTS):
            try:
                value = _Walk(self, rng, hints, budget).value(self.root, "", 0)
            except SchemaError as error:
                failure = error
                continue
            except RecursionError:
                raise SchemaError((), "the schema is nested too deeply.") from None
            failure = None
            if self._accepts(value):
                return value
        if failure is not None:
            raise failure
        if strict:
            raise SchemaError((), "no value was found that satisfies the schema.")
        return value

    def height(self, node: Any) -> float:
        """Levels of the smallest instance; infinite where there is none."""
        known = self._heights.get(id(node))
        return self._height(node) if known is None else known

    def follow(self, node: _Node) -> _Node:
        """The node with `$ref` and `allOf` taken in."""
        seen = 0
        while "$ref" in node or "allOf" in node:
            seen += 1
            if seen > _HEIGHT_MAX:
                raise SchemaError((), "the references of the schema go in a circle.")
            if "$ref" in node:
                target = _node(resolve(self.root, node["$ref"]))
                rest = {
                    key: value
                    for key, value in node.items()
                    if key in _ASSERTIONS and key != "$ref"
                }
                node = merge(target, rest) if rest else target
            else:
                parts = node["allOf"]
                node = {key: value for key, value in node.items() if key != "allOf"}
                for part in parts if isinstance(parts, list) else ():
                    node = merge(node, _node(part))
        return node

    def _measure(self) -> dict[int, float]:
        order: list[Any] = []
        seen: set[int] = set()
        waiting: list[tuple[Any, bool]] = [(self.root, False)]
        while waiting:
            node, done = waiting.pop()
            if done:
                order.append(node)
                continue
            if not isinstance(node, dict) or id(node) in seen:
                continue
            seen.add(id(node))
            check_values(node, ())
            waiting.append((node, True))
            waiting += [(child, False) for child in self._below(node)]
        self._heights = {id(node): math.inf for node in order}
        for _ in range(_PASSES_MAX):
            before = sum(1 for height in self._heights.values() if height == math.inf)
            changed = False
            for node in order:
                height = self._height(node)
                if height != self._heights[id(node)]:
                    self._heights[id(node)] = height
                    changed = True
            if not changed or before == 0:
                break
        return self._heights

    def _below(self, node: _Node) -> list[Any]:
        """The schemas that this one's instances are made of."""
        below: list[Any] = []
        if "$ref" in node:
            below.append(resolve(self.root, node["$ref"]))
        for keyword in ("anyOf", "oneOf", "allOf", "prefixItems"):
            options = node.get(keyword)
            if isinstance(options, list):
                below += options
        below += node.get("properties", {}).values()
        below += [node[keyword] for keyword in ("items", "additionalProperties") if keyword in node]
        return below

    def _height(self, node: Any) -> float:
        if not isinstance(node, dict):
            return math.inf if node is False else 0.0
        height = 0.0
        if "$ref" in node:
            height = self.height(resolve(self.root, node["$ref"]))
        for keyword in ("anyOf", "oneOf"):
            options = node.get(keyword)
            if isinstance(options, list):
                height = max(height, min(map(self.height, options), default=math.inf))
        for part in node["allOf"] if isinstance(node.get("allOf"), list) else ():
            height = max(height, self.height(part))
        if "enum" in node or "const" in node:
            return height
        declared = node.get("type")
        types = declared if isinstance(declared, list) else [declared]
        scalar = any(kind not in ("object", "array", None) for kind in types)
        options = [0.0] if scalar else []
        if "object" in types or (declared is None and "properties" in node):
            properties = node.get("properties", {})
            needed = [
                self.height(properties[name])
                for name in node.get("required", ())
                if name in properties
            ]
            options.append(1 + max(needed, default=0.0))
        if "array" in types:
            least = node.get("minItems", 0)
            options.append(1 + self.height(node.get("items", {})) if least else 1.0)
        return max(height, min(options, default=0.0))


_schemas: OrderedDict[bytes, Schema] = OrderedDict()
_lock = threading.Lock()


def _nothing_is_fetched(uri: str) -> Any:
    raise ValueError(f"reference '{uri}' can only point to definitions of the schema itself.")


def _node(schema: Any) -> _Node:
    if isinstance(schema, dict):
        return schema
    return {"enum": []} if schema is False else {}


class _Walk:
    """One attempt at an instance."""

    def __init__(self, schema: Schema, rng: Random, hints: Hints, budget: Budget) -> None:
        self.schema = schema
        self.rng = rng
        self.hints = hints
        self.budget = budget
        self.nodes = 0

    def value(self, schema: Any, name: str, depth: int) -> Any:
        self.nodes += 1
        self.budget.spend(4)
        node = self.schema.follow(_node(schema))
        for keyword in ("anyOf", "oneOf"):
            if isinstance(node.get(keyword), list):
                return self._branch(node, keyword, name, depth)
        if "const" in node:
            return node["const"]
        if "enum" in node:
            return self._enum(node["enum"])
        return self._typed(node, self._type(node, depth), name, depth)

    def _sparing(self, depth: int) -> bool:
        return depth >= _PLENTY_DEPTH or self.nodes >= _PLENTY_NODES

    def _branch(self, node: _Node, keyword: str, name: str, depth: int) -> Any:
        options = [(self.schema.height(option), k) for k, option in enumerate(node[keyword])]
        finite = [option for option in options if option[0] < math.inf]
        if not finite:
            raise SchemaError((), f"no option of '{keyword}' can be satisfied.")
        chosen = min(finite) if self._sparing(depth) else self.rng.choice(finite)
        rest = {key: value for key, value in node.items() if key != keyword and key in _ASSERTIONS}
        option = _node(node[keyword][chosen[1]])
        if rest:
            # What the option takes in must be visible before it is joined with its siblings.
            option = merge(rest, self.schema.follow(option))
        return self.value(option, name, depth)

    def _enum(self, values: Any) -> Any:
        if not isinstance(values, list) or not values:
            raise SchemaError((), "'enum' must be a non-empty array.")
        said = [value for value in values[:64] if isinstance(value, str) and self._is_said(value)]
        return self.rng.choice(said or values)

    def _is_said(self, value: str) -> bool:
        return len(value) > 1 and value.lower() in self.hints.lower

    def _type(self, node: _Node, depth: int) -> str:
        if "type" not in node:
            for keywords, kind in _IMPLIED:
                if not keywords.isdisjoint(node):
                    return kind
            return "string"
        types = types_of(node)
        if len(types) == 1:
            return types[0]
        if self._sparing(depth) and "null" in types:
            return "null"
        # An optional value is mostly given.
        if "null" in types and self.rng.random() < 0.2:
            return "null"
        given = [kind for kind in types if kind != "null"]
        simple = [kind for kind in given if kind not in ("object", "array")]
        return self.rng.choice(simple if simple and self._sparing(depth) else given)

    def _typed(self, node: _Node, kind: str, name: str, depth: int) -> Any:
        if kind == "object":
            return self._object(node, depth)
        if kind == "array":
            return self._array(node, name, depth)
        if kind == "string":
            return self._string(node, name)
        if kind == "boolean":
            return self.rng.random() < 0.5
        if kind == "null":
            return None
        return number(self.rng, node, name, kind == "integer")

    def _object(self, node: _Node, depth: int) -> dict[str, Any]:
        properties: dict[str, Any] = node.get("properties", {})
        required = set(node.get("required", ()))
        made: dict[str, Any] = {}
        for name, schema in properties.items():
            if name not in required and (
                self._sparing(depth)
                or self.schema.height(schema) > _HEIGHT_MAX
                or self.rng.random() < 0.3
            ):
                continue
            made[name] = self.value(schema, name, depth + 1)
        extra = node.get("additionalProperties", {})
        for name in node.get("required", ()):
            if name not in properties:
                made[name] = self.value(extra, name, depth + 1)
        least = node.get("minProperties", 0)
        if least > NODES_MAX:
            raise SchemaError((), "'minProperties' is too large.")
        while len(made) < least:
            made[f"{text_for(self.rng, '', self.hints)} {len(made)}"] = self.value(
                extra, "", depth + 1
            )
        return made

    def _array(self, node: _Node, name: str, depth: int) -> list[Any]:
        least, most = int(node.get("minItems", 0)), node.get("maxItems", math.inf)
        if least > most:
            raise SchemaError((), f"'minItems' {least} is greater than 'maxItems' {int(most)}.")
        if least > NODES_MAX:
            raise SchemaError((), f"'minItems' {least} is too large.")
        items = node.get("items", {})
        usual = least if self._sparing(depth) else max(least, 1) + self.rng.randrange(_ITEMS_USUAL)
        if self.schema.height(items) > _HEIGHT_MAX:
            usual = least
        count = int(min(usual, most))
        singular = name[:-1] if name.endswith("s") else name
        heads = node.get("prefixItems")
        made = (
            [self.value(head, singular, depth + 1) for head in heads]
            if isinstance(heads, list)
            else []
        )
        attempts = 0
        seen = [orjson.dumps(item) for item in made]
        while len(made) < count:
            item = self.value(items, singular, depth + 1)
            attempts += 1
            if node.get("uniqueItems") is True and attempts < 20 * count:
                key = orjson.dumps(item)
                if key in seen:
                    continue
                seen.append(key)
            made.append(item)
        return made

    def _string(self, node: _Node, name: str) -> str:
        least, most = int(node.get("minLength", 0)), node.get("maxLength", math.inf)
        if least > most:
            raise SchemaError((), f"'minLength' {least} is greater than 'maxLength' {int(most)}.")
        if least > CHARS_MAX:
            raise SchemaError((), f"'minLength' {least} is too large.")
        make = FORMATS.get(node.get("format", ""))
        if make is not None:
            return make(self.rng)
        if "pattern" in node:
            return Pattern.load(node["pattern"]).sample(
                self.rng, least, int(min(most, CHARS_MAX)), self.budget
            )
        text = text_for(self.rng, name, self.hints)
        self.budget.spend(least // 8)
        while len(text) < least:
            text += " " + text_for(self.rng, name, self.hints)
        return text if len(text) <= most else text[: int(most)]


#: Keywords that say of which type a value is where `type` does not.
_IMPLIED = (
    (frozenset(("properties", "required", "minProperties", "additionalProperties")), "object"),
    (frozenset(("items", "minItems", "maxItems", "prefixItems")), "array"),
    (
        frozenset(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
        "number",
    ),
)


def written(value: object) -> str:
    """A value as compact JSON. Raises SchemaError where it cannot be written."""
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        raise SchemaError((), "its values are nested too deeply or out of range.") from None
