"""When the tokens of recorded streams came, for fitting a profile to them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from fakeai_proxy.cassette.format import Interaction, is_sse
from fakeai_proxy.cassette.sse import data_frames
from fakeai_proxy.cassette.view import plain_body


class RecordedStream(NamedTuple):
    """Seconds to the first piece and between tokens; `prompt_tokens` as the vendor counted, or by
    four bytes a token where it did not."""

    id: str
    model: str
    prompt_tokens: int
    ttft_s: float
    gaps_s: tuple[float, ...]


def recorded_stream(interaction: Interaction) -> RecordedStream | None:
    """None for what is no whole, uncompressed, successful stream."""
    response = interaction.response
    if response is None or response.status != 200 or not is_sse(response.headers):
        return None
    body = response.body
    if not isinstance(body, bytes) or not response.gaps_us or plain_body(response) != body:
        return None
    model = interaction.view.get("model")
    usage = interaction.view.get("usage", {})
    asked = interaction.request.body
    length = len(asked) if isinstance(asked, bytes) else asked.size
    times = list(_token_times(body, response.cuts, response.gaps_us))
    if not isinstance(model, str) or len(times) < 2:
        return None
    gaps = tuple(late - early for early, late in pairwise(times))
    prompt_tokens = int(usage.get("prompt_tokens") or length // 4)
    return RecordedStream(interaction.id, model, prompt_tokens, times[0], gaps)


def _token_times(body: bytes, cuts: tuple[int, ...], gaps_us: tuple[int, ...]) -> Iterator[float]:
    """An instant for each frame; those that came in one piece are spread over the time since the
    piece before."""
    at_s, start = 0.0, 0
    for place, (cut, gap_us) in enumerate(zip(cuts, gaps_us, strict=False)):
        end = start + cut
        frames = data_frames(body[start:end])
        for k in range(frames):
            share = 1.0 if place == 0 else (k + 1) / frames
            yield at_s + share * gap_us / 1e6
        at_s += gap_us / 1e6
        start = end
