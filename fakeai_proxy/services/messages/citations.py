"""What of the documents in a conversation an answer refers to: the sentence that speaks most of what was
asked, and where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fakeai_proxy.generate.plausible import words_of
from fakeai_proxy.services.messages import wire

_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
#: Of one document, and of a sentence that is quoted.
_READ_CHARS, _QUOTED_CHARS = 200_000, 300


@dataclass(frozen=True, slots=True)
class Cited:
    """`text` is quoted; `citation` tells where it stands."""

    text: str
    citation: dict[str, Any]


def cited(messages: Sequence[wire.Message], question: str) -> Cited | None:
    """None where no document may be cited, or none has a text that can be read."""
    asked = set(words_of(question))
    best, most = None, -1
    for found in _sentences(messages):
        points = len(asked.intersection(words_of(found.text)))
        if points > most:
            best, most = found, points
    return best


def _sentences(messages: Sequence[wire.Message]) -> Iterator[Cited]:
    documents = results = -1
    for message in messages:
        for block in message.blocks:
            if isinstance(block, wire.DocumentBlock):
                documents += 1
                if block.citations is not None and block.citations.enabled:
                    yield from _of_document(block, documents)
            elif isinstance(block, wire.SearchResultBlock):
                results += 1
                if block.citations is not None and block.citations.enabled:
                    yield from _of_result(block, results)


def _of_document(block: wire.DocumentBlock, index: int) -> Iterator[Cited]:
    source = block.source
    place = {"document_index": index, "document_title": block.title, "file_id": None}
    if isinstance(source, wire.PlainText):
        for sentence in _SENTENCE.finditer(source.data[:_READ_CHARS]):
            text = sentence[0].strip()[:_QUOTED_CHARS]
            start = sentence.start() + len(sentence[0]) - len(sentence[0].lstrip())
            if text:
                end = start + len(text)
                yield _cited(text, {
                    "type": "char_location", **place, "start_char_index": start,
                    "end_char_index": end,
                })  # fmt: skip
    elif isinstance(source, wire.ContentSource):
        for k, text in _texts(wire.blocks_of(source.content)):
            yield _cited(text, {
                "type": "content_block_location", **place, "start_block_index": k,
                "end_block_index": k + 1,
            })  # fmt: skip
    elif block.title:
        # What is in a PDF or elsewhere is not read; it is referred to as a whole.
        yield _cited(block.title, {
            "type": "page_location", **place, "start_page_number": 1, "end_page_number": 2,
        })  # fmt: skip


def _of_result(block: wire.SearchResultBlock, index: int) -> Iterator[Cited]:
    for k, text in _texts(block.content):
        yield _cited(text, {
            "type": "search_result_location", "search_result_index": index,
            "source": block.source, "title": block.title, "start_block_index": k,
            "end_block_index": k + 1,
        })  # fmt: skip


def _texts(blocks: Sequence[Any]) -> Iterator[tuple[int, str]]:
    for k, block in enumerate(blocks):
        if isinstance(block, wire.TextBlock) and block.text.strip():
            yield k, block.text


def _cited(text: str, place: dict[str, Any]) -> Cited:
    return Cited(text.strip()[:_QUOTED_CHARS], {**place, "cited_text": text})
