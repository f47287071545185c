"""The file_search tool of the Responses API: its answers come from the files."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.services.stored_files import docx, pdf, stocked, uploaded
from tests.services.test_responses import kinds, told

TEXTS: dict[str, str | bytes] = {
    "ferry.pdf": pdf("The ferry to the island leaves at six in the morning.\nA ticket costs nine euros."),
    "dogs.docx": docx("Dogs are welcome on board if they are kept on a leash."),
    "tea.html": b"<p>Tea and cake are served in the saloon from three o'clock.</p>",
}  # fmt: skip
ASK = "At what time does the boat to the island depart?"


def tool(store_id: str, **more: Any) -> Any:
    return {"type": "file_search", "vector_store_ids": [store_id], **more}


async def test_the_answer_says_what_the_file_says_and_cites_it(client: AsyncOpenAI) -> None:
    store_id, ids = await stocked(client, TEXTS)
    seen, answer = await told(
        client, input=ASK, tools=[tool(store_id)], include=["file_search_call.results"]
    )
    call, message = answer.output
    assert call.type == "file_search_call"
    assert (call.status, call.queries[0]) == ("completed", ASK)
    results = call.results or []
    assert len(results) == 3
    best = results[0]
    assert (best.file_id, best.filename) == (ids["ferry.pdf"], "ferry.pdf")
    assert "leaves at six" in (best.text or "")
    assert 0 < (best.score or 0) <= 1
    assert message.type == "message"
    (part,) = message.content
    assert part.type == "output_text"
    assert "The ferry to the island leaves at six in the morning." in part.text
    cited = part.annotations[0]
    assert cited.type == "file_citation"
    assert (cited.file_id, cited.filename) == (ids["ferry.pdf"], "ferry.pdf")
    # It stands behind what it is for.
    assert part.text[: cited.index].endswith((".", "euros"))
    types = [kind.removeprefix("response.") for kind in kinds(seen)]
    assert [kind for kind in types if kind.startswith("file_search")] == [
        "file_search_call.in_progress", "file_search_call.searching", "file_search_call.completed",
    ]  # fmt: skip
    added = [event for event in seen if event.type == "response.output_text.annotation.added"]
    assert len(added) == len(part.annotations)


async def test_results_come_only_when_they_are_asked_for(client: AsyncOpenAI) -> None:
    store_id, _ = await stocked(client, TEXTS)
    answer = await client.responses.create(model="gpt-4o", input=ASK, tools=[tool(store_id)])
    call = answer.output[0]
    assert call.type == "file_search_call"
    assert call.results is None
    assert "leaves at six" in answer.output_text


async def test_an_equal_question_is_answered_from_what_is_there_by_then(
    client: AsyncOpenAI,
) -> None:
    store_id, ids = await stocked(client, TEXTS)

    async def answered() -> str:
        asked: Any = {"model": "gpt-4o", "input": ASK, "tools": [tool(store_id)], "store": False}
        return (await client.responses.create(**asked)).output_text

    assert "leaves at six" in await answered()
    await client.vector_stores.files.delete(ids["ferry.pdf"], vector_store_id=store_id)
    assert "leaves at six" not in await answered()
    moved = await uploaded(client, "notice.txt", "The boat to the island departs at noon.")
    await client.vector_stores.files.create_and_poll(
        moved, vector_store_id=store_id, poll_interval_ms=5
    )
    assert "departs at noon" in await answered()


async def test_filters_and_ranking_reach_the_search(client: AsyncOpenAI) -> None:
    store_id, _ = await stocked(client, TEXTS, {"tea.html": {"room": "saloon"}})
    limited = tool(
        store_id, filters={"type": "eq", "key": "room", "value": "saloon"}, max_num_results=5,
        ranking_options={"ranker": "auto", "hybrid_search": {"embedding_weight": 1, "text_weight": 1}},
    )  # fmt: skip
    answer = await client.responses.create(
        model="gpt-4o", input=ASK, tools=[limited], include=["file_search_call.results"]
    )
    call = answer.output[0]
    assert call.type == "file_search_call"
    assert [result.filename for result in call.results or ()] == ["tea.html"]
    nothing = tool(store_id, ranking_options={"score_threshold": 1})
    answer = await client.responses.create(model="gpt-4o", input=ASK, tools=[nothing])
    assert answer.output_text == "The files say nothing about that."


async def test_a_cut_answer_cites_only_what_it_still_says(client: AsyncOpenAI) -> None:
    store_id, _ = await stocked(client, TEXTS)
    asked: Any = {"model": "gpt-4o", "input": ASK, "tools": [tool(store_id)]}
    whole = await client.responses.create(**asked)
    assert whole.usage is not None
    answer = await client.responses.create(**asked, max_output_tokens=whole.usage.output_tokens - 3)
    assert answer.status == "incomplete"
    message = answer.output[-1]
    assert message.type == "message"
    part = message.content[0]
    assert part.type == "output_text"
    assert all(cited.index <= len(part.text) for cited in part.annotations)  # type: ignore[union-attr]  # of files


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"max_num_results": 51}, "tools[0].max_num_results"),
        ({"filters": {"type": "in", "key": "k", "value": 1}}, "tools[0].filters.value"),
        ({"ranking_options": {"score_threshold": 2}}, "tools[0].ranking_options.score_threshold"),
        ({"depth": 3}, "tools[0].depth"),
    ],
    ids=["number", "filter", "threshold", "unknown"],
)
async def test_a_bad_tool_is_refused_by_name(
    client: AsyncOpenAI, more: dict[str, Any], param: str
) -> None:
    store = await client.vector_stores.create(name="x")
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.create(model="gpt-4o", input="Hi", tools=[tool(store.id, **more)])
    assert caught.value.param == param


async def test_an_unknown_store_is_a_404_whether_or_not_it_is_used(client: AsyncOpenAI) -> None:
    for choice in ("auto", "none"):
        with pytest.raises(openai.NotFoundError) as caught:
            await client.responses.create(
                model="gpt-4o", input="Hi", tools=[tool("vs_none")],
                tool_choice=choice,  # type: ignore[arg-type]  # one of these
            )  # fmt: skip
        assert "Vector store with id [vs_none] not found." in caught.value.message
