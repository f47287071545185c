"""When requests arrive, and how long they are: recorded traces and synthetic loads."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from random import Random
from typing import NamedTuple

import orjson

from fakeai_proxy.errors import ConfigError

#: Tokens that one of a Mooncake trace's hash ids stands for (kvcache-ai/Mooncake, FAST25 release).
MOONCAKE_BLOCK_TOKENS = 512


class Arrival(NamedTuple):
    """A request at `at` seconds. `prefix` names its blocks of `prefix_tokens` tokens; of two
    requests, an equal name at a place means an equal prompt up to there."""

    at: float
    prompt_tokens: int
    output_tokens: int
    prefix: tuple[int, ...] = ()
    prefix_tokens: int = MOONCAKE_BLOCK_TOKENS

    def hashes(self, block_tokens: int) -> list[int]:
        """Names for the engine's own blocks: each is that of the trace's block its last token is
        in, and its place."""
        known = min(self.prompt_tokens, len(self.prefix) * self.prefix_tokens)
        return [
            (self.prefix[((k + 1) * block_tokens - 1) // self.prefix_tokens] << 24) + k
            for k in range(known // block_tokens)
        ]


def read_trace(path: Path) -> Iterator[Arrival]:
    """A trace by its form: Mooncake JSON lines, or CSV with the columns of the Azure LLM inference
    traces, of BurstGPT or of vidur. Times count from the first row. Raises ConfigError."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            start = file.read(1)
            file.seek(0)
            rows = _mooncake(file) if start == "{" else _csv(file, path)
            first = None
            for number, row in enumerate(_checked(rows, path), 1):
                first = row.at if first is None else first
                if row.at < first:
                    raise ConfigError(f"{path}: row {number} is earlier than the first")
                yield row._replace(at=row.at - first)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None


def _checked(rows: Iterator[Arrival], path: Path) -> Iterator[Arrival]:
    number = 0
    while True:
        number += 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path}: row {number} is no request: {error}") from None
        if row.prompt_tokens > 0 and row.output_tokens > 0:
            yield row  # failed requests are in some traces, with nothing generated


def _mooncake(lines: Iterable[str]) -> Iterator[Arrival]:
    for line in lines:
        if not line.strip():
            continue
        row = orjson.loads(line)
        yield Arrival(
            float(row["timestamp"]) / 1000,
            int(row["input_length"]),
            int(row["output_length"]),
            tuple(row.get("hash_ids", ())),
        )


def _azure(row: dict[str, str]) -> Arrival:
    # Seven digits of a second are one more than fromisoformat takes.
    stamp = datetime.fromisoformat(row["TIMESTAMP"].strip()[:26]).timestamp()
    return Arrival(stamp, int(row["ContextTokens"]), int(row["GeneratedTokens"]))


def _burst_gpt(row: dict[str, str]) -> Arrival:
    return Arrival(float(row["Timestamp"]), int(row["Request tokens"]), int(row["Response tokens"]))


def _vidur(row: dict[str, str]) -> Arrival:
    return Arrival(
        float(row["arrived_at"]), int(row["num_prefill_tokens"]), int(row["num_decode_tokens"])
    )


#: The column that tells a form of CSV -> how a row of it reads.
_FORMS: dict[str, Callable[[dict[str, str]], Arrival]] = {
    "ContextTokens": _azure,
    "Request tokens": _burst_gpt,
    "num_prefill_tokens": _vidur,
}


def _csv(file: Iterable[str], path: Path) -> Iterator[Arrival]:
    reader = csv.DictReader(file)
    for column, form in _FORMS.items():
        if column in (reader.fieldnames or ()):
            yield from map(form, reader)
            return
    raise ConfigError(
        f"{path}: no trace that is known: a Mooncake file has JSON lines with input_length, a CSV a "
        f"column {', '.join(_FORMS)}"
    )


class Lengths(NamedTuple):
    """Prompts and answers drawn evenly between `low` times and one times these; all prompts begin
    with the same `shared` tokens."""

    prompt_tokens: int
    output_tokens: int
    low: float = 1.0
    shared: int = 0

    def draw(self, rng: Random, at: float) -> Arrival:
        prompt, output = (
            max(1, round(tokens * rng.uniform(self.low, 1.0)))
            for tokens in (self.prompt_tokens, self.output_tokens)
        )
        shared = min(self.shared, prompt - 1)
        return Arrival(at, prompt, output, (1,) if shared else (), shared or 1)


def poisson(rate: float, rng: Random) -> Iterator[float]:
    """Gaps between arrivals that know nothing of each other, `rate` a second."""
    while True:
        yield rng.expovariate(rate)


def constant(rate: float) -> Iterator[float]:
    return itertools.repeat(1 / rate)


def ramp(start: float, end: float, duration_s: float, rng: Random) -> Iterator[float]:
    """Gaps of a Poisson process whose rate goes evenly from `start` to `end` a second, then stays."""
    at = 0.0
    while True:
        share = min(1.0, at / duration_s)
        gap = rng.expovariate(max(start + (end - start) * share, 1e-6))
        at += gap
        yield gap


def spaced(gaps: Iterator[float], lengths: Lengths, rng: Random) -> Iterator[Arrival]:
    at = 0.0
    for gap in gaps:
        at += gap
        yield lengths.draw(rng, at)
