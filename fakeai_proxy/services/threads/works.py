"""What a run's own tools do: code that computes, and searches in documents, whose hits the message then
cites.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fakeai_proxy.generate.answer import report
from fakeai_proxy.generate.plausible import Hints, words_of
from fakeai_proxy.generate.sums import computed
from fakeai_proxy.generate.tokens import Passage, Tokens

_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n{2,}")
_QUOTED_CHARS = 300


class Found(NamedTuple):
    """A piece of a document that a search has found, with its score from 0 to 1."""

    file_id: str
    filename: str
    score: float
    text: str


@dataclass(frozen=True, slots=True)
class Worked:
    """`call` is the tool call as a step shows it, `given` what the model wrote for it, `report` what an
    answer says of what came of it."""

    call: dict[str, Any]
    given: Passage
    report: str = ""


def interpreted(tokens: Tokens, hints: Hints) -> Worked:
    code, logs = computed(hints.prompt)
    outputs = [{"type": "logs", "logs": logs}]
    call = {"type": "code_interpreter", "code_interpreter": {"input": code, "outputs": outputs}}
    return Worked(call, tokens.passage(code), report(logs))


def searched(
    tokens: Tokens, run: Mapping[str, Any], hints: Hints, found: Sequence[Found]
) -> Worked:
    query = hints.subject or "overview"
    (options,) = [tool["file_search"] for tool in run["tools"] if tool["type"] == "file_search"]
    results = [
        {"file_id": hit.file_id, "file_name": hit.filename, "score": hit.score,
         "content": [{"type": "text", "text": hit.text}]}
        for hit in found
    ]  # fmt: skip
    search = {"ranking_options": options["ranking_options"], "results": results}
    call = {"type": "file_search", "file_search": search, "_query": query}
    return Worked(call, tokens.passage(query), _quoted(hints, found))


def query_of(hints: Hints) -> str:
    """What is looked for: the question, which says more than its subject."""
    return hints.prompt.strip()[-2000:] or hints.subject


def _quoted(hints: Hints, found: Sequence[Found]) -> str:
    """The best hit's sentence that speaks of the question, with the mark of where it is from."""
    if not found:
        return ""
    asked = set(words_of(hints.prompt))
    sentences = [" ".join(one.split()) for one in _SENTENCE.split(found[0].text) if one.strip()]
    if not sentences:
        return ""
    best = max(sentences, key=lambda one: (len(asked & set(words_of(one))), -len(one)))
    return f"{best[:_QUOTED_CHARS].rstrip()}{_mark(0, found[0])}"


def _mark(place: int, hit: Found) -> str:
    return f"【4:{place}†{hit.filename}】"


def cited(text: str, found: Sequence[Found]) -> list[dict[str, Any]]:
    """Where the text, which may be cut, names what was found."""
    annotations = []
    for place, hit in enumerate(found):
        mark = _mark(place, hit)
        start = text.find(mark)
        if start >= 0:
            annotations.append(
                {"type": "file_citation", "text": mark, "start_index": start,
                 "end_index": start + len(mark), "file_citation": {"file_id": hit.file_id}}
            )  # fmt: skip
    return annotations
