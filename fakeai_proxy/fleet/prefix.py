"""Names of KV blocks: each is the hash of its tokens and of the block before it, so that equal names
mean equal prompts up to there (vLLM's automatic prefix caching)."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from hashlib import blake2b

_WORD_BYTES = 8


def block_hashes(
    tokens: Sequence[int], block_tokens: int, lora: str = "", salt: str = ""
) -> list[int]:
    """Of the full blocks of `tokens`. Sequences of another adapter or salt share nothing."""
    width = block_tokens * 4
    data = array("I", tokens).tobytes()
    seed = blake2b(f"{len(lora)}:{lora}{salt}".encode("utf-8", "surrogatepass"), digest_size=8)
    name = seed.digest()
    hashes = []
    for start in range(0, len(data) - width + 1, width):
        name = blake2b(data[start : start + width], digest_size=_WORD_BYTES, key=name).digest()
        hashes.append(int.from_bytes(name, "little"))
    return hashes
