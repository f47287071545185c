"""One error per bad body, in the vendor's words, on shapes of the test's own."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from fakeai_proxy.errors import ApiError
from fakeai_proxy.services.validation import request_error
from fakeai_proxy.services.wire import Shape


class Text(Shape):
    type: Literal["text"]
    text: str


class Image(Shape):
    type: Literal["image_url"]
    image_url: dict[str, str]


Part = Annotated[Text | Image, Field(discriminator="type")]


class User(Shape):
    role: Literal["user"]
    content: str | list[Part]


class Tool(Shape):
    role: Literal["tool"]
    content: str
    tool_call_id: str


class Function(Shape):
    name: str = Field(pattern=r"^[a-z]+$", max_length=8)


class ToolSpec(Shape):
    type: Literal["function"]
    function: Function


class NamedChoice(Shape):
    type: Literal["function"]
    function: Function


class Undiscriminated(Shape):
    type: Literal["json_schema"]
    json_schema: dict[str, Any]


class Plain(Shape):
    type: Literal["text", "json_object"]


class Strict(BaseModel):
    model_config = {"extra": "forbid"}
    a: int = 1


class Body(Shape):
    model: str = Field(min_length=1)
    messages: list[Annotated[User | Tool, Field(discriminator="role")]] = Field(min_length=1)
    temperature: float | None = Field(None, ge=0, le=2)
    n: int | None = Field(None, ge=1, le=128)
    stream: bool | None = None
    tools: list[ToolSpec] | None = Field(None, max_length=2)
    tool_choice: Literal["none", "auto"] | NamedChoice | None = None
    response_format: Plain | Undiscriminated | None = None
    metadata: dict[str, Annotated[str, Field(max_length=4)]] | None = Field(None, max_length=2)
    labels: dict[str, str] | None = None
    stop: str | list[str] | None = None
    strict: Strict | None = None
    tier: Literal["auto", "default"] | None = None
    user: str | None = None

    @field_validator("user")
    @classmethod
    def _user(cls, user: str | None) -> str | None:
        if user == "custom":
            raise PydanticCustomError("odd_user", "No {name} here.", {"param": "u", "name": "one"})
        if user == "value":
            raise ValueError("That user is odd.")
        if user == "api":
            raise ApiError(409, "Straight through.", code="straight")
        return user


USER = {"role": "user", "content": "x"}
SPEC = {"type": "function", "function": {"name": "f"}}

# ruff: noqa: E501 - a row is a body and what is answered to it
TABLE: list[tuple[dict[str, Any], str | None, str, str]] = [
    ({"messages": None}, "messages", "invalid_type",
     "Invalid type for 'messages': expected an array of objects, but got null instead."),
    ({"messages": "hi"}, "messages", "invalid_type",
     "Invalid type for 'messages': expected an array of objects, but got a string instead."),
    ({"model": 5}, "model", "invalid_type",
     "Invalid type for 'model': expected a string, but got an integer instead."),
    ({"model": ""}, "model", "empty_string",
     "Invalid 'model': empty string. Expected a string with minimum length 1, but got an empty string instead."),
    ({"messages": []}, "messages", "empty_array",
     "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead."),
    ({"messages": ["x"]}, "messages[0]", "invalid_type",
     "Invalid type for 'messages[0]': expected an object, but got a string instead."),
    ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role", "invalid_value",
     "Invalid value: 'king'. Supported values are: 'user' and 'tool'."),
    ({"messages": [{"content": "x"}]}, "messages[0].role", "missing_required_parameter",
     "Missing required parameter: 'messages[0].role'."),
    ({"messages": [{"role": 5}]}, "messages[0].role", "invalid_type",
     "Invalid type for 'messages[0].role': expected a string, but got an integer instead."),
    ({"messages": [{"role": []}]}, "messages[0].role", "invalid_type",
     "Invalid type for 'messages[0].role': expected a string, but got an array instead."),
    ({"messages": [USER, {"role": "user"}]}, "messages[1].content", "missing_required_parameter",
     "Missing required parameter: 'messages[1].content'."),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "invalid_type",
     "Invalid type for 'messages[0].content': expected one of a string or array of objects, "
     "but got an integer instead."),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text",
     "missing_required_parameter", "Missing required parameter: 'messages[0].content[0].text'."),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]}, "messages[0].content[0].text",
     "invalid_type", "Invalid type for 'messages[0].content[0].text': expected a string, but got an integer instead."),
    ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "messages[0].content[0].type",
     "invalid_value", "Invalid value: 'smell'. Supported values are: 'text' and 'image_url'."),
    ({"messages": [{"role": "tool", "tool": 1, "content": 5, "tool_call_id": "a"}]}, "messages[0].content",
     "invalid_type", "Invalid type for 'messages[0].content': expected a string, but got an integer instead."),
    ({"temperature": 2.5}, "temperature", "decimal_above_max_value",
     "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 2.5 instead."),
    ({"temperature": -1}, "temperature", "decimal_below_min_value",
     "Invalid 'temperature': decimal below minimum value. Expected a value >= 0, but got -1 instead."),
    ({"temperature": "hot"}, "temperature", "invalid_type",
     "Invalid type for 'temperature': expected a decimal, but got a string instead."),
    ({"n": 0}, "n", "integer_below_min_value",
     "Invalid 'n': integer below minimum value. Expected a value >= 1, but got 0 instead."),
    ({"n": 129}, "n", "integer_above_max_value",
     "Invalid 'n': integer above maximum value. Expected a value <= 128, but got 129 instead."),
    ({"n": 1.5}, "n", "invalid_type",
     "Invalid type for 'n': expected an integer, but got a decimal instead."),
    ({"n": True}, "n", "invalid_type",
     "Invalid type for 'n': expected an integer, but got a boolean instead."),
    ({"stream": "yes"}, "stream", "invalid_type",
     "Invalid type for 'stream': expected a boolean, but got a string instead."),
    ({"tools": [SPEC] * 3}, "tools", "array_above_max_length",
     "Invalid 'tools': array too long. Expected an array with maximum length 2, but got an array with "
     "length 3 instead."),
    ({"tools": [{"type": "function"}]}, "tools[0].function", "missing_required_parameter",
     "Missing required parameter: 'tools[0].function'."),
    ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name", "missing_required_parameter",
     "Missing required parameter: 'tools[0].function.name'."),
    ({"tools": [{"type": "function", "function": {"name": "F G"}}]}, "tools[0].function.name", "invalid_value",
     "Invalid 'tools[0].function.name': string does not match pattern. Expected a string that matches the "
     "pattern '^[a-z]+$'."),
    ({"tools": [{"type": "x", "function": {"name": "f"}}]}, "tools[0].type", "invalid_value",
     "Invalid value: 'x'. Supported values are: 'function'."),
    ({"tool_choice": "maybe"}, "tool_choice", "invalid_value",
     "Invalid value: 'maybe'. Supported values are: 'none' and 'auto'."),
    ({"tool_choice": 5}, "tool_choice", "invalid_type",
     "Invalid type for 'tool_choice': expected one of a string or object, but got an integer instead."),
    ({"tool_choice": {"type": "function"}}, "tool_choice.function", "missing_required_parameter",
     "Missing required parameter: 'tool_choice.function'."),
    ({"tool_choice": {"type": "function", "function": {"name": 1}}}, "tool_choice.function.name", "invalid_type",
     "Invalid type for 'tool_choice.function.name': expected a string, but got an integer instead."),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "missing_required_parameter",
     "Missing required parameter: 'response_format.json_schema'."),
    ({"response_format": {"type": "json_schema", "json_schema": 1}}, "response_format.json_schema", "invalid_type",
     "Invalid type for 'response_format.json_schema': expected an object, but got an integer instead."),
    ({"metadata": {"k": "12345"}}, "metadata.k", "string_above_max_length",
     "Invalid 'metadata.k': string too long. Expected a string with maximum length 4, but got a string with "
     "length 5 instead."),
    ({"metadata": {"k": 1}}, "metadata.k", "invalid_type",
     "Invalid type for 'metadata.k': expected a string, but got an integer instead."),
    ({"metadata": {"a": "", "b": "", "c": ""}}, "metadata", "object_above_max_properties",
     "Invalid 'metadata': too many properties. Expected an object with at most 2 properties, but got an object "
     "with 3 properties instead."),
    ({"labels": {str(k): 1 for k in range(5000)}}, "labels", "object_above_max_properties",
     "Invalid 'labels': too many properties. Expected an object with at most 4096 properties, but got an object "
     "with 5000 properties instead."),
    ({"stop": {}}, "stop", "invalid_type",
     "Invalid type for 'stop': expected one of a string or array of strings, but got an object instead."),
    ({"stop": ["a", 1]}, "stop[1]", "invalid_type",
     "Invalid type for 'stop[1]': expected a string, but got an integer instead."),
    ({"strict": {"b": 1}}, "strict.b", "unknown_parameter", "Unknown parameter: 'strict.b'."),
    ({"tier": "gold"}, "tier", "invalid_value",
     "Invalid value: 'gold'. Supported values are: 'auto' and 'default'."),
    ({"tier": 7}, "tier", "invalid_type",
     "Invalid type for 'tier': expected a string, but got an integer instead."),
    ({"user": "custom"}, "u", "odd_user", "No one here."),
    ({"user": "value"}, "user", "invalid_value", "That user is odd."),
]  # fmt: skip


def refuse(body: dict[str, Any]) -> ApiError:
    with pytest.raises(ValidationError) as caught:
        Body.model_validate(body)
    return request_error(caught.value, body, Body)


@pytest.mark.parametrize(("change", "param", "code", "message"), TABLE)
def test_a_bad_body_is_one_error_in_the_vendors_words(
    change: dict[str, Any], param: str | None, code: str, message: str
) -> None:
    error = refuse({"model": "m", "messages": [USER], **change})
    assert (error.status, error.message, error.param, error.code) == (400, message, param, code)
    assert error.type == "invalid_request_error"


def test_the_first_missing_field_is_named() -> None:
    error = refuse({})
    assert (error.param, error.code) == ("model", "missing_required_parameter")


def test_an_api_error_of_a_validator_passes_through_pydantic() -> None:
    with pytest.raises(ApiError) as caught:
        Body.model_validate({"model": "m", "messages": [USER], "user": "api"})
    assert (caught.value.status, caught.value.code) == (409, "straight")


def test_a_million_bad_items_are_one_complaint() -> None:
    many = [1] * 1_000_000
    with pytest.raises(ValidationError) as caught:
        Body.model_validate({"model": "m", "messages": many, "stop": many})
    # One for the messages, and one for each branch of `stop`.
    assert caught.value.error_count() == 3
    assert refuse({"model": "m", "messages": [USER], "stop": many}).param == "stop[0]"


def test_a_long_refused_value_is_not_repeated_whole() -> None:
    error = refuse({"model": "m", "messages": [USER], "tier": "x" * 100_000})
    assert len(error.message) < 400
