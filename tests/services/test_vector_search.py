"""Search in vector stores: what is found, by what, and how the request may say it."""

from __future__ import annotations

import io
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI

from fakeai_proxy.generate import retrieval, semantic
from fakeai_proxy.generate.embedders import Kind
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services.vector_stores import pack
from fakeai_proxy.services.vector_stores.chunking import AUTO, Strategy, chunks
from fakeai_proxy.services.vector_stores.filters import Comparison, Compound, matches
from fakeai_proxy.services.vector_stores.index import Index, Query
from fakeai_proxy.services.vector_stores.searching import WEIGHTS
from tests.conftest import Serve, serving
from tests.services.stored_files import stocked

DATA = Path(__file__).parent.parent / "data" / "retrieval"
TEXTS = {
    "ferry.md": "The ferry to the island leaves at six in the morning.",
    "dogs.md": "Dogs are welcome on board if they are kept on a leash.",
    "tea.md": "Tea and cake are served in the saloon from three o'clock.",
    "ref.md": "Form KX-4471 is handed in at the purser's desk.",
}
ATTRIBUTES: dict[str, dict[str, Any]] = {
    "ferry.md": {"year": 2023, "lang": "en", "draft": False, "rate": 1.5},
    "dogs.md": {"year": 2024, "lang": "de", "draft": True},
    "tea.md": {"year": 2025, "lang": "en", "draft": False},
    "ref.md": {},
}


async def test_the_question_finds_the_chunk_that_answers_it(client: AsyncOpenAI) -> None:
    store_id, ids = await stocked(client, TEXTS, ATTRIBUTES)
    for query, name in (
        ("When does the boat depart?", "ferry.md"), ("May I bring my puppy?", "dogs.md"),
        ("Where do I get something to drink?", "tea.md"), ("KX-4471", "ref.md"),
    ):  # fmt: skip
        found = await client.vector_stores.search(store_id, query=query)
        best = found.data[0]
        assert (best.filename, best.file_id) == (name, ids[name]), query
        assert best.content[0].text == TEXTS[name]
        assert best.attributes == ATTRIBUTES[name]
        scores = [hit.score for hit in found.data]
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)
        assert len(scores) == 4


async def test_several_queries_are_searched_at_once(client: AsyncOpenAI) -> None:
    store_id, _ = await stocked(client, TEXTS)
    asked = ["When does the ferry leave?", "Are dogs allowed?"]
    found = await client.vector_stores.search(store_id, query=asked, max_num_results=2)
    assert {hit.filename for hit in found.data} == {"ferry.md", "dogs.md"}
    raw = await client.post(
        f"/vector_stores/{store_id}/search", cast_to=object,
        body={"query": asked, "rewrite_query": True},
    )  # fmt: skip
    assert isinstance(raw, dict)
    assert raw["search_query"] == ["ferry leave", "dogs allowed"]
    assert (raw["object"], raw["has_more"], raw["next_page"]) == (
        "vector_store.search_results.page", False, None,
    )  # fmt: skip


def compare(kind: str, key: str, value: Any) -> dict[str, Any]:
    return {"type": kind, "key": key, "value": value}


FILTERS: list[tuple[dict[str, Any], str]] = [
    (compare("eq", "lang", "en"), "ferry tea"),
    (compare("ne", "lang", "en"), "dogs ref"),
    (compare("eq", "draft", True), "dogs"),
    (compare("eq", "draft", 1), ""),
    (compare("eq", "rate", 1.5), "ferry"),
    (compare("gt", "year", 2023), "dogs tea"),
    (compare("gte", "year", 2023.0), "ferry dogs tea"),
    (compare("lt", "year", 2024), "ferry"),
    (compare("lte", "lang", "de"), "dogs"),
    (compare("lt", "lang", 5), ""),
    (compare("in", "year", [2023, 2025]), "ferry tea"),
    (compare("nin", "lang", ["en", "fr"]), "dogs ref"),
    ({"type": "and", "filters": [compare("eq", "lang", "en"), compare("gt", "year", 2024)]}, "tea"),
    ({"type": "or", "filters": [
        compare("eq", "lang", "de"),
        {"type": "and", "filters": [compare("eq", "lang", "en"), compare("lt", "year", 2024)]},
    ]}, "dogs ferry"),
]  # fmt: skip


async def test_filters_choose_the_files(client: AsyncOpenAI) -> None:
    store_id, _ = await stocked(client, TEXTS, ATTRIBUTES)
    for asked, names in FILTERS:
        found = await client.vector_stores.search(store_id, query="ferry", filters=asked)  # type: ignore[arg-type]  # a table of them
        left = sorted(hit.filename.removesuffix(".md") for hit in found.data)
        assert left == sorted(names.split()), asked


async def test_ranking_is_as_the_request_says(client: AsyncOpenAI) -> None:
    store_id, _ = await stocked(client, TEXTS)
    search = client.vector_stores.search
    query = "When does the ferry leave?"
    everything = (await search(store_id, query=query)).data
    least = everything[1].score
    some = await search(store_id, query=query, ranking_options={"score_threshold": least})
    assert [hit.filename for hit in some.data] == [hit.filename for hit in everything[:2]]
    assert len((await search(store_id, query=query, max_num_results=1)).data) == 1
    words: Any = {"hybrid_search": {"embedding_weight": 0, "text_weight": 1}}
    by_words = (await search(store_id, query="KX-4471", ranking_options=words)).data
    assert by_words[0].filename == "ref.md"
    assert [hit.score for hit in by_words[1:]] == [0, 0, 0]
    plain = (await search(store_id, query="KX-4471", ranking_options={"ranker": "none"})).data
    assert plain[0].score != by_words[0].score


BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "query"),
    ({"query": ""}, "query"),
    ({"query": []}, "query"),
    ({"query": "x", "max_num_results": 0}, "max_num_results"),
    ({"query": "x", "max_num_results": 51}, "max_num_results"),
    ({"query": "x", "limit": 3}, "limit"),
    ({"query": "x", "filters": {"type": "like", "key": "k", "value": 1}}, "filters.type"),
    ({"query": "x", "filters": {"type": "eq", "key": "k"}}, "filters.value"),
    ({"query": "x", "filters": compare("in", "k", 1)}, "filters.value"),
    ({"query": "x", "filters": compare("eq", "k", [1])}, "filters.value"),
    ({"query": "x", "filters": compare("gt", "k", True)}, "filters.value"),
    ({"query": "x", "filters": {"type": "and", "filters": [compare("in", "k", 1)]}},
     "filters.filters[0].value"),
    ({"query": "x", "ranking_options": {"ranker": "best"}}, "ranking_options.ranker"),
    ({"query": "x", "ranking_options": {"score_threshold": 1.1}}, "ranking_options.score_threshold"),
    ({"query": "x", "ranking_options": {"hybrid_search": {"embedding_weight": 0, "text_weight": 0}}},
     "ranking_options.hybrid_search"),
]  # fmt: skip


async def test_a_bad_search_is_refused_by_name(client: AsyncOpenAI) -> None:
    store = await client.vector_stores.create(name="x")
    for body, param in BAD:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.post(f"/vector_stores/{store.id}/search", cast_to=object, body=body)
        assert caught.value.param == param, body


async def test_another_embedder_reads_what_the_first_one_wrote(
    serve: Serve, tmp_path: Path
) -> None:
    """Vectors of one space say nothing in another: they are made anew of the texts."""
    settings: dict[str, Any] = {"mode": "synth", "data": str(tmp_path), "store": "sqlite"}
    async with serving(embedder="semantic", **settings) as app, connected(app.url) as client:
        store_id, _ = await stocked(client, TEXTS)
    app = await serve(embedder="hashed", **settings)
    async with connected(app.url) as client:
        found = await client.vector_stores.search(store_id, query="When does the ferry leave?")
        assert found.data[0].filename == "ferry.md"


def connected(url: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=url + "/v1", api_key="k", max_retries=0)


# --- how well --------------------------------------------------------------------------------------


def corpus() -> list[dict[str, str]]:
    with (DATA / "corpus.toml").open("rb") as file:
        documents: list[dict[str, str]] = tomllib.load(file)["document"]
    return documents


def questions() -> list[dict[str, str]]:
    with (DATA / "questions.toml").open("rb") as file:
        found: list[dict[str, str]] = tomllib.load(file)["question"]
    return found


def recall(
    kind: Kind, most: int, strategy: Strategy = AUTO, weights: tuple[float, float] | None = None
) -> float:
    """The share of the questions whose answer is in one of the `most` best chunks."""
    texts = {each["name"]: chunks(each["text"].strip(), strategy) for each in corpus()}
    packs = {
        name: pack.read(io.BytesIO(b"".join(pack.packed(said, kind))), kind)
        for name, said in texts.items()
    }
    index, hits = Index().and_also(packs), 0
    asked = questions()
    for question in asked:
        text = question["ask"]
        vector = retrieval.vectors([text], kind)[0]
        query = Query(vector, retrieval.terms(text), *(weights or WEIGHTS[kind]))
        hits += any(
            found.file == question["document"]
            and question["says"] in texts[found.file][found.chunk]
            for found in index.search(query, most)
        )
    return hits / len(asked)


def test_the_questions_are_answered_by_the_corpus_and_rarely_in_its_words() -> None:
    texts = {each["name"]: " ".join(each["text"].split()) for each in corpus()}
    assert len(texts) >= 40
    assert len(questions()) >= 60
    shared = 0
    for question in questions():
        assert question["says"] in texts[question["document"]], question
        said = set(retrieval.terms(question["says"]))
        shared += bool(said & set(retrieval.terms(question["ask"])))
    assert shared < len(questions()) / 3


@pytest.mark.skipif(not semantic.is_installed(), reason="the extra `semantic` is not installed")
def test_nine_of_ten_paraphrased_questions_find_their_answer_among_five() -> None:
    assert recall("semantic", 5) >= 0.9
    # Words beside the meaning bring answers nearer to the top, and lose none.
    assert recall("semantic", 3) > recall("semantic", 3, weights=(1.0, 0.0))
    assert recall("semantic", 10) > recall("semantic", 10, weights=(1.0, 0.0))


def test_without_the_extra_words_and_synonyms_find_half_of_them() -> None:
    assert recall("hashed", 5) >= 0.45
    assert recall("hashed", 5) > 2 * recall("hashed", 5, weights=(1.0, 0.0))


# --- the index against a plain one -----------------------------------------------------------------

WORDS = ["tea", "dog", "boat", "island", "cake", "leash", "morning", "desk", "form", "saloon"]


def scores_at_once(texts: dict[str, list[str]], query: Query) -> dict[tuple[str, int], float]:
    index = Index().and_also({name: packed(said) for name, said in texts.items()})
    return {(each.file, each.chunk): each.score for each in index.search(query, 10_000)}


def packed(said: list[str]) -> pack.Pack:
    return pack.read(io.BytesIO(b"".join(pack.packed(said, "hashed"))), "hashed")


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_an_index_that_grew_and_shrank_is_as_one_made_at_once(data: st.DataObject) -> None:
    draw: Callable[..., Any] = data.draw
    said = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join)
    index, texts = Index(), dict[str, list[str]]()
    for step in range(draw(st.integers(1, 6))):
        gone = frozenset(draw(st.sets(st.sampled_from(sorted(texts) or ["-"]), max_size=2)))
        added = {
            f"f{step}{k}": draw(st.lists(said, min_size=1, max_size=3))
            for k in range(draw(st.integers(0, 3)))
        }
        index = index.without(gone).and_also({name: packed(each) for name, each in added.items()})
        texts = {name: each for name, each in texts.items() if name not in gone} | added
    assert index.files == set(texts)
    assert index.chunks == sum(map(len, texts.values()))
    asked = draw(said)
    query = Query(retrieval.vectors([asked], "hashed")[0], retrieval.terms(asked), 1.0, 2.0)
    found = index.search(query, 10_000)
    scores = {(each.file, each.chunk): each.score for each in found}
    assert len(scores) == len(found) == index.chunks
    # Sums in another order end otherwise in the last digit.
    assert scores == pytest.approx(scores_at_once(texts, query), abs=2e-4)
    some = frozenset(sorted(texts)[::2])
    only = [each for each in found if each.file in some]
    assert index.search(query, 10_000, some) == only
    # Of equals, any.
    few = [each.score for each in index.search(query, 2, some)]
    assert few == [each.score for each in only[:2]]


@settings(deadline=None)
@given(st.text(max_size=2000), st.integers(1, 40), st.integers(0, 20))
def test_chunks_lose_nothing_and_are_no_longer_than_asked(
    text: str, size: int, overlap: int
) -> None:
    text = text.encode("utf-8", "replace").decode()
    apart = chunks(text, Strategy(size, 0))
    assert "".join("".join(apart).split()) == "".join(text.split())
    words = Tokens.load("o200k_base")
    shared = chunks(text, Strategy(size, min(overlap, size // 2)))
    for chunk in shared:
        assert chunk in text
        assert (
            len(chunk) <= max((len(piece) for piece in words.span(text).pieces), default=0) * size
        )
    assert len(shared) >= len(apart) or not overlap


@given(st.data())
def test_a_filter_and_its_opposite_part_the_files(data: st.DataObject) -> None:
    value = st.one_of(st.text(max_size=2), st.integers(-2, 2), st.booleans(), st.just(0.5))
    attributes = data.draw(st.dictionaries(st.sampled_from("ab"), value))
    key, wanted = data.draw(st.sampled_from("ab")), data.draw(value)
    for one, other in (("eq", "ne"), ("in", "nin")):
        given_value: Any = [wanted] if one == "in" else wanted
        same = [
            matches(Comparison(type=each, key=key, value=given_value), attributes)
            for each in (one, other)
        ]  # type: ignore[arg-type]  # names of a table
        assert same[0] != same[1]
    both = Compound(type="and", filters=[])
    assert matches(both, attributes)
    assert not matches(both.model_copy(update={"type": "or"}), attributes)
