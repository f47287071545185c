"""Tools that the vendor runs and documents that an answer cites, under the official SDK."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from fakeai_proxy.app import App
from tests.services.asking import count
from tests.services.messages_asking import (
    MAIL,
    USUAL,
    WEATHER,
    only_known_fields,
    png,
    sdk_at,
    text_of,
)

SEARCH: Any = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}
FETCH: Any = {"type": "web_fetch_20250910", "name": "web_fetch"}
RUN: Any = {"type": "code_execution_20250825", "name": "code_execution"}
RUN_OLD: Any = {"type": "code_execution_20250522", "name": "code_execution"}
NEWS = "Search the web for the latest news about tea."
SUM = "Run python code to calculate the sum of 3, 5 and 10."
USES = [
    (SEARCH, NEWS, "web_search", "web_search_tool_result"),
    (FETCH, "Fetch https://example.com/tea?x=1.", "web_fetch", "web_fetch_tool_result"),
    (RUN, SUM, "bash_code_execution", "bash_code_execution_tool_result"),
    (RUN_OLD, SUM, "code_execution", "code_execution_tool_result"),
]
STORY = "Lighthouses are tall. Keepers of lighthouses trim the wick at dusk. Ships are grateful."


def ask(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize(("tool", "text", "name", "result"), USES, ids=lambda v: str(v)[:28])
async def test_the_vendors_tools_work_within_the_answer(
    app: App, tool: Any, text: str, name: str, result: str
) -> None:
    asked: dict[str, Any] = {
        "model": USUAL, "max_tokens": 600, "messages": ask(text), "tools": [tool, MAIL],
    }  # fmt: skip
    async with sdk_at(app) as client:
        answer = await client.messages.create(**asked)
        async with client.messages.stream(**asked) as stream:
            events = [event async for event in stream]
            streamed = await stream.get_final_message()
        asked["messages"] = [
            *ask(text), {"role": "assistant", "content": answer.content}, *ask("Thanks. And now?"),
        ]  # fmt: skip
        after = await client.messages.create(**asked)
    only_known_fields(answer)
    assert [block.type for block in answer.content] == ["text", "server_tool_use", result, "text"]
    use, found = answer.content[1:3]
    assert use.type == "server_tool_use"
    assert use.id.startswith("srvtoolu_01")
    assert use.name == name
    assert found.type == result
    assert found.tool_use_id == use.id
    assert answer.stop_reason == "end_turn"
    assert text_of(streamed) == text_of(answer)
    assert streamed.content[1].input == use.input  # type: ignore[union-attr]  # checked above
    assert answer.usage.output_tokens == streamed.usage.output_tokens
    texts = sum(count(block.text) for block in answer.content if block.type == "text")
    deltas = [event.delta for event in events if event.type == "content_block_delta"]
    written = "".join(delta.partial_json for delta in deltas if delta.type == "input_json_delta")
    assert answer.usage.output_tokens == texts + count(name) + count(written)
    searches = answer.usage.server_tool_use
    assert (searches is not None) == name.startswith("web_")
    assert (answer.container is not None) == name.endswith("code_execution")
    assert after.usage.input_tokens > answer.usage.input_tokens


async def test_code_says_what_it_computes_and_a_fetch_what_was_asked_for(app: App) -> None:
    async with sdk_at(app) as client:
        ran = await client.messages.create(
            model=USUAL, max_tokens=500, messages=ask(SUM), tools=[RUN]
        )
        got = await client.messages.create(
            model=USUAL, max_tokens=500, messages=ask("Fetch https://example.com/tea."),
            tools=[FETCH],
        )  # fmt: skip
    done = ran.content[2]
    assert done.type == "bash_code_execution_tool_result"
    assert done.content.type == "bash_code_execution_result"
    assert done.content.stdout == "18 6.0\n"
    page = got.content[2]
    assert page.type == "web_fetch_tool_result"
    assert page.content.type == "web_fetch_result"
    assert page.content.url == "https://example.com/tea"


async def test_a_search_is_bounded_by_its_domains_and_cited(app: App) -> None:
    tool = {**SEARCH, "allowed_domains": ["tea.example.com"]}
    async with sdk_at(app) as client:
        answer = await client.messages.create(
            model=USUAL, max_tokens=500, messages=ask(NEWS), tools=[tool]
        )
    found, said = answer.content[2:]
    assert found.type == "web_search_tool_result"
    assert isinstance(found.content, list)
    assert [result.url.split("/")[2] for result in found.content] == ["tea.example.com"]
    assert said.type == "text"
    (citation,) = said.citations or ()
    assert citation.type == "web_search_result_location"
    assert citation.url == found.content[0].url
    assert answer.usage.server_tool_use is not None
    assert answer.usage.server_tool_use.web_search_requests == 1


async def test_a_server_tool_is_forced_or_forbidden_as_any_other(app: App) -> None:
    async with sdk_at(app) as client:
        for choice, used in (
            ({"type": "tool", "name": "web_search"}, True),
            ({"type": "none"}, False),
        ):
            answer = await client.messages.create(
                model=USUAL, max_tokens=500, messages=ask("Tell me about tea."),
                tools=[SEARCH, WEATHER], tool_choice=choice,
            )  # fmt: skip
            kinds = [block.type for block in answer.content]
            assert ("server_tool_use" in kinds) == used


async def test_what_does_not_fit_is_not_begun(app: App) -> None:
    async with sdk_at(app) as client:
        for most in range(1, 24):
            answer = await client.messages.create(
                model=USUAL, max_tokens=most, messages=ask(NEWS), tools=[SEARCH]
            )
            assert answer.usage.output_tokens <= most
            uses = [block for block in answer.content if block.type == "server_tool_use"]
            results = [block for block in answer.content if block.type == "web_search_tool_result"]
            assert len(uses) == len(results)
            assert answer.stop_reason == "max_tokens"


DOCUMENTS = [
    ({"type": "text", "media_type": "text/plain", "data": STORY}, "char_location"),
    ({"type": "content", "content": [{"type": "text", "text": part} for part in
                                     ("Lighthouses are tall.", "Keepers trim the wick at dusk.")]},
     "content_block_location"),
    ({"type": "base64", "media_type": "application/pdf",
      "data": "JVBERi0xLjQKMSAwIG9iago8PCAvVHlwZSAvUGFnZSA+PgplbmRvYmoK"}, "page_location"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "kind"), DOCUMENTS, ids=lambda v: str(v)[:22])
async def test_an_answer_cites_the_documents_it_was_given(app: App, source: Any, kind: str) -> None:
    other = {"type": "document", "source": {"type": "text", "media_type": "text/plain",
                                            "data": "Nothing to cite."}}  # fmt: skip
    document = {
        "type": "document", "title": "Keepers", "source": source, "citations": {"enabled": True},
    }  # fmt: skip
    question = {"type": "text", "text": "When do keepers trim the wick?"}
    asked: dict[str, Any] = {
        "model": USUAL, "max_tokens": 400,
        "messages": [{"role": "user", "content": [other, document, question]}],
    }  # fmt: skip
    async with sdk_at(app) as client:
        answer = await client.messages.create(**asked)
        async with client.messages.stream(**asked) as stream:
            streamed = await stream.get_final_message()
    only_known_fields(answer)
    assert [block.type for block in answer.content] == ["text", "text"]
    quoted = answer.content[0]
    assert quoted.type == "text"
    (citation,) = quoted.citations or ()
    assert citation.type == kind
    assert (citation.document_index, citation.document_title) == (1, "Keepers")
    assert citation.cited_text.strip() in quoted.text
    if citation.type == "char_location":
        place = slice(citation.start_char_index, citation.end_char_index)
        assert (
            STORY[place] == citation.cited_text == "Keepers of lighthouses trim the wick at dusk."
        )
    if citation.type == "content_block_location":
        assert (citation.start_block_index, citation.end_block_index) == (1, 2)
    assert streamed.content[0].citations == quoted.citations  # type: ignore[union-attr]  # a text
    assert answer.usage.output_tokens == sum(
        count(block.text) for block in answer.content if block.type == "text"
    )


async def test_a_search_result_is_cited_and_nothing_is_where_nobody_asked(app: App) -> None:
    found: Any = {
        "type": "search_result", "source": "kb/1", "title": "Keepers",
        "content": [{"type": "text", "text": "Keepers trim the wick at dusk."}],
    }  # fmt: skip
    question = {"type": "text", "text": "When do keepers trim the wick?"}
    async with sdk_at(app) as client:
        for enabled in (True, False):
            block = {**found, "citations": {"enabled": enabled}}
            answer = await client.messages.create(
                model=USUAL, max_tokens=400, messages=[{"role": "user", "content": [block, question]}]
            )  # fmt: skip
            cited = [one for part in answer.content if part.type == "text"
                     for one in part.citations or ()]  # fmt: skip
            assert len(cited) == enabled
            if enabled:
                assert cited[0].type == "search_result_location"
                assert (cited[0].source, cited[0].search_result_index) == ("kb/1", 0)


async def test_a_picture_next_to_a_document_changes_nothing_of_its_citation(app: App) -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png",
                                           "data": png(30, 20)}}  # fmt: skip
    document = {"type": "document", "citations": {"enabled": True},
                "source": {"type": "content", "content": [picture]}}  # fmt: skip
    async with sdk_at(app) as client:
        answer = await client.messages.create(
            model=USUAL, max_tokens=100,
            messages=[{"role": "user", "content": [document, {"type": "text", "text": "And?"}]}],
        )  # fmt: skip
    assert [block.type for block in answer.content] == ["text"]


async def test_a_bad_bound_of_a_server_tool_is_refused(app: App) -> None:
    async with sdk_at(app) as client:
        with pytest.raises(anthropic.BadRequestError, match="max_uses"):
            await client.messages.create(
                model=USUAL, max_tokens=100, messages=ask(NEWS), tools=[{**SEARCH, "max_uses": 0}]
            )
