"""Azure's text generation."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from fakeai_proxy.app import App
from tests.services.asking import count

INPUT = "Write about lighthouse keepers."


async def generate(app: App, **body: Any) -> httpx.Response:
    given = {"model": "gpt-4o", "input": INPUT, **body}
    async with httpx.AsyncClient(base_url=app.url, headers={"api-key": "k"}) as http:
        return await http.post("/v1/text/generation", json=given)


async def test_an_input_has_an_output(app: App) -> None:
    answer = (await generate(app)).json()
    assert set(answer) == {"id", "created", "output", "model", "usage"}
    assert answer["id"].startswith("txtgen-")
    assert len(answer["id"]) == len("txtgen-") + 32
    assert "lighthouse keepers" in answer["output"]
    usage = answer["usage"]
    assert usage["prompt_tokens"] == count(INPUT)
    assert usage["completion_tokens"] == count(answer["output"]) <= 100
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    again = (await generate(app)).json()
    assert again["output"] == answer["output"]
    assert again["id"] != answer["id"]


async def test_it_is_as_long_as_it_may_be(app: App) -> None:
    answer = (await generate(app, max_output_tokens=7)).json()
    assert answer["usage"]["completion_tokens"] == count(answer["output"]) == 7
    stopped = (await generate(app, stop=[" "])).json()
    assert " " not in stopped["output"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"input": ""}, 400), ({"input": ["a"]}, 400), ({"model": None}, 400), ({"model": "x"}, 404),
        ({"model": "text-embedding-3-small"}, 404), ({"max_output_tokens": 0}, 400),
        ({"temperature": 9}, 400), ({"stop": "a"}, 400), ({"colour": 1}, 400),
        ({"input": "a " * 200_000}, 400),
    ],
)  # fmt: skip
async def test_bad_input_is_refused(app: App, body: dict[str, Any], status: int) -> None:
    answer = await generate(app, **body)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]
