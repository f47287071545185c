"""The KV cache of one worker, to the block.

A full block of known tokens goes by its chained hash and can be shared; other blocks cannot be told
apart, and are only counted. What nobody uses stays until its room is needed: oldest first, and of
one sequence the tail first, so that shared heads live longest. Blocks that hold nothing worth
keeping are given out before any cached one is evicted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Hit(NamedTuple):
    """The longest cached beginning of a prompt: its blocks, and how many of them nobody uses."""

    blocks: int
    idle: int


class KvListener(Protocol):
    """Told what a worker's cache holds, as vLLM's events tell it."""

    def stored(self, block: int, parent: int | None) -> None: ...

    def removed(self, block: int) -> None: ...


class KvCache:
    def __init__(self, blocks: int, block_tokens: int, listener: KvListener | None = None) -> None:
        self.blocks = blocks
        self.block_tokens = block_tokens
        self.evictions = 0
        self._listener = listener
        self._free = blocks
        self._private = 0
        self._idle: OrderedDict[int, None] = OrderedDict()
        self._users: dict[int, int] = {}

    @property
    def available(self) -> int:
        """Blocks that can be had, those that would have to be evicted included."""
        return self._free + len(self._idle)

    @property
    def used(self) -> int:
        return self.blocks - self.available

    @property
    def cached(self) -> int:
        """Blocks that a prompt could hit."""
        return len(self._idle) + len(self._users)

    def blocks_of(self, tokens: int) -> int:
        return -(-tokens // self.block_tokens)

    def find(self, hashes: Sequence[int], blocks_max: int) -> Hit:
        """Look a prompt up; changes nothing."""
        users, idle = self._users, self._idle
        blocks = unused = 0
        for block in hashes[:blocks_max] if len(hashes) > blocks_max else hashes:
            if block in users:
                blocks += 1
            elif block in idle:
                blocks += 1
                unused += 1
            else:
                break
        return Hit(blocks, unused)

    def share(self, hashes: Sequence[int]) -> None:
        """Use cached blocks; all of them must be there."""
        users, idle = self._users, self._idle
        for block in hashes:
            if block in users:
                users[block] += 1
            else:
                del idle[block]
                users[block] = 1

    def take(self, blocks: int) -> bool:
        """Use `blocks` empty ones, evicting where needed; False, and nothing is taken, where there
        are too few."""
        short = blocks - self._free
        if short > 0:
            if short > len(self._idle):
                return False
            for _ in range(short):
                block, _ = self._idle.popitem(last=False)
                if self._listener is not None:
                    self._listener.removed(block)
            self.evictions += short
            self._free = 0
        else:
            self._free -= blocks
        self._private += blocks
        return True

    def name(self, hashes: Sequence[int], start: int, end: int) -> list[int]:
        """Let others find the blocks `start` to `end` of a sequence. Returns those that are now
        shared; of a block that is there already, the second copy stays private."""
        named = []
        users, idle = self._users, self._idle
        for k in range(start, end):
            block = hashes[k]
            if block in users or block in idle:
                continue
            users[block] = 1
            named.append(block)
            if self._listener is not None:
                self._listener.stored(block, hashes[k - 1] if k else None)
        self._private -= len(named)
        return named

    def release(self, shared: Sequence[int], private: int) -> None:
        """Give back what a sequence used, in the order in which it was taken."""
        users = self._users
        for block in reversed(shared):
            if users[block] == 1:
                del users[block]
                self._idle[block] = None
            else:
                users[block] -= 1
        self._private -= private
        self._free += private

    def clear(self) -> None:
        """Forget what nobody uses."""
        if self._listener is not None:
            for block in self._idle:
                self._listener.removed(block)
        self._free += len(self._idle)
        self._idle.clear()

    def check(self, shared: int, private: int) -> None:
        """Prove that no block is lost or counted twice, for sequences that hold so many."""
        assert sum(self._users.values()) == shared, "a shared block has as many users as it counts"
        assert self._private == private, "private blocks are those that sequences hold"
        held = len(self._idle) + len(self._users) + self._private
        assert min(self._free, self._private) >= 0, "no count is negative"
        assert self._free + held == self.blocks, "every block is in one place"
        assert not self._users.keys() & self._idle.keys(), "a block is in use or not"
