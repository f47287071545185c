"""A conversation as token ids, turn by turn, in whatever way its vendor writes one down."""

from __future__ import annotations

from functools import lru_cache
from zlib import crc32

from fakeai_proxy.generate.tokens import Tokens

#: The marks around a message; their ids are o200k's.
START, END, SEPARATOR = 200264, 200265, 200266
MARKS = {START: "<|im_start|>", END: "<|im_end|>", SEPARATOR: "<|im_sep|>"}


class Transcript:
    def __init__(self, tokens: Tokens) -> None:
        self.ids: list[int] = []
        self._tokens = tokens

    def open(self, role: str, name: str = "") -> None:
        """Begin a turn; the last one is left open for the answer."""
        ids = self.ids
        ids.append(START)
        ids += _role(self._tokens, role)
        if name:
            ids.append(SEPARATOR)
            ids += self._tokens.encode(name)
        ids.append(SEPARATOR)

    def close(self) -> None:
        self.ids.append(END)

    def text(self, text: str) -> None:
        self.ids += self._tokens.encode(text)

    def medium(self, medium: str, count: int) -> None:
        """Ids for something that is not text: the same for the same, so that prefixes match."""
        first = crc32(medium.encode("utf-8", "replace"))
        self.ids += [(first + k * 2_654_435_761) & 0x7FFFFFFF for k in range(count)]


@lru_cache(maxsize=64)
def _role(tokens: Tokens, role: str) -> tuple[int, ...]:
    return tuple(tokens.encode(role))
