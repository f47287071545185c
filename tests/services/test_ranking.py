"""Ranking in NVIDIA's and in vLLM's shape."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from fakeai_proxy.app import App
from fakeai_proxy.generate.tokens import Tokens
from tests.conftest import Ended, Serve

NVIDIA = "nvidia/llama-3.2-nv-rerankqa-1b-v2"
QWEN = "Qwen/Qwen3-Reranker-0.6B"
QUERY = "How do I bake bread at home?"
PASSAGES = [
    "The stock market closed higher on Tuesday.",
    "Knead the dough, let it rise, and bake the loaf in a hot oven.",
    "A sourdough bread for home bakers.",
    "Lighthouses are built of stone.",
]


@pytest.fixture
async def http(app: App) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=app.url, headers={"authorization": "Bearer k"}, timeout=30
    ) as client:
        yield client


async def post(http: httpx.AsyncClient, path: str, **body: Any) -> Any:
    answer = await http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_passages_are_ranked_by_what_they_mean(http: httpx.AsyncClient) -> None:
    body = {"query": {"text": QUERY}, "passages": [{"text": text} for text in PASSAGES]}
    answers = [
        await post(http, "/v1/ranking", model=NVIDIA, **body),
        await post(http, "/v1/retrieval/nvidia/reranking", model=NVIDIA, **body),
        await post(
            http, "/v1/retrieval/nvidia/llama-3_2-nv-rerankqa-1b-v2/reranking", model=NVIDIA, **body
        ),
    ]
    assert answers[0] == answers[1] == answers[2]
    ranked = answers[0]["rankings"]
    assert {entry["index"] for entry in ranked[:2]} == {1, 2}
    assert sorted(entry["index"] for entry in ranked) == [0, 1, 2, 3]
    logits = [entry["logit"] for entry in ranked]
    assert logits == sorted(logits, reverse=True)
    assert logits[1] - logits[2] > 1
    words = Tokens.load("llama3")
    count = sum(words.count(QUERY) + words.count(text) for text in PASSAGES)
    assert answers[0]["usage"] == {"prompt_tokens": count, "total_tokens": count}


@pytest.mark.parametrize("kind", ["hashed", "semantic"])
async def test_both_kinds_of_vectors_rank_by_meaning(serve: Serve, kind: str) -> None:
    app = await serve(mode="synth", embedder=kind)
    body = {"query": {"text": QUERY}, "passages": [{"text": text} for text in PASSAGES]}
    async with httpx.AsyncClient(base_url=app.url, headers={"authorization": "Bearer k"}) as http:
        ranked = (await post(http, "/v1/ranking", model=NVIDIA, **body))["rankings"]
        assert {entry["index"] for entry in ranked[:2]} == {1, 2}
        assert ranked[1]["logit"] - ranked[2]["logit"] > 1
        long = {**body, "model": NVIDIA, "query": {"text": "bread " * 9000}}
        refused = await http.post("/v1/ranking", json=long)
    assert refused.json()["error"]["message"].startswith("Input length 9")
    assert refused.json()["error"]["message"].endswith("exceeds maximum allowed token size 8192")


@pytest.mark.parametrize("dialect", ["nim", "nvidia"])
async def test_nvidias_errors_come_in_its_envelope(serve: Serve, dialect: str) -> None:
    app = await serve(mode="synth", dialect=dialect)
    async with httpx.AsyncClient(base_url=app.url, headers={"authorization": "Bearer k"}) as http:
        for body in ({"model": NVIDIA}, {"model": NVIDIA, "query": {"text": "a"}, "passages": []}):
            answer = await http.post("/v1/ranking", json=body)
            assert answer.status_code in (400, 422)
            told = answer.json()
            if dialect == "nvidia":
                assert {"status", "title", "detail"} <= set(told)
            else:
                assert (told["object"], told["code"]) == ("error", 400)


async def test_documents_are_reranked_as_vllm_does(http: httpx.AsyncClient) -> None:
    body = {"model": QWEN, "query": QUERY, "documents": [*PASSAGES[:3], {"text": PASSAGES[3]}]}
    for path in ("/v1/rerank", "/rerank", "/v2/rerank"):
        answer = await post(http, path, **body)
        assert set(answer) == {"id", "model", "usage", "results"}
        assert answer["id"].startswith("rerank-")
        results = answer["results"]
        assert {entry["index"] for entry in results[:2]} == {1, 2}
        for entry in results:
            assert entry["document"] == {"text": PASSAGES[entry["index"]]}
            assert 0 < entry["relevance_score"] < 1
    top = await post(http, "/rerank", **body, top_n=1)
    assert top["results"] == results[:1]


async def test_pairs_are_scored(http: httpx.AsyncClient) -> None:
    answer = await post(http, "/v1/score", model=QWEN, text_1=QUERY, text_2=PASSAGES)
    scores = [entry["score"] for entry in answer["data"]]
    assert [entry["index"] for entry in answer["data"]] == [0, 1, 2, 3]
    assert min(scores[1:3]) > max(scores[0], scores[3])
    each = await post(http, "/score", model=QWEN, text_1=PASSAGES, text_2=PASSAGES)
    assert all(entry["score"] > 0.999 for entry in each["data"])
    one = await post(http, "/score", model="Qwen/Qwen3-Embedding-0.6B", text_1="a", text_2="a")
    assert len(one["data"]) == 1


async def test_what_is_too_long_is_refused_or_cut(http: httpx.AsyncClient) -> None:
    long = "bread " * 9000
    body: dict[str, Any] = {
        "model": NVIDIA, "query": {"text": QUERY}, "passages": [{"text": "a"}, {"text": long}],
    }  # fmt: skip
    refused = await http.post("/v1/ranking", json=body)
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "passages[1]"
    cut = await post(http, "/v1/ranking", **body, truncate="END")
    assert cut["usage"]["prompt_tokens"] < 8192 + 20
    short = await post(
        http, "/rerank", model=QWEN, query=QUERY, documents=[long], truncate_prompt_tokens=20
    )
    assert short["usage"]["total_tokens"] == 20


async def test_a_fleet_reads_each_pair(serve: Serve) -> None:
    ended = Ended()
    app = await serve(mode="synth", profile="quick", observer=ended)
    async with httpx.AsyncClient(
        base_url=app.url, headers={"authorization": "Bearer k"}, timeout=30
    ) as http:
        await post(http, "/rerank", model=QWEN, query=QUERY, documents=PASSAGES)
    (exchange,) = ended.exchanges
    assert exchange.reply is not None
    assert exchange.reply.workload is not None
    assert [part.output_tokens for part in exchange.reply.workload.parts] == [0] * 4
    assert exchange.admission.worker


NESTED: Any = [{"text": {"text": "a"}}]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/ranking", {}, 400),
        ("/v1/ranking", {"query": {"text": "a"}, "passages": [{"text": "a"}]}, 400),
        ("/v1/ranking", {"model": "none", "query": {"text": "a"}, "passages": [{"text": "a"}]}, 404),
        ("/v1/ranking", {"model": "gpt-4o", "query": {"text": "a"}, "passages": [{"text": "a"}]}, 404),
        ("/v1/ranking", {"model": NVIDIA, "query": "a", "passages": [{"text": "a"}]}, 400),
        ("/v1/ranking", {"model": NVIDIA, "query": {"text": "a"}, "passages": []}, 400),
        ("/v1/ranking", {"model": NVIDIA, "query": {"text": "a"}, "passages": NESTED}, 400),
        ("/v1/ranking", {"model": NVIDIA, "query": {"text": "a"}, "passages": [{"text": "a"}] * 513}, 400),
        ("/v1/ranking",
         {"model": NVIDIA, "query": {"text": "a"}, "passages": [{"text": "a"}], "truncate": "MIDDLE"}, 400),
        ("/rerank", {"model": QWEN, "query": "a", "documents": "a"}, 400),
        ("/rerank", {"model": QWEN, "query": "a", "documents": [1]}, 400),
        ("/rerank", {"model": QWEN, "query": "a", "documents": ["a"], "top_n": -1}, 400),
        ("/rerank", {"model": QWEN, "query": "a", "documents": ["a"], "colour": 1}, 400),
        ("/score", {"model": QWEN, "text_1": ["a", "b"], "text_2": ["a", "b", "c"]}, 400),
        ("/score", {"model": QWEN, "text_1": [], "text_2": "a"}, 400),
    ],
)  # fmt: skip
async def test_what_cannot_be_ranked_is_refused(
    http: httpx.AsyncClient, path: str, body: dict[str, Any], status: int
) -> None:
    answer = await http.post(path, json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]


async def test_empty_texts_are_texts(http: httpx.AsyncClient) -> None:
    answer = await post(http, "/rerank", model=QWEN, query="", documents=["", "a"])
    assert len(answer["results"]) == 2
