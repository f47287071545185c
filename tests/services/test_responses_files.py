"""Files that a response is asked about by their ids."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

DATA = b"%PDF-1.4 " + b"the tenant waters the tomatoes " * 500


def asked(**part: str) -> list[Any]:
    return [{"role": "user", "content": [{"type": "input_text", "text": "Read this."}, part]}]


async def test_a_file_costs_the_same_by_its_id_as_by_its_bytes(client: AsyncOpenAI) -> None:
    kept = await client.files.create(file=("a.pdf", DATA), purpose="user_data")
    url = f"data:application/pdf;base64,{b64encode(DATA).decode()}"
    along = asked(type="input_file", file_data=url, filename="a.pdf")
    named = asked(type="input_file", file_id=kept.id)
    costs = []
    for given in (along, named):
        answer = await client.responses.create(model="gpt-4o", input=given)
        assert answer.usage is not None
        costs.append(answer.usage.input_tokens)
    counted = await client.responses.input_tokens.count(model="gpt-4o", input=named)
    assert costs == [counted.input_tokens] * 2
    # What the client sees of its input is what it sent.
    (item,) = [one async for one in client.responses.input_items.list(answer.id)]
    assert item.content[1].file_id == kept.id  # type: ignore[union-attr]  # a message
    await client.files.delete(kept.id)
    later = await client.responses.create(
        model="gpt-4o", input="And then?", previous_response_id=answer.id
    )
    assert later.usage is not None
    assert later.usage.input_tokens > costs[0]


@pytest.mark.parametrize("kind", ["input_file", "input_image"])
async def test_a_file_that_is_not_there_is_not_found(client: AsyncOpenAI, kind: str) -> None:
    with pytest.raises(openai.NotFoundError, match="No such File object: file-none") as caught:
        await client.responses.create(model="gpt-4o", input=asked(type=kind, file_id="file-none"))
    assert caught.value.param == "input[0].content[1].file_id"
