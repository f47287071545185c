"""What a writer of another program's format is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fakeai_proxy.cassette.format import Interaction

#: The token ids of a text.
Encode = Callable[[str], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Told:
    """An interaction with its bodies, which may lie in files of their own."""

    record: Interaction
    asked: bytes
    answered: bytes
