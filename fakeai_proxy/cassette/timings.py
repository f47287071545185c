"""When the tokens of recorded streams came, for fitting a profile to them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from fakeai_proxy.cassette.format import Interaction, RecordedResponse
from fakeai_proxy.cassette.spoken import spoken_frames
from fakeai_proxy.cassette.view import plain_body
from fakeai_proxy.exchange import is_event_stream

#: What comes within this of what came before belongs to the same read: a piece that the network cut.
SAME_READ_S = 0.0005
#: No network is quicker; recordings without times say 0.
_TTFT_MIN_S = 1e-4
#: A prompt's bytes per token, where nobody has counted them.
_BYTES_PER_TOKEN = 4


class RecordedStream(NamedTuple):
    """Seconds to the first read with tokens and between such reads, and the tokens of each;
    `prompt_tokens` as the vendor counted, or by four bytes a token where it did not."""

    id: str
    model: str
    prompt_tokens: int
    ttft_s: float
    gaps_s: tuple[float, ...]
    tokens: tuple[int, ...]


def recorded_stream(interaction: Interaction) -> RecordedStream | None:
    """None for what is no whole, uncompressed, successful stream."""
    response = interaction.response
    if response is None or response.status != 200 or not is_event_stream(response.headers):
        return None
    body = response.body
    if not isinstance(body, bytes) or not response.gaps_us or plain_body(response) != body:
        return None
    model = interaction.view.get("model")
    usage = interaction.view.get("usage", {})
    asked = interaction.request.body
    length = len(asked) if isinstance(asked, bytes) else asked.size
    reads = list(_reads(response, body))
    if not isinstance(model, str) or not reads:
        return None
    gaps = tuple(late - early for (early, _), (late, _) in pairwise(reads))
    prompt_tokens = int(usage.get("prompt_tokens") or length // _BYTES_PER_TOKEN)
    tokens = tuple(count for _, count in reads)
    ttft_s = max(reads[0][0], _TTFT_MIN_S)
    return RecordedStream(interaction.id, model, prompt_tokens, ttft_s, gaps, tokens)


def _reads(response: RecordedResponse, body: bytes) -> Iterator[tuple[float, int]]:
    """Instant and tokens of each read that brings any."""
    frames = list(spoken_frames(body))
    at_s, end, place = 0.0, 0, 0
    opened_at_s, tokens = 0.0, 0
    for cut, gap_us in zip(response.cuts, response.gaps_us, strict=False):
        at_s += gap_us / 1e6
        end += cut
        found = 0
        # A frame counts in the read that brings its end.
        while place < len(frames) and frames[place][0] <= end:
            found += frames[place][1]
            place += 1
        if not found:
            continue
        if tokens and at_s - opened_at_s > SAME_READ_S:
            yield opened_at_s, tokens
            tokens = 0
        if not tokens:
            opened_at_s = at_s
        tokens += found
    if tokens:
        yield opened_at_s, tokens
