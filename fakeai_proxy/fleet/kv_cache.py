"""The KV cache of one worker, to the block.

A full block of known tokens goes by its chained hash and can be shared; other blocks cannot be told
apart, and are only counted. What nobody uses stays until its room is needed: oldest first, and of
one sequence the tail first, so that shared heads live longest. Blocks that hold nothing worth
keeping are given out before any cached one is evicted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple, Protocol


class Hit(NamedTuple):
    """The longest cached beginning of a prompt: its blocks, and how many of them nobody uses."""

    blocks: int
    idle: int


class KvListener(Protocol):
    """Told what a worker's cache holds, as vLLM's events tell it."""

    def stored(self, hashes: Sequence[int], start: int, end: int, owner: Hashable) -> None:
        """The blocks `start` to `end` of the `owner`'s sequence; their parent is the one before."""

    def removed(self, blocks: list[int]) -> None: ...

    def cleared(self) -> None:
        """All of them are gone."""


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

    def names(self) -> Iterator[int]:
        """Of all blocks that a prompt could hit."""
        yield from self._users
        yield from self._idle

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
            evicted = [self._idle.popitem(last=False)[0] for _ in range(short)]
            if self._listener is not None:
                self._listener.removed(evicted)
            self.evictions += short
            self._free = 0
        else:
            self._free -= blocks
        self._private += blocks
        return True

    def name(
        self, hashes: Sequence[int], start: int, end: int, owner: Hashable = None
    ) -> list[int]:
        """Let others find the blocks `start` to `end` of a sequence. Returns those that are now
        shared; of a block that is there already, the second copy stays private."""
        users, idle = self._users, self._idle
        named = [block for block in hashes[start:end] if block not in users and block not in idle]
        for block in named:
            users[block] = 1
        self._private -= len(named)
        if self._listener is not None and named:
            if len(named) == end - start:
                self._listener.stored(hashes, start, end, owner)
            else:
                self._tell_runs(hashes, start, end, set(named), owner)
        return named

    def _tell_runs(
        self, hashes: Sequence[int], start: int, end: int, named: set[int], owner: Hashable
    ) -> None:
        """Those of `named`, run by run: some between them were there before."""
        assert self._listener is not None
        begun: int | None = None
        for k in range(start, end + 1):
            is_named = k < end and hashes[k] in named
            if is_named and begun is None:
                begun = k
            elif not is_named and begun is not None:
                self._listener.stored(hashes, begun, k, owner)
                begun = None

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
            if self._users:
                self._listener.removed(list(self._idle))
            else:
                self._listener.cleared()
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
