"""Chance, keyed by what it is for: the one file that may import `random`.

A draw depends on the seed and its key alone, never on what was drawn before, so the order in which
requests arrive changes no answer.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b

_ALPHABET = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LETTERS = bytes([_ALPHABET[byte % 62] for byte in range(256)])
#: What one digest can give.
_DIGEST_BYTES_MAX = 64
_SEEN_MAX = 2_048


class Dice:
    def __init__(self, seed: int = 0, process: bytes = b"") -> None:
        """`process` keeps apart what must be nobody else's, in processes of one seed: ids."""
        self.seed = seed
        self.process = process
        self._salt = seed.to_bytes(16, "big", signed=True)
        self._seen: OrderedDict[bytes, int] = OrderedDict()
        self._evicted = 0

    def number(self, *key: str | bytes | int) -> int:
        """A uniform 128-bit integer."""
        return int.from_bytes(self._digest(key, 16), "big")

    def numbers(self, *key: str | bytes | int) -> Callable[[bytes], int]:
        """Uniform 128-bit integers under one key, each by some bytes: for draws that must be cheap."""
        keyed = blake2b(self._digest(key, 16), digest_size=16)

        def number(data: bytes) -> int:
            hashed = keyed.copy()
            hashed.update(data)
            return int.from_bytes(hashed.digest(), "big")

        return number

    def roll(self, *key: str | bytes | int) -> random.Random:
        """A generator of its own for this key."""
        return random.Random(self.number(*key))

    def text_id(self, *key: str | bytes | int, length: int = 24) -> str:
        """`length` letters and digits."""
        digest = self._digest(key, min(length, _DIGEST_BYTES_MAX))
        while len(digest) < length:
            digest += self._digest((digest, *key), _DIGEST_BYTES_MAX)
        return digest[:length].translate(_LETTERS).decode("ascii")

    def occurrence(self, fingerprint: bytes) -> int:
        """How many times this fingerprint was asked about before; counts this time too.

        Ids are keyed by it, so equal requests get equal answers under ids of their own. What was
        forgotten for space starts above every count given before.
        """
        seen = self._seen.pop(fingerprint, self._evicted)
        self._seen[fingerprint] = seen + 1
        if len(self._seen) > _SEEN_MAX:
            _, count = self._seen.popitem(last=False)
            self._evicted = max(self._evicted, count)
        return seen

    def _digest(self, key: tuple[str | bytes | int, ...], size: int) -> bytes:
        pieces = [self._salt]
        for part in key:
            piece = part if type(part) is bytes else str(part).encode("utf-8", "surrogatepass")
            # With its length, so that no two keys look alike.
            pieces.append(b"%d:" % len(piece))
            pieces.append(piece)
        return blake2b(b"".join(pieces), digest_size=size).digest()
