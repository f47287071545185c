"""What a writer of another program's format is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fakeai_proxy.cassette.codings import Undecodable, codings, decoded_whole
from fakeai_proxy.cassette.format import Interaction

_PLAIN_MAX = 1 << 30

#: The token ids of a text.
Encode = Callable[[str], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Told:
    """An interaction with its bodies, which may lie in files of their own."""

    record: Interaction
    asked: bytes
    answered: bytes

    @property
    def plain(self) -> bytes:
        """The reply's body without its coding; with it where it cannot be undone."""
        response = self.record.response
        applied = codings(response.headers) if response else ()
        try:
            return decoded_whole(self.answered, applied, _PLAIN_MAX) if applied else self.answered
        except Undecodable:
            return self.answered
