"""What a run's own tools do: code that computes, and searches in documents, whose hits the message then
cites.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fakeai_proxy.generate.answer import report
from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.sums import charted, computed
from fakeai_proxy.generate.tokens import Passage, Tokens
from fakeai_proxy.services.vector_stores.quoting import NOTHING, Quote
from fakeai_proxy.services.vector_stores.searching import Hit

_CHARTED = "Here is the chart of your values."


class Found(NamedTuple):
    """What a search has found, and what of that an answer says."""

    query: str = ""
    hits: Sequence[Hit] = ()
    quotes: Sequence[Quote] = ()

    @property
    def told(self) -> str:
        """The quotes, each with the mark of where it is from."""
        marked = [f"{quote.text}{_mark(k, quote)}" for k, quote in enumerate(self.quotes)]
        return " ".join(marked) or NOTHING

    def cited(self, text: str) -> list[dict[str, Any]]:
        """Where the text, which may be cut, names its files."""
        annotations = []
        for k, quote in enumerate(self.quotes):
            mark = _mark(k, quote)
            start = text.find(mark)
            if start >= 0:
                annotations.append(
                    {"type": "file_citation", "text": mark, "start_index": start,
                     "end_index": start + len(mark),
                     "file_citation": {"file_id": quote.hit.file_id}}
                )  # fmt: skip
        return annotations


def _mark(place: int, quote: Quote) -> str:
    return f"【4:{place}†{quote.hit.filename}】"


class Drawn(NamedTuple):
    """A file that code has made."""

    file_id: str
    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Worked:
    """`call` is the tool call as a step shows it, `given` what the model wrote for it, `report` what an
    answer says of what came of it."""

    call: dict[str, Any]
    given: Passage
    report: str = ""
    files: tuple[Drawn, ...] = ()


def interpreted(tokens: Tokens, hints: Hints, file_id: str) -> Worked:
    """`file_id` is for what is drawn, if anything is."""
    wanted = charted(hints.prompt)
    if wanted is None:
        code, logs = computed(hints.prompt)
        outputs: list[dict[str, Any]] = [{"type": "logs", "logs": logs}]
        return Worked(_interpreted(code, outputs), tokens.passage(code), report(logs))
    from fakeai_proxy.generate.pictures.chart import bars  # brings what draws

    drawn = Drawn(file_id, "chart.png", bars(wanted.values))
    outputs = [{"type": "image", "image": {"file_id": file_id}}]
    call = _interpreted(wanted.code, outputs)
    return Worked(call, tokens.passage(wanted.code), _CHARTED, (drawn,))


def _interpreted(code: str, outputs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "code_interpreter", "code_interpreter": {"input": code, "outputs": outputs}}


def searched(tokens: Tokens, run: Mapping[str, Any], found: Found) -> Worked:
    results = [
        {"file_id": hit.file_id, "file_name": hit.filename, "score": hit.score,
         "content": [{"type": "text", "text": hit.text}]}
        for hit in found.hits
    ]  # fmt: skip
    ranking = search_options(run)["ranking_options"]
    search = {"ranking_options": ranking, "results": results}
    call = {"type": "file_search", "file_search": search, "_query": found.query}
    return Worked(call, tokens.passage(found.query))


def search_options(run: Mapping[str, Any]) -> Mapping[str, Any]:
    options: Mapping[str, Any] = next(
        tool["file_search"] for tool in run["tools"] if tool["type"] == "file_search"
    )
    return options
