"""A conversation as token ids where OpenAI counts: 3 tokens a message besides its role and content, 1
for a name, 3 that prime the reply, and media by what they are charged for.
"""

from __future__ import annotations

from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.generate.transcript import Transcript

#: Of an image at low detail, and at 1024 x 1024 otherwise (OpenAI's guide to vision).
IMAGE_LOW_TOKENS, IMAGE_TOKENS = 85, 765
#: Ten tokens a second of 24 kHz 16-bit sound.
_AUDIO_BYTES_PER_TOKEN = 4800
_FILE_BYTES_PER_TOKEN, _FILE_TOKENS, _FILE_TOKENS_MAX = 40, 256, 50_000


class Prompt(Transcript):
    """`ids` grows turn by turn and is complete when the assistant's is open."""

    def __init__(self, tokens: Tokens) -> None:
        super().__init__(tokens)
        self.audio_tokens = 0

    def image(self, source: str, low: bool = False) -> None:
        """`source` is where it is, or its bytes as text."""
        self.medium(source, IMAGE_LOW_TOKENS if low else IMAGE_TOKENS)

    def audio(self, data: str, tokens: int | None = None) -> None:
        """`data` is base64; `tokens` where its duration is known."""
        count = tokens or 1 + len(data) * 3 // 4 // _AUDIO_BYTES_PER_TOKEN
        self.audio_tokens += count
        self.medium(data, count)

    def file(self, data: str, name: str) -> None:
        """`data` is base64, "" where only the file's id or place is known."""
        count = len(data) * 3 // 4 // _FILE_BYTES_PER_TOKEN or _FILE_TOKENS
        self.medium(data or name, min(count, _FILE_TOKENS_MAX))
