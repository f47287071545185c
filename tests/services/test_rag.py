"""Solido RAG: the answer is made of what was retrieved."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI

from fakeai_proxy.app import App
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services.rag.retrieval import matches, shipped_corpus, shipped_documents
from tests.conftest import Serve
from tests.services.stored_files import stocked
from tests.services.threaded import threaded_app

PATH = "/rag/api/prompt"
SDE = {"family": "Solido", "tool": "SDE"}
HEADERS = {"authorization": "Bearer k"}


@pytest.fixture
async def http(app: App) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=app.url, headers=HEADERS, timeout=30) as made:
        yield made


async def prompt(http: httpx.AsyncClient, query: Any, **extra: Any) -> Any:
    answer = await http.post(PATH, json={"query": query, **extra})
    assert answer.status_code == 200, answer.text
    return answer.json()


def frames(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


@pytest.mark.parametrize("kind", ["hashed", "semantic"])
@pytest.mark.parametrize(
    ("query", "chapter"),
    [
        ("How do I set up a PVTMC run?", "PVTMC"),
        ("How do I sweep a variable over a range?", "Sweeps"),
        ("Which simulator runs my simulations?", "Simulation"),
        ("What does a report contain?", "Reports"),
        ("random samples and yield with a fixed seed", "Monte Carlo"),
    ],
)
async def test_the_answer_says_what_the_nearest_document_says(
    serve: Serve, kind: str, query: str, chapter: str
) -> None:
    app = await serve(mode="synth", embedder=kind)
    async with httpx.AsyncClient(base_url=app.url, headers=HEADERS, timeout=30) as http:
        answer = await prompt(http, query, filters=SDE)
    best, *others = answer["retrieved_docs"]
    assert best["metadata"]["chapter"] == chapter
    assert len(others) == 4
    scores = [document["score"] for document in answer["retrieved_docs"]]
    assert scores == sorted(scores, reverse=True)
    said = answer["content"].split(" [")[0]
    assert said
    assert all(part in best["content"] for part in re.split(r"(?<=\.) ", said))
    assert f"[{best['source']}]" in answer["content"]


async def test_an_answer_has_the_shape_of_the_service_and_counts_its_tokens(
    http: httpx.AsyncClient,
) -> None:
    query = ["What is a corner?", "And Monte Carlo?"]
    answer = await prompt(http, query, filters=SDE, top_k=3)
    assert set(answer) == {"content", "retrieved_docs", "sources", "usage"}
    documents = answer["retrieved_docs"]
    assert len(documents) == 3
    for document in documents:
        assert set(document) == {"id", "content", "score", "metadata", "source"}
        assert re.fullmatch(r"doc-[0-9a-f]{8}", document["id"])
        assert 0 <= document["score"] <= 1
        assert SDE.items() <= document["metadata"].items()
    words = Tokens.load("llama3")
    read = "\n\n".join([*(document["content"] for document in documents), "\n".join(query)])
    usage = answer["usage"]
    assert usage["prompt_tokens"] == words.count(read)
    assert usage["completion_tokens"] == words.count(answer["content"]) <= 200
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert await prompt(http, query, filters=SDE, top_k=3) == answer


async def test_filters_choose_documents(http: httpx.AsyncClient) -> None:
    other = await prompt(http, "timing tables", filters={"tool": "characterizer"}, top_k=20)
    assert {one["metadata"]["tool"] for one in other["retrieved_docs"]} == {"Characterizer"}
    both = await prompt(http, "corner", filters={"tool": ["SDE", "Characterizer"]}, top_k=20)
    assert len(both["retrieved_docs"]) == len(shipped_documents())
    assert len((await prompt(http, "corner"))["retrieved_docs"]) == 5
    none = await prompt(http, "corner", filters={"family": "Elsewhere"})
    assert none["retrieved_docs"] == none["sources"] == []
    assert "None of the documents" in none["content"]


async def test_an_answer_ends_at_its_limit(http: httpx.AsyncClient) -> None:
    answer = await prompt(http, "corner", max_tokens=7)
    assert (
        answer["usage"]["completion_tokens"] == Tokens.load("llama3").count(answer["content"]) == 7
    )


@settings(max_examples=20, deadline=None)
@given(
    st.text(min_size=1, max_size=60),
    st.integers(1, 20),
    st.sampled_from([None, SDE, {"tool": "Characterizer"}, {"family": "none"}]),
    st.none() | st.integers(1, 400),
)
def test_the_stream_is_the_answer(
    both: Any, query: str, top_k: int, filters: Any, limit: int | None
) -> None:
    body = {"query": query, "top_k": top_k, "filters": filters, "max_tokens": limit}
    whole, streamed = both(body)
    assert "".join(frame["content"] for frame in streamed) == whole["content"]
    assert len(streamed) == whole["usage"]["completion_tokens"] + 1
    assert streamed[0]["retrieved_docs"] == whole["retrieved_docs"]
    assert streamed[0]["sources"] == whole["sources"]
    assert streamed[-1] == {"content": "", "usage": whole["usage"]}
    assert len(whole["retrieved_docs"]) <= top_k


@pytest.fixture(scope="module")
def both() -> Any:
    with threaded_app() as url, httpx.Client(base_url=url, headers=HEADERS, timeout=30) as http:

        def ask(body: dict[str, Any]) -> tuple[Any, list[Any]]:
            whole = http.post(PATH, json=body)
            streamed = http.post(PATH, json={**body, "stream": True})
            assert streamed.headers["content-type"].startswith("text/event-stream")
            return whole.json(), frames(streamed.text)

        yield ask


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({}, 400, "query"),
        ({"query": ""}, 400, "query"),
        ({"query": []}, 400, "query"),
        ({"query": [""]}, 400, "query[0]"),
        ({"query": 5}, 400, "query"),
        ({"query": ["a"] * 65}, 400, "query"),
        ({"query": "a", "filters": "Solido"}, 400, "filters"),
        ({"query": "a", "filters": {"tool": {"a": 1}}}, 400, None),
        ({"query": "a", "filters": {str(k): 1 for k in range(33)}}, 400, "filters"),
        ({"query": "a", "top_k": 0}, 400, "top_k"),
        ({"query": "a", "top_k": 21}, 400, "top_k"),
        ({"query": "a", "top_k": "5"}, 400, "top_k"),
        ({"query": "a", "stream": "yes"}, 400, "stream"),
        ({"query": "a", "max_tokens": 0}, 400, "max_tokens"),
        ({"query": "a", "colour": 1}, 400, "colour"),
        ({"query": "a", "inference_model": "nobody"}, 404, None),
        ({"query": "a", "inference_model": "text-embedding-3-small"}, 404, "model"),
        ({"query": "word " * 140_000}, 400, "query"),
    ],
)
async def test_what_cannot_be_answered_is_refused(
    http: httpx.AsyncClient, body: dict[str, Any], status: int, param: str | None
) -> None:
    answer = await http.post(PATH, json=body)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["message"]
    if param is not None:
        assert error["param"] == param


def test_a_filter_is_a_value_or_a_list_of_them() -> None:
    assert matches({"a": "X", "n": 3}, {})
    assert matches({"a": "X", "n": 3}, {"a": "x", "n": [2, 3]})
    assert not matches({"a": "X"}, {"a": "y"})
    assert not matches({"a": "X"}, {"b": "x"})
    found = shipped_corpus("hashed").retrieve("sweep", {"tool": "SDE"}, 2)
    assert [one.document.metadata["tool"] for one in found] == ["SDE", "SDE"]


async def test_vector_stores_may_stand_in_for_the_manual(http: httpx.AsyncClient, app: App) -> None:
    async with AsyncOpenAI(base_url=app.url + "/v1", api_key="k", max_retries=0) as client:
        texts = {"ferry.md": "The ferry leaves at six.", "tea.md": "Tea is served at three."}
        store_id, ids = await stocked(client, texts, {"tea.md": {"room": "saloon"}})
    stores = {"vector_store_ids": [store_id]}
    told = await prompt(http, "When does the boat depart?", **stores)
    assert told["content"].startswith("The ferry leaves at six. [ferry.md]")
    best = told["retrieved_docs"][0]
    assert (best["id"], best["source"]) == (f"{ids['ferry.md']}-0", "ferry.md")
    assert best["content"] == texts["ferry.md"]
    for wanted in ("saloon", ["saloon", "deck"]):
        told = await prompt(http, "When is tea?", filters={"room": wanted}, **stores)
        assert [each["source"] for each in told["retrieved_docs"]] == ["tea.md"]
    answer = await http.post(PATH, json={"query": "x", "vector_store_ids": ["vs_none"]})
    assert answer.status_code == 404
    assert "Vector store with id [vs_none] not found." in answer.text
