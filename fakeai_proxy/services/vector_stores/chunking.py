"""A text in overlapping pieces of so many tokens, as the vendor's strategies say."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services.extraction import Unreadable

_VOCABULARY = "o200k_base"
#: platform.openai.com/docs/assistants/tools/file-search: tokens of one file.
FILE_TOKENS_MAX = 5_000_000
#: A text is encoded in parts of this size, so that no other thread waits for all of it.
_PART_CHARS = 1 << 14
_PART = re.compile(rf"(?s).{{1,{_PART_CHARS}}}(?=\s|\Z)|.{{1,{_PART_CHARS}}}")


class Strategy(NamedTuple):
    chunk_tokens: int = 800
    overlap_tokens: int = 400

    @property
    def shown(self) -> dict[str, Any]:
        sizes = {
            "max_chunk_size_tokens": self.chunk_tokens,
            "chunk_overlap_tokens": self.overlap_tokens,
        }
        return {"type": "static", "static": sizes}

    @classmethod
    def of(cls, shown: Any) -> Strategy:
        sizes = shown["static"]
        return cls(sizes["max_chunk_size_tokens"], sizes["chunk_overlap_tokens"])


#: platform.openai.com/docs/api-reference/vector-stores-files: what `auto` is at present.
AUTO = Strategy()


def chunks(text: str, strategy: Strategy = AUTO) -> list[str]:
    """Each begins where the one before has so many tokens left as overlap. Raises Unreadable."""
    words = Tokens.load(_VOCABULARY)
    pieces: list[str] = []
    for part in _PART.findall(text):
        pieces += words.span(part).pieces
        if len(pieces) > FILE_TOKENS_MAX:
            raise Unreadable(
                "invalid_file", f"The file has more than {FILE_TOKENS_MAX} tokens of text."
            )
    size, step = strategy.chunk_tokens, strategy.chunk_tokens - strategy.overlap_tokens
    found = []
    for start in range(0, max(len(pieces) - strategy.overlap_tokens, 1), step):
        chunk = "".join(pieces[start : start + size]).strip()
        if chunk:
            found.append(chunk)
    return found
