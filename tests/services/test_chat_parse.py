"""`client.chat.completions.parse` with pydantic models of many kinds: whatever the SDK makes of one is
accepted, and what is answered is one."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import openai
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel, ConfigDict, Field

from tests.services.asking import ASK, count


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 5


class Tree(BaseModel):
    name: str
    children: list[Tree]


class Linked(BaseModel):
    value: int
    next: Linked | None


class Kinds(BaseModel):
    colour: Colour
    level: Level
    flag: bool
    only: Literal["this"]
    one_of: Literal["a", "b", 3]
    maybe: str | None
    number: int | float
    pair: Tree | Linked


class Ranges(BaseModel):
    percent: Annotated[float, Field(ge=0, le=1)]
    even: Annotated[int, Field(multiple_of=2, gt=10, lt=20)]
    few: Annotated[list[int], Field(min_length=2, max_length=3)]
    code: Annotated[str, Field(pattern=r"^[A-Z]{3}-\d{4}$")]


class Formats(BaseModel):
    day: date
    at: datetime
    clock: time
    lasts: timedelta
    id: UUID


class Named(BaseModel):
    """Described, with titles and aliases."""

    model_config = ConfigDict(title="A named thing", populate_by_name=True)

    first_name: str = Field(alias="firstName", description="Given name", title="First")
    price: Decimal


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str]


class Pets(BaseModel):
    pets: list[Cat | Dog]
    best: Annotated[Cat | Dog, Field(description="The best of them")]


class Deep(BaseModel):
    class Inner(BaseModel):
        class Innermost(BaseModel):
            leaf: Colour

        innermost: Innermost
        again: Innermost | None

    inner: Inner
    table: list[list[Inner]]


class Empty(BaseModel):
    pass


MODELS = [Tree, Linked, Kinds, Ranges, Formats, Named, Pets, Deep, Empty]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
async def test_a_model_is_answered_with_one_of_it(
    client: AsyncOpenAI, model: type[BaseModel]
) -> None:
    for seed in range(4):
        answer = await client.chat.completions.parse(
            model="gpt-4o", messages=ASK, response_format=model, seed=seed
        )
        message = answer.choices[0].message
        assert isinstance(message.parsed, model)
        assert answer.usage is not None
        assert answer.usage.completion_tokens == count(message.content or "")
    async with client.chat.completions.stream(
        model="gpt-4o", messages=ASK, response_format=model, seed=3
    ) as stream:
        final = await stream.get_final_completion()
    assert final.choices[0].message.parsed == message.parsed


@pytest.mark.parametrize("model", [Tree, Kinds, Pets], ids=lambda model: model.__name__)
async def test_a_model_is_a_tools_arguments(client: AsyncOpenAI, model: type[BaseModel]) -> None:
    answer = await client.chat.completions.parse(
        model="gpt-4o", messages=ASK, tools=[openai.pydantic_function_tool(model)],
        tool_choice="required",
    )  # fmt: skip
    (call,) = answer.choices[0].message.tool_calls or ()
    assert isinstance(call.function.parsed_arguments, model)


async def test_a_plain_dictionary_is_no_strict_schema(client: AsyncOpenAI) -> None:
    class Loose(BaseModel):
        anything: dict[str, Any]

    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.parse(model="gpt-4o", messages=ASK, response_format=Loose)
    assert caught.value.code == "invalid_json_schema"
    assert "'additionalProperties' is required to be supplied and to be false" in str(caught.value)
