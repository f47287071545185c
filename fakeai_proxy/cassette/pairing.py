"""Which recordings of two cassettes belong together, and what differs between them, group by group:
of each recording a few numbers are kept, whatever there is of them.
"""

from __future__ import annotations

from array import array
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest

from fakeai_proxy.cassette.comparing import (
    KINDS,
    Change,
    answer_of,
    answers,
    named,
    side_of,
)
from fakeai_proxy.cassette.differences import explain, likeness, shingles
from fakeai_proxy.cassette.entries import Entry
from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.cassette.index import Index
from fakeai_proxy.cassette.matching import hash64
from fakeai_proxy.cassette.spread import QUANTILES, Spread

#: Requests of one route that are held against each other when no key is equal.
_PAIRED_MAX = 200
#: Less alike are two requests, not one that changed.
_LIKE = 0.35
#: Requests whose words are remembered.
_WORDS_KEPT = 2 * _PAIRED_MAX

Load = Callable[[Entry], Interaction]
Tell = Callable[[int, int], None]


class Recordings:
    """One side. Every recording is read once; `group` is a hash of session and key, `answer` of what
    is compared of the reply."""

    def __init__(self, index: Index, load: Load, tell: Tell) -> None:
        self._entries, self._load = index.entries, load
        count = len(self._entries)
        self.group, self.answer = array("Q", bytes(8 * count)), array("Q", bytes(8 * count))
        self.ttft, self.gaps = Spread(1000, 1), Spread(1000, 1)
        self._words: OrderedDict[int, set[bytes]] = OrderedDict()
        for done, (number, entry) in enumerate(index.as_stored()):
            if not done % 256:
                tell(done, count)
            record = self._loaded(entry)
            self.group[number] = hash64(record.session.encode() + b"\0" + record.key)
            self.answer[number] = hash64(repr(answer_of(record.response)).encode())
            gaps = record.response.gaps_us if record.response else ()
            self.ttft.add(gaps[:1])
            self.gaps.add(gaps[1:])

    def __len__(self) -> int:
        return len(self._entries)

    def record(self, number: int) -> Interaction:
        return self._loaded(self._entries[number])

    def route(self, number: int) -> int:
        return self._entries[number].label.route

    def words(self, number: int) -> set[bytes]:
        found = self._words.get(number)
        if found is None:
            found = self._words[number] = shingles(self.record(number).request.body)
            if len(self._words) > _WORDS_KEPT:
                self._words.popitem(last=False)
        else:
            self._words.move_to_end(number)
        return found

    def _loaded(self, entry: Entry) -> Interaction:
        # The keys of records that people wrote are made when they are read.
        return replace(self._load(entry), key=entry.label.key)


class Comparison:
    """Equal requests are held against each other in recorded order, like ones by their likeness."""

    def __init__(self, before: Recordings, after: Recordings) -> None:
        self._before, self._after = before, after
        self._same = 0
        self._kinds: Counter[str] = Counter()

    def counts(self) -> dict[str, int]:
        """Of the changes that were told."""
        return {"same": self._same, **{kind: self._kinds[kind] for kind in KINDS}}

    def timing(self) -> dict[str, dict[str, list[float | None]]]:
        """p50 and p95 in milliseconds, before and after."""
        spreads = (
            ("ttft_ms", (self._before.ttft, self._after.ttft)),
            ("gap_ms", (self._before.gaps, self._after.gaps)),
        )
        return {
            name: {named: [side.quantile(share) for side in both] for named, share in QUANTILES}
            for name, both in spreads
        }

    def changes(self) -> Iterator[Change]:
        for change in self._changes():
            self._kinds[change.kind] += 1
            yield change

    def _changes(self) -> Iterator[Change]:
        before, after = self._before, self._after
        left, right = array("I"), array("I")
        for ones, others in _groups(before, after):
            for one, other in zip_longest(ones, others):
                if one is None:
                    right.append(other)
                elif other is None:
                    left.append(one)
                elif before.answer[one] == after.answer[other]:
                    self._same += 1
                else:
                    yield from answers(before.record(one), after.record(other))
        alone = array("I")
        paired = bytearray(len(before))
        yield from self._near(left, right, paired, alone)
        for number in left:
            if not paired[number]:
                record = before.record(number)
                yield Change("removed", named(record), record.id, "")
        for number in alone:
            record = after.record(number)
            yield Change("added", named(record), "", record.id)

    def _near(
        self, left: Sequence[int], right: Sequence[int], paired: bytearray, alone: array[int]
    ) -> Iterator[Change]:
        """Pairs what is alike, and marks those before; those after that are like nothing are `alone`."""
        before, after = self._before, self._after
        rest: dict[int, list[int]] = {}
        for number in left:
            rest.setdefault(before.route(number), []).append(number)
        for number in right:
            words = after.words(number)
            near = [(likeness(words, before.words(one)), one)
                    for one in rest.get(after.route(number), ())[:_PAIRED_MAX]]  # fmt: skip
            like, best = max(near, key=lambda pair: pair[0], default=(0.0, -1))
            if best < 0 or like < _LIKE:
                alone.append(number)
                continue
            rest[after.route(number)].remove(best)
            paired[best] = 1
            one, other = before.record(best), after.record(number)
            details = tuple(str(difference) for difference in explain(side_of(other), side_of(one)))
            yield Change("request", named(other), one.id, other.id, details)
            yield from answers(one, other)


def _groups(before: Recordings, after: Recordings) -> Iterator[tuple[list[int], list[int]]]:
    """The numbers on both sides of what has one session and key, in the order in which it came first."""
    import numpy as np

    hashes = np.concatenate([np.frombuffer(side.group, "u8") for side in (before, after)])
    if not len(hashes):
        return
    members = np.argsort(hashes, kind="stable")
    ordered = hashes[members]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    ends = np.append(starts[1:], len(hashes))
    count = len(before)
    for place in np.argsort(members[starts], kind="stable"):
        group = members[starts[place] : ends[place]].tolist()
        yield ([number for number in group if number < count],
               [number - count for number in group if number >= count])  # fmt: skip
