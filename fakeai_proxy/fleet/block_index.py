"""Which workers hold which KV blocks, for many workers at a time: a worker is a bit, a block's holders
are one integer, so that looking a prompt up costs the same for one worker and for hundreds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence


class BlockIndex:
    def __init__(self) -> None:
        self._holders: dict[int, int] = {}

    def __len__(self) -> int:
        """Different blocks that somebody holds."""
        return len(self._holders)

    def add(self, bit: int, blocks: Iterable[int]) -> None:
        holders = self._holders
        for block in blocks:
            holders[block] = holders.get(block, 0) | bit

    def remove(self, bit: int, blocks: Iterable[int]) -> None:
        holders = self._holders
        for block in blocks:
            left = holders.get(block, 0) & ~bit
            if left:
                holders[block] = left
            else:
                holders.pop(block, None)

    def depths(self, blocks: Sequence[int], among: int) -> dict[int, int]:
        """How many of the leading `blocks` each of the workers `among` holds, by its bit; workers
        that hold none are left out."""
        depths: dict[int, int] = {}
        alive, holders, depth = among, self._holders.get, 0
        for block in blocks:
            still = alive & holders(block, 0)
            if still != alive:
                if depth:
                    _spread(alive & ~still, depth, depths)
                alive = still
                if not alive:
                    return depths
            depth += 1
        if depth:
            _spread(alive, depth, depths)
        return depths

    def held(self, bit: int) -> set[int]:
        """All blocks of one worker; looks at every block there is."""
        return {block for block, holders in self._holders.items() if holders & bit}


class CountedBlocks(BlockIndex):
    """Blocks that requests use: one that several requests of a worker use is there once."""

    def __init__(self) -> None:
        super().__init__()
        self._uses: dict[int, dict[int, int]] = {}

    def count(self, bit: int) -> int:
        """Different blocks in use at a worker."""
        return len(self._uses.get(bit, ()))

    def use(self, bit: int, blocks: Sequence[int]) -> None:
        uses = self._uses.setdefault(bit, {})
        fresh = []
        for block in blocks:
            times = uses.get(block, 0)
            uses[block] = times + 1
            if not times:
                fresh.append(block)
        self.add(bit, fresh)

    def free(self, bit: int, blocks: Sequence[int]) -> None:
        uses = self._uses[bit]
        gone = []
        for block in blocks:
            if uses[block] == 1:
                del uses[block]
                gone.append(block)
            else:
                uses[block] -= 1
        self.remove(bit, gone)


class RecentBlocks(BlockIndex):
    """What was sent to each worker lately; the blocks used longest ago are forgotten beyond
    `blocks_max` of one worker."""

    def __init__(self, blocks_max: int) -> None:
        super().__init__()
        self._blocks_max = blocks_max
        self._recent: dict[int, OrderedDict[int, None]] = {}

    def size(self, bit: int) -> int:
        return len(self._recent.get(bit, ()))

    def sent(self, bit: int, blocks: Sequence[int]) -> None:
        recent = self._recent.setdefault(bit, OrderedDict())
        fresh = [block for block in blocks if block not in recent]
        for block in reversed(blocks):  # heads are the youngest: they are shared the most
            recent[block] = None
            recent.move_to_end(block)
        self.add(bit, fresh)
        excess = len(recent) - self._blocks_max
        if excess > 0:
            self.remove(bit, [recent.popitem(last=False)[0] for _ in range(excess)])

    def forget(self, bit: int) -> None:
        self.remove(bit, self._recent.pop(bit, ()))


def _spread(bits: int, depth: int, depths: dict[int, int]) -> None:
    while bits:
        lowest = bits & -bits
        depths[lowest] = depth
        bits ^= lowest
