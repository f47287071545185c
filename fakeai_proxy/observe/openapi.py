"""The OpenAPI document of our own pages. Loaded when somebody asks for it: the shapes of all answers take a
while to make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from fakeai_proxy import __version__
from fakeai_proxy.observe.answers import answer_of, status_of
from fakeai_proxy.observe.pages import JSON, Parameter, Route


def openapi(routes: Sequence[Route]) -> dict[str, Any]:
    shapes = _Shapes(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = route.path.replace(":path}", "}")
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, shapes)
    return {
        "openapi": "3.1.0",
        "info": {"title": "fakeai-proxy: pages and control", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {**shapes.definitions, "Error": _ERROR},
            "securitySchemes": {"admin_token": {"type": "http", "scheme": "bearer"}},
        },
    }


#: What is refused is told as OpenAI tells it.
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": ["string", "null"]},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "integer", "null"]},
            },
        }
    },
}


class _Shapes:
    """The schemas of all bodies and answers, each once."""

    def __init__(self, routes: Sequence[Route]) -> None:
        wanted = dict.fromkeys(
            (model, mode) for route in routes for model, mode in _models_of(route)
        )
        by_model, whole = models_json_schema(
            list(wanted), ref_template="#/components/schemas/{model}"
        )
        self._of = by_model
        self.definitions: dict[str, Any] = whole.get("$defs", {})

    def body(self, model: type[BaseModel]) -> dict[str, Any]:
        return self._of[model, "validation"]

    def answer(self, model: type[BaseModel]) -> dict[str, Any]:
        return self._of[model, "serialization"]


def _models_of(route: Route) -> Iterator[tuple[type[BaseModel], JsonSchemaMode]]:
    if route.body is not None:
        yield route.body, "validation"
    answer = answer_of(route)
    if not isinstance(answer, str):
        yield answer, "serialization"


def _operation(route: Route, shapes: _Shapes) -> dict[str, Any]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in route.pattern.groupindex
    ]
    answer = answer_of(route)
    if isinstance(answer, str):
        content: dict[str, Any] = {answer.partition(";")[0]: {}}
    else:
        content = {JSON: {"schema": shapes.answer(answer)}}
    refused = {"schema": {"$ref": "#/components/schemas/Error"}}
    operation: dict[str, Any] = {
        "summary": route.summary,
        "parameters": in_path + [_parameter(one) for one in route.query],
        "responses": {
            status_of(route): {"description": "OK", "content": content},
            "default": {"description": "Refused, with a reason", "content": {JSON: refused}},
        },
    }
    if route.is_guarded:
        operation["security"] = [{"admin_token": []}, {}]
    if route.body is not None:
        operation["requestBody"] = {"content": {JSON: {"schema": shapes.body(route.body)}}}
    return operation


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema = {
        "type": parameter.kind,
        "default": parameter.default,
        "minimum": parameter.least,
        "maximum": parameter.most,
        "enum": list(parameter.choices) or None,
    }
    return {
        "name": parameter.name,
        "in": "query",
        "description": parameter.summary,
        **({"required": True} if parameter.required else {}),
        "schema": {name: value for name, value in schema.items() if value is not None},
    }
