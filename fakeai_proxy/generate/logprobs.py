"""Plausible log probabilities: the sampled token near the top, its rivals below and never likelier than
what is left over."""

from __future__ import annotations

import math
from random import Random
from typing import Any

from fakeai_proxy.generate.tokens import Passage, Tokens

#: How often a token other than the likeliest is sampled, at temperature 1.
_SURPRISE = 0.08
#: The least that the API reports.
_FLOOR = -9999.0


class LogProbs:
    """Draws for one choice. `rivals` are the ids that stand in for tokens not chosen."""

    def __init__(self, rng: Random, tokens: Tokens, rivals: list[int], temperature: float) -> None:
        self._rng = rng
        self._tokens = tokens
        self._rivals = rivals
        self._surprise = 0.0 if temperature == 0 else min(0.5, _SURPRISE * temperature)

    def of(self, passage: Passage, top: int) -> list[dict[str, Any]]:
        """One entry a token, in the API's shape, each with the `top` likeliest."""
        return [
            self._entry(token, piece, top)
            for token, piece in zip(passage.ids, passage.pieces, strict=True)
        ]

    def _entry(self, token: int, piece: str, top: int) -> dict[str, Any]:
        rng = self._rng
        surprised = rng.random() < self._surprise
        # The likeliest has more than half, so every rival has less.
        best = 1.0 - 0.45 * rng.random() ** 3
        second = (1.0 - best) * (0.5 + 0.4 * rng.random())
        own = second if surprised else best
        own_bytes = list(self._tokens.bytes_of(token))
        entry = _shown(piece, own, own_bytes)
        shares = [best, second]
        while len(shares) < top:
            shares.append(shares[-1] * (0.15 + 0.5 * rng.random()))
        chosen = self._others(token, len(shares))
        listed = []
        for k, share in enumerate(shares[:top]):
            if k == (1 if surprised else 0):
                listed.append(entry)
            else:
                other = chosen[k]
                data = self._tokens.bytes_of(other)
                listed.append(_shown(data.decode("utf-8", "replace"), share, list(data)))
        return {**entry, "top_logprobs": listed}

    def _others(self, token: int, count: int) -> list[int]:
        """Different tokens, none of them `token`."""
        start = self._rng.randrange(len(self._rivals))
        found: list[int] = []
        for k in range(len(self._rivals)):
            rival = self._rivals[(start + k) % len(self._rivals)]
            if rival != token:
                found.append(rival)
                if len(found) == count:
                    break
        return found


def _shown(text: str, share: float, data: list[int]) -> dict[str, Any]:
    logprob = max(_FLOOR, math.log(share)) if share > 0 else _FLOOR
    return {"token": text, "logprob": round(logprob, 8) + 0.0, "bytes": data}
