"""Assistants under the vendor's SDK."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI

from fakeai_proxy.app import App
from tests.services.assistant_asking import CODE, QUIET, WEATHER, assistant
from tests.services.refusing import refused

pytestmark = QUIET


async def test_an_assistant_is_made_found_changed_and_deleted(client: AsyncOpenAI) -> None:
    assistants = client.beta.assistants
    schema = {
        "name": "answer", "strict": True,
        "schema": {
            "type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"],
            "additionalProperties": False,
        },
    }  # fmt: skip
    made = await assistants.create(
        model="gpt-4o", name="Helper", description="Helps.", instructions="Be kind.",
        tools=[CODE, WEATHER, {"type": "file_search"}], temperature=0.5, top_p=0.9,
        metadata={"a": "b"}, response_format={"type": "json_schema", "json_schema": schema},
    )  # fmt: skip
    assert made.id.startswith("asst_")
    assert (made.object, made.model, made.name, made.description) == (
        "assistant", "gpt-4o", "Helper", "Helps.",
    )  # fmt: skip
    assert (made.instructions, made.temperature, made.top_p) == ("Be kind.", 0.5, 0.9)
    assert [tool.type for tool in made.tools] == ["code_interpreter", "function", "file_search"]
    assert made.tools[1].function.parameters == WEATHER["function"]["parameters"]  # type: ignore[union-attr] # the second is a function
    assert made.response_format.json_schema.name == "answer"  # type: ignore[union-attr] # as asked for
    assert made.metadata == {"a": "b"}
    assert (await assistants.retrieve(made.id)).model_dump() == made.model_dump()
    changed = await assistants.update(made.id, name="Other", tools=[], metadata={"c": "d"})
    assert (changed.name, changed.tools, changed.metadata) == ("Other", [], {"c": "d"})
    assert (changed.instructions, changed.created_at) == (made.instructions, made.created_at)
    gone = await assistants.delete(made.id)
    assert (gone.id, gone.object, gone.deleted) == (made.id, "assistant.deleted", True)
    status, param, code, message = await refused(assistants.retrieve(made.id))
    assert (status, param, code) == (404, None, None)
    assert message == f"No assistant found with id '{made.id}'."


async def test_of_what_is_not_said_an_assistant_has_the_usual(client: AsyncOpenAI) -> None:
    made = await client.beta.assistants.create(model="gpt-4o")
    assert (made.name, made.description, made.instructions) == (None, None, None)
    assert (made.temperature, made.top_p, made.response_format) == (1.0, 1.0, "auto")
    assert (made.tools, made.metadata) == ([], {})


async def test_assistants_are_listed_in_pages_both_ways(client: AsyncOpenAI) -> None:
    ids = [await assistant(client, name=str(k)) for k in range(5)]
    assistants = client.beta.assistants
    assert [one.id async for one in assistants.list(limit=2)] == ids[::-1]
    assert [one.id async for one in assistants.list(limit=2, order="asc")] == ids
    page = await assistants.list(limit=2, order="asc", after=ids[0])
    assert ([one.id for one in page.data], page.first_id, page.last_id, page.has_more) == (
        ids[1:3], ids[1], ids[2], True,
    )  # fmt: skip
    page = await assistants.list(limit=2, order="asc", before=ids[2])
    assert [one.id for one in page.data] == ids[:2]


async def test_a_model_that_reasons_is_told_how_hard(client: AsyncOpenAI) -> None:
    made = await client.beta.assistants.create(model="o3-mini", reasoning_effort="low")
    assert made.model_extra == {"reasoning_effort": "low"}
    _, param, _, _ = await refused(
        client.beta.assistants.create(model="gpt-4o", reasoning_effort="low")
    )
    assert param == "reasoning_effort"


async def test_files_of_the_code_interpreter_are_there(client: AsyncOpenAI) -> None:
    file = await client.files.create(file=("a.csv", b"1,2"), purpose="assistants")
    resources: Any = {"code_interpreter": {"file_ids": [file.id]}}
    made = await client.beta.assistants.create(
        model="gpt-4o", tools=[CODE], tool_resources=resources
    )
    assert made.tool_resources is not None
    assert made.tool_resources.code_interpreter is not None
    assert made.tool_resources.code_interpreter.file_ids == [file.id]
    resources["code_interpreter"]["file_ids"] = ["file-none"]
    status, param, _, message = await refused(
        client.beta.assistants.create(model="gpt-4o", tool_resources=resources)
    )
    assert (status, param) == (404, "tool_resources.code_interpreter.file_ids")
    assert message == "No such File object: file-none"


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"model": "gpt-4o", "name": "n" * 257}, "name", "string_above_max_length"),
        ({"model": "gpt-4o", "description": "n" * 513}, "description", "string_above_max_length"),
        ({"model": "gpt-4o", "instructions": "n" * 256_001}, "instructions", "string_above_max_length"),
        ({"model": "gpt-4o", "tools": [CODE] * 129}, "tools", "array_above_max_length"),
        ({"model": "gpt-4o", "tools": [CODE, CODE]}, "tools[1]", "invalid_value"),
        ({"model": "gpt-4o", "tools": [{"type": "web"}]}, "tools[0].type", "invalid_value"),
        ({"model": "gpt-4o", "temperature": 2.5}, "temperature", "decimal_above_max_value"),
        ({"model": "gpt-4o", "top_p": -1}, "top_p", "decimal_below_min_value"),
        ({"model": "gpt-4o", "metadata": {"k": "v" * 513}}, "metadata.k", "string_above_max_length"),
        ({"model": "gpt-4o", "response_format": "json"}, "response_format", "invalid_value"),
        ({"model": "gpt-4o", "retrieval": 1}, "retrieval", "unknown_parameter"),
        ({}, "model", "missing_required_parameter"),
        ({"model": "gpt-none"}, None, "model_not_found"),
        ({"model": "gpt-4o", "tool_resources": {"file_search": {"vector_store_ids": ["a", "b"]}}},
         "tool_resources.file_search.vector_store_ids", "array_above_max_length"),
        ({"model": "gpt-4o", "tools": [{"type": "function", "function": {"name": "f", "strict": True,
          "parameters": {"type": "object", "properties": {}}}}]}, "tools[0].function.parameters",
         "invalid_function_parameters"),
    ],
)  # fmt: skip
async def test_an_assistant_that_cannot_be_is_refused(
    client: AsyncOpenAI, body: dict[str, Any], param: str | None, code: str
) -> None:
    headers = {"OpenAI-Beta": "assistants=v2"}
    asking = client.post("/assistants", body=body, cast_to=object, options={"headers": headers})
    status, found, said, _ = await refused(asking)
    assert (found, said) == (param, code)
    assert status == (404 if code == "model_not_found" else 400)


@pytest.mark.parametrize("path", ["/assistants", "/threads/thread_x", "/threads/thread_x/runs"])
@pytest.mark.parametrize("said", ["", "assistants=v1", "realtime=v1"])
async def test_the_version_of_the_api_has_to_be_asked_for(app: App, path: str, said: str) -> None:
    headers = {"authorization": "Bearer k"} | ({"openai-beta": said} if said else {})
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{app.url}/v1{path}", headers=headers)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_beta")
    assert "OpenAI-Beta" in error["message"]


async def test_azure_has_versions_of_its_own(app: App) -> None:
    async with openai.AsyncAzureOpenAI(
        azure_endpoint=app.url, api_key="k", api_version="2024-05-01-preview", max_retries=0,
        default_headers={"OpenAI-Beta": ""},
    ) as client:  # fmt: skip
        made = await client.beta.assistants.create(model="gpt-4o")
        assert (await client.beta.assistants.retrieve(made.id)).id == made.id
