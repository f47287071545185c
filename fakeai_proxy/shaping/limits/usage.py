"""What an answer was worth in tokens: by the workload behind it, or as an upstream's answer tells."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from typing import NamedTuple

from fakeai_proxy.exchange import Admission, Chunk, Workload

#: Of an answer that arrives, so much of both its ends is looked at.
KEPT_BYTES = 4096

_COUNT = rb'"\s*:\s*(\d{1,12})'
_INPUT = re.compile(rb'"(?:prompt_tokens|input_tokens|promptTokenCount)' + _COUNT)
_OUTPUT = re.compile(rb'"(?:completion_tokens|output_tokens|candidatesTokenCount)' + _COUNT)
_CACHED = re.compile(rb'"(?:cached_tokens|cachedContentTokenCount)' + _COUNT)
#: Anthropic counts these besides its input tokens; the others within theirs.
_READ = re.compile(rb'"cache_read_input_tokens' + _COUNT)
_WRITTEN = re.compile(rb'"cache_creation_input_tokens' + _COUNT)


class Usage(NamedTuple):
    """`input_tokens` includes the cached ones."""

    input_tokens: int
    cached_tokens: int
    output_tokens: int


def usage_of(work: Workload, admission: Admission) -> Usage:
    prompt_tokens, cached = len(work.prompt), admission.cached_tokens
    return Usage(
        prompt_tokens, cached if cached < prompt_tokens else prompt_tokens, work.output_tokens
    )


class Watched(AsyncGenerator[Chunk, None]):
    """Passes an answer on, and remembers both its ends."""

    def __init__(self, chunks: AsyncGenerator[Chunk, None]) -> None:
        self._chunks = chunks
        self._head = b""
        self._tail = b""

    async def asend(self, value: None) -> Chunk:
        chunk = await self._chunks.asend(value)
        data = chunk.data
        if isinstance(data, bytes):
            if len(self._head) < KEPT_BYTES:
                self._head += data[:KEPT_BYTES]
            self._tail = (self._tail + data)[-KEPT_BYTES:]
        return chunk

    async def athrow(self, *failure: object) -> Chunk:
        raise StopAsyncIteration

    async def aclose(self) -> None:
        await self._chunks.aclose()

    def usage(self) -> Usage | None:
        """As the answer told, None where it did not."""
        told = self._head + b"\n" + self._tail
        read, written = _last(_INPUT, told), _last(_OUTPUT, told)
        if read is None:
            return None
        cached = _last(_READ, told)
        if cached is not None:
            read += cached + (_last(_WRITTEN, told) or 0)
        else:
            cached = _last(_CACHED, told) or 0
        return Usage(read, min(cached, read), written or 0)


def _last(pattern: re.Pattern[bytes], told: bytes) -> int | None:
    """Streams count up, so the last is the sum."""
    found = pattern.findall(told)
    return int(found[-1]) if found else None
