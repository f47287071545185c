"""A conversation as token ids, built turn by turn.

Counted as OpenAI documents: 3 tokens a message besides its role and content, 1 for a name, and 3 that
prime the reply. Media count by what their vendor charges.
"""

from __future__ import annotations

from functools import lru_cache
from zlib import crc32

from fakeai_proxy.generate.tokens import Tokens

#: The marks around a message; their ids are o200k's.
_START, _END, _SEPARATOR = 200264, 200265, 200266
#: Of an image at low detail, and at 1024 x 1024 otherwise (OpenAI's guide to vision).
IMAGE_LOW_TOKENS, IMAGE_TOKENS = 85, 765
#: Ten tokens a second of 24 kHz 16-bit sound.
_AUDIO_BYTES_PER_TOKEN = 4800
_FILE_BYTES_PER_TOKEN, _FILE_TOKENS, _FILE_TOKENS_MAX = 40, 256, 50_000


class Prompt:
    """`ids` grows by `begin`, contents and `end`, and is complete after `prime`."""

    def __init__(self, tokens: Tokens) -> None:
        self.ids: list[int] = []
        self.audio_tokens = 0
        self._tokens = tokens

    def text(self, text: str) -> None:
        self.ids += self._tokens.encode(text)

    def begin(self, role: str, name: str | None = None) -> None:
        """A message."""
        ids = self.ids
        ids.append(_START)
        ids += _role(self._tokens, role)
        if name:
            ids.append(_SEPARATOR)
            ids += self._tokens.encode(name)
        ids.append(_SEPARATOR)

    def end(self) -> None:
        self.ids.append(_END)

    def prime(self) -> None:
        """What makes the model speak."""
        self.ids += (_START, *_role(self._tokens, "assistant"), _SEPARATOR)

    def image(self, source: str, low: bool = False) -> None:
        """`source` is where it is, or its bytes as text."""
        self.stand_in(source, IMAGE_LOW_TOKENS if low else IMAGE_TOKENS)

    def audio(self, data: str) -> None:
        """`data` is base64."""
        count = 1 + len(data) * 3 // 4 // _AUDIO_BYTES_PER_TOKEN
        self.audio_tokens += count
        self.stand_in(data, count)

    def file(self, data: str, name: str) -> None:
        """`data` is base64, "" where only the file's id or place is known."""
        count = len(data) * 3 // 4 // _FILE_BYTES_PER_TOKEN or _FILE_TOKENS
        self.stand_in(data or name, min(count, _FILE_TOKENS_MAX))

    def stand_in(self, medium: str, count: int) -> None:
        """Ids for something that is not text: the same for the same, so that prefixes match."""
        first = crc32(medium.encode("utf-8", "replace"))
        self.ids += [(first + k * 2_654_435_761) & 0x7FFFFFFF for k in range(count)]


@lru_cache(maxsize=64)
def _role(tokens: Tokens, role: str) -> tuple[int, ...]:
    return tuple(tokens.encode(role))
