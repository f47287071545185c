"""What counting adds to an exchange, and how soon a million of them are added up; without sockets.

    python benchmarks/usage.py --exchanges 1000000

`note_us` is what the meter costs an answer, of which none is like another, with a log on the disk;
`query_ms` a page of usage and `costs_ms` one of costs, over a month of exchanges by ten keys with four
models, each through the started rooms. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from pathlib import Path
from statistics import median

import httpx

from fakeai_proxy.app import App
from fakeai_proxy.body import Body
from fakeai_proxy.clock import SystemClock
from fakeai_proxy.config import Config
from fakeai_proxy.exchange import Exchange, Reply, Request, Usage
from fakeai_proxy.services.ledger import Ledger
from fakeai_proxy.store import Store, Tally, open_store

_DAYS, _KEYS = 30, 10
_MODELS = ("gpt-4o", "gpt-4o-mini", "gpt-5-mini", "text-embedding-3-small")
_TOGETHER = 5_000
_REQUEST = Request("POST", "/v1/chat/completions", (), Body(b""))


def _exchange(number: int) -> Exchange:
    amounts = {"input_tokens": number, "output_tokens": 50, "num_model_requests": 1}
    exchange = Exchange("r", _REQUEST, 0.0, project="proj_default", key_id=f"key_{number % _KEYS}")
    usage = Usage("completions", _MODELS[number % len(_MODELS)], amounts)
    exchange.reply = Reply(200, (), (), usage=(usage,))
    return exchange


async def _note_us(count: int) -> float:
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder), clock)
        ledger = Ledger(lambda: store, Path(folder), clock)
        took = []
        for begin in range(0, count, 500):
            some = [_exchange(number) for number in range(begin, begin + 500)]
            started = time.perf_counter()
            for one in some:
                ledger.note(one)
            took.append((time.perf_counter() - started) / len(some) * 1e6)
            await ledger.settle()
        await ledger.close()
        await store.close()
    return median(took)


async def _fill(store: Store, exchanges: int, now: float) -> None:
    """A month of them, added up by the minute as a ledger does."""
    rng = random.Random(7)
    sums: dict[tuple[int, int, int], list[int]] = {}
    for _ in range(exchanges):
        minute = int(now) // 60 - rng.randrange(_DAYS * 1440)
        place = (minute, rng.randrange(_KEYS), rng.randrange(len(_MODELS)))
        counted = sums.setdefault(place, [0, 0])
        counted[0] += rng.randrange(2000)
        counted[1] += 1
    tallies = [
        Tally(
            "usage.completions", minute * 60.0,
            {"project_id": "proj_default", "api_key_id": f"key_{key}", "model": _MODELS[model]},
            {"input_tokens": tokens, "output_tokens": tokens // 4, "num_model_requests": count},
        )
        for (minute, key, model), (tokens, count) in sums.items()
    ]  # fmt: skip
    for begin in range(0, len(tallies), _TOGETHER):
        await store.commit(*tallies[begin : begin + _TOGETHER])


async def _query_ms(exchanges: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        flags = {"mode": "synth", "profile": "none", "data": folder, "listen": "127.0.0.1:0"}
        app = App(Config.load(flags=flags))
        await app.start()
        try:
            store = app.holdings.keeper()
            now = app.clock.wall()
            await _fill(store, exchanges, now)
            base = f"{app.url}/v1/organization"
            month = {"start_time": int(now) - _DAYS * 86_400, "limit": 31}
            week = {"start_time": int(now) - 6 * 86_400, "bucket_width": "1h", "limit": 168}
            return {
                "query_ms": await _median_ms(
                    f"{base}/usage/completions", {**month, "group_by": ["model", "api_key_id"]}
                ),
                "hours_ms": await _median_ms(
                    f"{base}/usage/completions", {**week, "group_by": ["model", "api_key_id"]}
                ),
                "costs_ms": await _median_ms(f"{base}/costs", {**month, "group_by": "line_item"}),
            }
        finally:
            await app.close()


async def _median_ms(url: str, query: dict[str, object]) -> float:
    took = []
    headers = {"authorization": "Bearer k"}
    async with httpx.AsyncClient(headers=headers, timeout=60) as http:
        for _ in range(5):
            started = time.perf_counter()
            answer = await http.get(url, params=query)  # type: ignore[arg-type] # numbers and words
            took.append((time.perf_counter() - started) * 1e3)
            if answer.status_code != 200 or not answer.json()["data"]:
                raise SystemExit(answer.text)
    return median(took)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--exchanges", type=int, default=1_000_000)
    options = parser.parse_args()
    found = {"note_us": asyncio.run(_note_us(20_000))}
    found |= asyncio.run(_query_ms(options.exchanges))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
