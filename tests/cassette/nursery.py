"""Forks recorders and kills them: `python -m tests.cassette.nursery FOLDER KILLS`.

A process of its own, because only one without threads may fork. It looks at the cassette after each kill and
says at the end, in JSON, what the dead were promised.
"""

from __future__ import annotations

import json
import os
import random
import signal
import struct
import sys
from collections import Counter
from pathlib import Path

from fakeai_proxy.cassette import sealing
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.settings import CassetteSettings
from fakeai_proxy.clock import SystemClock
from tests.cassette.test_library import draft

#: So small that most recorders seal while they record.
LIVE_BYTES_MAX = 6_000
#: After so many, what they left is sealed.
ROUND = 12
_ACKNOWLEDGED = struct.Struct("<I")
_CLOSING = 0xFFFF_FFFF


def answer(number: int) -> bytes:
    return b'{"answer": %d, "text": "%b"}' % (number, b"word " * (number % 40))


def record(folder: Path, numbers: range, closes_after: int, out: int) -> None:
    """What a recorder does until it is killed; it tells each number that is safe."""
    # What a kill leaves is what was given to the operating system.
    chosen = CassetteSettings(cassette=(folder,), durability="none")
    library = Library.open(chosen, SystemClock(), record=True, live_bytes_max=LIVE_BYTES_MAX)
    for number in numbers:
        one = draft(number, answer(number))
        library.begin(one)
        library.begin(draft(number + 500_000))  # one whose end never comes
        assert library.append(one).result(timeout=30)
        os.write(out, _ACKNOWLEDGED.pack(number))
        if number - numbers.start == closes_after:
            os.write(out, _ACKNOWLEDGED.pack(_CLOSING))
            library.close()
            return


def killed(folder: Path, numbers: range, rng: random.Random) -> set[int]:
    """The numbers that one recorder said were safe before it was killed somewhere."""
    closes, stops_after = rng.randrange(30), rng.randrange(30)
    inlet, outlet = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(inlet)
        record(folder, numbers, closes, outlet)
        os._exit(0)
    os.close(outlet)
    said: set[int] = set()
    with os.fdopen(inlet, "rb", buffering=0) as stream:
        while len(said) <= stops_after and (data := stream.read(_ACKNOWLEDGED.size)):
            [number] = _ACKNOWLEDGED.unpack(data)
            if number == _CLOSING:
                for _ in range(rng.randrange(40_000)):  # somewhere in the sealing
                    pass
                break
            said.add(number)
        os.kill(child, signal.SIGKILL)
        while data := stream.read(_ACKNOWLEDGED.size):
            said.add(_ACKNOWLEDGED.unpack(data)[0])
    os.waitpid(child, 0)
    return said - {_CLOSING}


def kill_sealing(folder: Path, rng: random.Random) -> None:
    child = os.fork()
    if child == 0:
        sealing.seal(folder, again=True)
        os._exit(0)
    for _ in range(rng.randrange(400_000)):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def checked(folder: Path, safe: set[int], new: set[int]) -> int:
    """Everything that was safe is there once, with its answer. How many interactions there are."""
    library = Library.open(CassetteSettings(cassette=(folder,)), SystemClock())
    there = Counter(int(entry.label.id) for entry in library.index.entries)
    assert safe <= set(there), f"lost: {sorted(safe - set(there))}"
    assert set(there.values()) <= {1}, f"double: {[one for one in there if there[one] > 1]}"
    unended = set(library.index.opened)
    assert not unended & set(there)
    for number in new:
        entry = library.index.by_id(number)
        assert entry is not None
        response = library.load(entry).response
        assert response is not None
        assert response.body == answer(number)
    library.close()
    return len(there)


def main(folder: Path, kills: int) -> None:
    rng = random.Random(200)
    safe: set[int] = set()
    for kill in range(kills):
        new = killed(folder, range(kill * 100, kill * 100 + 100), rng)
        safe |= new
        checked(folder, safe, new)
        if kill % ROUND == ROUND - 1:
            for _ in range(2):
                kill_sealing(folder, rng)
                checked(folder, safe, set())
            sealing.seal(folder)
    print(json.dumps(sorted(safe)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
