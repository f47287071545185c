"""The file_search tool: what is in the vector stores, and an answer that says it and where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.responses import tools, wire
from fakeai_proxy.services.responses.output import Work
from fakeai_proxy.services.vector_stores.filters import check
from fakeai_proxy.services.vector_stores.quoting import NOTHING, Quote, quotes
from fakeai_proxy.services.vector_stores.searching import Hit, require, search
from fakeai_proxy.services.vector_stores.wire import check_known, check_weights

#: platform.openai.com/docs/guides/tools-file-search: results unless a number is given.
_RESULTS = 20
#: Of a prompt that is a question of its own; a longer one brings along what it speaks of.
_QUERY_CHARS_MAX = 1000


def check_tools(call: Call, offered: Sequence[tools.Tool]) -> None:
    """What a request says about files is right whether or not it is used. Raises 400, 404 and
    Unhurried."""
    named: list[str] = []
    for place, tool in enumerate(offered):
        if isinstance(tool, tools.FileSearch):
            path = f"tools[{place}]"
            check_known(tool, f"{path}.")
            check_weights(tool.ranking_options, f"{path}.ranking_options")
            if tool.filters is not None:
                check(tool.filters, f"{path}.filters")
            named += tool.vector_store_ids
    if named:
        call.wait_for(lambda: require(call.store, call.project, named, call.wall()))


def file_search(
    call: Call, request: wire.ResponseRequest, tool: tools.FileSearch, hints: Hints, tokens: Tokens
) -> Work:
    """Raises 404 and Unhurried."""
    question = " ".join(hints.prompt[-_QUERY_CHARS_MAX:].split()) or "overview"
    queries = list(dict.fromkeys([question, *filter(None, (hints.subject,))]))
    hits = call.wait_for(
        lambda: search(
            call.store, call.project, tool.vector_store_ids, queries,
            limit=tool.max_num_results or _RESULTS, filters=tool.filters,
            ranking=tool.ranking_options, embedder=call.embedder, clock=call.clock,
        )
    )  # fmt: skip
    shown = request.includes("file_search_call.results")
    results = [_result(hit) for hit in hits] if shown else None
    return Work(
        "file_search_call", "fs", tokens.passage(" ".join(queries)),
        {"queries": queries, "results": results}, {"queries": queries, "results": None},
        quotes=tuple(quotes(question, hits, call.embedder)),
    )  # fmt: skip


def _result(hit: Hit) -> dict[str, Any]:
    return {
        "file_id": hit.file_id, "filename": hit.filename, "score": hit.score, "text": hit.text,
        "attributes": hit.attributes,
    }  # fmt: skip


def told(found: Sequence[Quote]) -> str:
    """The answer's text."""
    return " ".join([quote.text for quote in found]) or NOTHING


def citations(found: Sequence[Quote], text: str) -> list[dict[str, Any]]:
    """Each behind what it is for, as far as the text goes."""
    cited: list[dict[str, Any]] = []
    place = 0
    for quote in found:
        start = text.find(quote.text, place)
        if start < 0:
            break
        place = start + len(quote.text)
        cited.append(
            {"type": "file_citation", "file_id": quote.hit.file_id, "index": place,
             "filename": quote.hit.filename}
        )  # fmt: skip
    return cited
