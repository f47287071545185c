"""instructor: nested pydantic models through each of its modes."""

from __future__ import annotations

import json
from typing import Literal

import instructor
from openai import OpenAI
from pydantic import BaseModel, Field


class Address(BaseModel):
    street: str
    city: str
    zip_code: str = Field(pattern=r"^\d{5}$")


class Line(BaseModel):
    product: str
    quantity: int = Field(ge=1, le=99)
    price: float = Field(gt=0)


class Invoice(BaseModel):
    """An invoice with its lines."""

    number: str
    status: Literal["open", "paid"]
    customer: Address
    lines: list[Line] = Field(min_length=1)
    note: str | None = None


ASK = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Write an invoice for two lamps, as JSON."}],
    "max_retries": 0,
}


def main() -> None:
    said: dict[str, object] = {}
    for mode in ("TOOLS", "TOOLS_STRICT", "JSON", "JSON_SCHEMA", "RESPONSES_TOOLS"):
        client = instructor.from_openai(OpenAI(), mode=instructor.Mode[mode])
        said[mode] = client.create(response_model=Invoice, **ASK).model_dump(mode="json")
    client = instructor.from_openai(OpenAI(), mode=instructor.Mode.TOOLS)
    partial = list(client.create_partial(response_model=Invoice, **ASK))
    said["partial"] = {"steps": len(partial), "last": partial[-1].model_dump(mode="json")}
    lines = list(client.create_iterable(response_model=Line, **ASK))
    said["iterable"] = [line.model_dump(mode="json") for line in lines]
    print(json.dumps(said))


main()
