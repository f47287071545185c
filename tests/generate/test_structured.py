"""Instances of JSON Schemas: valid, plausible, and found or refused in bounded work."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fakeai_proxy.dice import Dice
from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.strict_schema import FORMATS, SchemaError, schema_check
from fakeai_proxy.generate.structured import Schema

_DICE = Dice(3)
_NAMES = st.sampled_from(
    ("name", "email", "city", "price", "tags", "x", "createdAt", "description", "a b", "ünïcode")
)


def obj(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    closed = {"type": "object", "required": list(properties), "additionalProperties": False}
    return {**closed, "properties": properties, **more}


def _bounds(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    numbers = st.integers(-1000, 1000)

    def between(pair: tuple[int, int]) -> dict[str, Any]:
        return {"type": kind, "minimum": min(pair), "maximum": max(pair)}

    return st.one_of(
        st.just({"type": kind}),
        st.tuples(numbers, numbers).map(between),
        numbers.map(lambda low: {"type": kind, "exclusiveMinimum": low}),
        numbers.map(lambda high: {"type": kind, "exclusiveMaximum": high}),
        st.sampled_from((1, 2, 5, 7, 0.5, 0.01, 0.1, 2.5)).map(
            lambda step: {"type": kind, "multipleOf": step, "minimum": 0}
        ),
    )


_SCALARS = st.one_of(
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.just({"type": "string"}),
    st.just({"type": ["string", "null"]}),
    st.sampled_from(sorted(FORMATS)).map(lambda form: {"type": "string", "format": form}),
    st.sampled_from(
        (
            r"^[A-Z]{3}-\d{4}$",
            r"^(red|green|blue)$",
            r"^\+?[1-9]\d{1,14}$",
            r"[0-9a-f]{8}",
            r"^\S+@\S+$",
            r"^(?=.*\d)[a-z\d]{4,}$",
            r"^[^aeiou]+$",
            r"\w+\s\w+",
        )
    ).map(lambda pattern: {"type": "string", "pattern": pattern}),
    st.tuples(st.integers(0, 20), st.integers(0, 50)).map(
        lambda pair: {"type": "string", "minLength": pair[0], "maxLength": sum(pair)}
    ),
    _bounds("integer"),
    _bounds("number"),
    st.lists(
        st.one_of(st.text(max_size=8), st.integers(-(2**63), 2**63), st.none()),
        min_size=1,
        max_size=4,
    ).map(lambda values: {"enum": values}),
    st.one_of(st.text(max_size=8), st.booleans()).map(lambda value: {"const": value}),
    st.just({"$ref": "#/$defs/node"}),
)
_SCHEMAS = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.dictionaries(_NAMES, inner, max_size=4).map(obj),
        st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
        st.tuples(inner, st.integers(0, 3), st.integers(0, 3)).map(
            lambda given: {
                "type": "array",
                "items": given[0],
                "minItems": given[1],
                "maxItems": given[1] + given[2],
            }
        ),
    ),
    max_leaves=12,
)
_NODE = obj(
    {"value": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(properties=st.dictionaries(_NAMES, _SCHEMAS, max_size=4), seed=st.integers(0, 10_000))
@example(properties={"name": {"type": "number", "exclusiveMaximum": 1}}, seed=0)
@example(properties={"name": {"type": "number", "exclusiveMinimum": 1_000}}, seed=0)
def test_every_strict_schema_has_valid_instances(properties: dict[str, Any], seed: int) -> None:
    schema = obj(properties, **{"$defs": {"node": _NODE}})
    schema_check(schema)
    value = Schema.load(schema).instance(_DICE.roll(seed))
    jsonschema_rs.Draft202012Validator(schema, validate_formats=True).validate(
        orjson.loads(orjson.dumps(value))
    )
    assert list(value) == list(properties)
    assert Schema.load(schema).instance(_DICE.roll(seed)) == value


_JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=12),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(
                st.sampled_from(
                    (
                        "type",
                        "properties",
                        "required",
                        "items",
                        "enum",
                        "anyOf",
                        "$ref",
                        "$defs",
                        "pattern",
                        "minimum",
                        "maximum",
                        "multipleOf",
                        "minItems",
                        "allOf",
                        "not",
                        "format",
                        "minLength",
                        "additionalProperties",
                        "prefixItems",
                        "uniqueItems",
                        "oneOf",
                        "minProperties",
                        "const",
                    )
                ),
                st.text(max_size=5),
            ),
            inner,
            max_size=5,
        ),
        st.sampled_from(
            ("object", "array", "string", "integer", "#", "#/$defs/a", "#/items", "(a+)+", "[")
        ),
    ),
    max_leaves=20,
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(schema=_JSON)
def test_any_json_as_a_schema_is_answered_or_refused(schema: Any) -> None:
    try:
        schema_check(schema)
        strict = True
    except SchemaError:
        strict = False
    try:
        value = Schema.load(schema).instance(_DICE.roll(1), strict=strict)
    except SchemaError:
        return
    orjson.dumps(value)


_WIDE = {f"p{k}": {"type": "string", "pattern": "^a{20000}$"} for k in range(2000)}
_CHAIN = {"d0": {"type": "string"}} | {
    f"d{k + 1}": obj({key: {"$ref": f"#/$defs/d{k}"} for key in "abcde"}) for k in range(12)
}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "integer"}, "minItems": 10**9},
        {"type": "string", "minLength": 10**9},
        {"type": "string", "pattern": "((a{900}){900}){900}"},
        {"type": "string", "pattern": "("},
        {"type": "string", "pattern": "a(?!a|b)b"},
        {"type": "integer", "minimum": 5, "maximum": 4},
        {"type": "integer", "minimum": 0.2, "maximum": 0.8},
        {"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 1.0000000000000002},
        {"type": "integer", "multipleOf": 7, "minimum": 1, "maximum": 6},
        {"type": "array", "items": {}, "minItems": 3, "maxItems": 2},
        {"enum": []},
        {"$ref": "#"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        {"$ref": "http://example.com/schema.json"},
        obj({"again": {"$ref": "#"}}),
        obj(_WIDE),
        {"$ref": "#/$defs/d12", "$defs": _CHAIN},
        {"not": {}},
    ],
    ids=str,
)
def test_what_nothing_satisfies_is_refused(schema: Any) -> None:
    with pytest.raises(SchemaError):
        Schema.load(schema).instance(_DICE.roll(1))


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(x+x+)+y", "^(([a-z])+.)+[A-Z]([a-z])+$", r"(.*)*\1"]
)
def test_a_catastrophic_pattern_has_a_short_match(pattern: str) -> None:
    schema = {"type": "string", "pattern": pattern}
    assert Schema.load(schema).instance(_DICE.roll(1), strict=False) is not None


def test_values_follow_the_names_and_the_prompt() -> None:
    schema = obj(
        {
            "city": {"type": "string"},
            "unit": {"enum": ["kelvin", "celsius"]},
            "age": {"type": "integer"},
            "email": {"type": "string"},
            "query": {"type": "string"},
        }
    )
    hints = Hints("What is the weather in Paris, in celsius?")
    value = Schema.load(schema).instance(_DICE.roll(2), hints)
    assert (value["city"], value["unit"], value["query"]) == ("Paris", "celsius", hints.subject)
    assert 18 <= value["age"] <= 80
    assert "@" in value["email"]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "array", "items": {}}, "schema must be a JSON Schema of 'type: \"object\"'"),
        (obj({}, anyOf=[{"type": "null"}]), "'anyOf' is not permitted"),
        ({"type": "object", "properties": {}}, "In context=(), 'additionalProperties' is required"),
        (obj({"a": {"type": "string"}}, required=[]), "Missing 'a'"),
        (obj({"a": {"allOf": []}}), "In context=('properties', 'a'), 'allOf' is not permitted."),
        (obj({"a": {}}), "In context=('properties', 'a'), schema must have a 'type' key."),
        (obj({"a": {"type": "array"}}), "array schema missing items"),
        (obj({"a": {"type": "text"}}), "'text' is not a valid type"),
        (obj({"a": {"$ref": "#/$defs/x"}}), "reference '#/$defs/x' does not resolve"),
        (obj({"a": {"type": "string", "format": "uri"}}), "'uri' is not a valid format"),
        (obj({f"p{k}": {"type": "null"} for k in range(5001)}), "5000 object properties"),
        (obj({"a": {"enum": list(range(1001))}}), "1000 enum values"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_strict_mode_refuses(schema: Any, said: str) -> None:
    with pytest.raises(SchemaError) as caught:
        schema_check(schema)
    assert said in str(caught.value)


def test_ten_levels_are_accepted_and_eleven_refused() -> None:
    node: dict[str, Any] = {"type": "string"}
    for _ in range(9):
        node = obj({"a": node})
    schema_check(node)
    with pytest.raises(SchemaError, match="10 levels"):
        schema_check(obj({"a": node}))
