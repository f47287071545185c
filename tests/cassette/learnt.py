"""Recordings of a back end that is known: each distribution that a fit is to find is drawn from here."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, pairwise
from pathlib import Path
from random import Random

from fakeai_proxy.cassette.format import (
    Head,
    Interaction,
    RecordedRequest,
    RecordedResponse,
    encode,
)
from fakeai_proxy.dice import Dice
from fakeai_proxy.profiles.hosted_check import Samples

SSE = ((b"content-type", b"text/event-stream"), (b"x-ratelimit-limit-requests", b"500"),
       (b"x-ratelimit-limit-tokens", b"30000"))  # fmt: skip
PROMPTS = (60, 900, 3000)
#: Of each model: seconds to the first token of an empty prompt, seconds a prompt token, seconds a gap,
#: numbers of tokens that come at once.
MODELS = {
    "gpt-4o": (0.4, 0.0002, 0.011, (1, 1, 1, 7)),
    "gpt-4o-mini": (0.2, 0.00005, 0.006, (1,)),
}
READS = 24
STALL_SHARE = 0.02


def stream(model: str, prompt: int, rng: Random) -> tuple[list[float], list[int]]:
    """Instants of reads, in seconds, and the tokens of each: lognormal around a line in the prompt,
    lognormal gaps, one in fifty of which is a stall of 0.5 to 2 s."""
    base_s, prompt_s, gap_s, sizes = MODELS[model]
    ttft_s = (base_s + prompt_s * prompt) * rng.lognormvariate(0, 0.25)
    pace = rng.lognormvariate(0, 0.15)
    gaps = [
        rng.uniform(0.5, 2) if rng.random() < STALL_SHARE else gap_s * pace * rng.lognormvariate(0, 0.3)
        for _ in range(READS - 1)
    ]  # fmt: skip
    return list(accumulate([ttft_s, *gaps])), [rng.choice(sizes) for _ in range(READS)]


def recorded(streams: int) -> Iterator[tuple[str, int, list[float], list[int]]]:
    dice = Dice(11)
    for model in MODELS:
        for number in range(streams):
            rng = dice.roll("recorded", model, number)
            prompt = PROMPTS[number % len(PROMPTS)]
            yield model, prompt, *stream(model, prompt, rng)


def measured(streams: int) -> dict[str, Samples]:
    found = {model: Samples.empty() for model in MODELS}
    for model, _, instants, tokens in recorded(streams):
        gaps = [late - early for early, late in pairwise(instants)]
        found[model].add(instants[0], gaps, tokens)
    return found


def written(path: Path, streams: int) -> Path:
    """A cassette of so many streams of each model. Of each 20 requests one more is refused."""
    lines = [encode(Head("test", 0.0, b"0" * 16))]
    frame = 'data: {{"model":"{}","choices":[{{"index":0,"delta":{{"content":"word"}}}}]}}\n\n'
    for number, (model, prompt, instants, tokens) in enumerate(recorded(streams)):
        pieces = [frame.format(model).encode() * count for count in tokens]
        gaps = [instants[0], *(b - a for a, b in pairwise(instants))]
        cuts = tuple(map(len, pieces))
        gaps_us = tuple(round(gap * 1e6) for gap in gaps)
        answer = RecordedResponse(200, SSE, b"".join(pieces), cuts, gaps_us)
        usage = {"prompt_tokens": prompt, "completion_tokens": sum(tokens)}
        lines.append(_line(number, model, answer, usage))
        if number % 20 == 0:
            body = b'{"error":{"message":"busy","type":"server_error","code":"overloaded"}}'
            busy = RecordedResponse(
                503,
                ((b"content-type", b"application/json"), (b"retry-after", b"3")),
                body,
                (len(body),),
                (40_000,),
            )
            lines.append(_line(1_000_000 + number, model, busy, {}))
    path.write_bytes(b"".join(lines))
    return path


def _line(number: int, model: str, reply: RecordedResponse, usage: dict[str, int]) -> bytes:
    key = number.to_bytes(16, "big")
    request = RecordedRequest("POST", "/v1/chat/completions", (), b'{"n":%d}' % number)
    view = {"provider": "openai", "model": model, **({"usage": usage} if usage else {})}
    return encode(
        Interaction(f"{number:016x}", 0.0, "https://api.openai.com", request, reply, key, key,
                    view=view)
    )  # fmt: skip
