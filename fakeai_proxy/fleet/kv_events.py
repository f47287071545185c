"""What a worker tells of its KV cache: to the router, and in a log that reads like vLLM's events.

As in vLLM, the events of a step are published together when it ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

from fakeai_proxy.exchange import Workload


class Stored(NamedTuple):
    hashes: Sequence[int]
    start: int
    end: int
    owner: Hashable


class Removed(NamedTuple):
    blocks: list[int]


class Cleared(NamedTuple):
    pass


Event = Stored | Removed | Cleared


class KvFeed:
    """A cache's listener: collects, and passes on at `flush`."""

    def __init__(self) -> None:
        self.readers: list[Callable[[float, list[Event]], None]] = []
        self._pending: list[Event] = []

    def stored(self, hashes: Sequence[int], start: int, end: int, owner: Hashable) -> None:
        self._pending.append(Stored(hashes, start, end, owner))

    def removed(self, blocks: list[int]) -> None:
        self._pending.append(Removed(blocks))

    def cleared(self) -> None:
        self._pending.append(Cleared())

    def flush(self, at: float) -> None:
        if self._pending:
            events, self._pending = self._pending, []
            for read in self.readers:
                read(at, events)

    def ahead(self, blocks: set[int]) -> set[int]:
        """What will be known when `flush` comes, to one who knows of `blocks`."""
        for event in self._pending:
            match event:
                case Stored(hashes, start, end, _):
                    blocks = blocks | set(hashes[start:end])
                case Removed(gone):
                    blocks = blocks - set(gone)
                case Cleared():
                    blocks = set()
        return blocks


class KvLog:
    """The last events of one worker, in numbered batches of about `blocks_max` stored blocks
    altogether; the numbers go on when the worker restarts."""

    def __init__(self, block_tokens: int, blocks_max: int) -> None:
        self._block_tokens = block_tokens
        self._blocks_max = blocks_max
        self._batches: deque[tuple[int, float, int, list[dict[str, object]]]] = deque()
        self._blocks = 0
        self._next = 0

    def read(self, at: float, events: list[Event]) -> None:
        told = [self._told(event) for event in events]
        blocks = sum(_weight(event) for event in events)
        self._batches.append((self._next, at, blocks, told))
        self._next += 1
        self._blocks += blocks
        while self._blocks > self._blocks_max and len(self._batches) > 1:
            self._blocks -= self._batches.popleft()[2]

    def after(self, number: int, batches_max: int = 1000) -> list[dict[str, object]]:
        """Batches with a higher sequence number, JSON-able, oldest first; where `number` is
        forgotten the first one tells by its own number."""
        chosen = [batch for batch in self._batches if batch[0] > number]
        return [
            {"seq": seq, "ts": at, "events": told, "data_parallel_rank": 0}
            for seq, at, _, told in chosen[:batches_max]
        ]

    def _told(self, event: Event) -> dict[str, object]:
        match event:
            case Stored(hashes, start, end, owner):
                return {
                    "type": "BlockStored",
                    "block_hashes": list(hashes[start:end]),
                    "parent_block_hash": hashes[start - 1] if start else None,
                    **self._content(start, end, owner),
                    "block_size": self._block_tokens,
                    "medium": "GPU",
                }
            case Removed(blocks):
                return {"type": "BlockRemoved", "block_hashes": blocks, "medium": "GPU"}
            case Cleared():
                return {"type": "AllBlocksCleared"}

    def _content(self, start: int, end: int, owner: Hashable) -> dict[str, object]:
        workload = getattr(owner, "workload", None)
        if not isinstance(workload, Workload):
            return {"token_ids": [], "lora_id": None, "lora_name": None}
        lora = getattr(owner, "lora", "")
        first, last = start * self._block_tokens, end * self._block_tokens
        prompt = workload.prompt_tokens
        tokens = list(workload.prompt[first:last])
        tokens += workload.output[max(0, first - prompt) : max(0, last - prompt)]
        return {"token_ids": tokens, "lora_id": None, "lora_name": lora or None}


def _weight(event: Event) -> int:
    """Of an event in memory, in blocks."""
    match event:
        case Stored(_, start, end, _):
            return end - start
        case Removed(blocks):
            return len(blocks)
        case Cleared():
            return 1
