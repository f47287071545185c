"""The store by itself, without HTTP: commits, reads, lists, bytes, and sums of usage.

    python benchmarks/store.py --store sqlite --exchanges 1000000
    python benchmarks/store.py --store postgresql --exchanges 1000000

PostgreSQL is started from the system's packages, in a temporary folder on the disk, with its usual
care for power cuts. A week of usage has 40 sets of labels (models, projects, keys) with four amounts
each. Prints one JSON object: medians in milliseconds, rates a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from random import Random
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fakeai_proxy.clock import SystemClock
from fakeai_proxy.store import Insert, Key, Row, Store, Tally, open_store
from tests.servers import postgresql

PROJECT = "proj_bench"
DAY_S = 86_400
DAYS = 7
#: A Monday.
FIRST_AT = 1_750_032_000
WRITERS = 64
_LABELS = [
    {"model": f"model-{k % 5}", "project": f"proj_{k // 5 % 4}", "key": f"key_{k // 20}"}
    for k in range(40)
]
_DOCUMENT = {"object": "thing", "metadata": {"a": "b"}, "text": "lorem ipsum " * 60}


async def timed_ms(ask: Callable[[int], Awaitable[object]], times: int) -> float:
    took = []
    for number in range(times):
        started = time.perf_counter()
        await ask(number)
        took.append((time.perf_counter() - started) * 1e3)
    return median(took)


def note(number: int) -> Insert:
    return Insert(Row(Key("note", f"n{number}", PROJECT), _DOCUMENT, 1.0, tags={"by": "bench"}))


async def documents(store: Store, how_many: int) -> dict[str, float]:
    await store.commit(note(-1))
    numbers = count()

    async def write() -> None:
        while (number := next(numbers)) < how_many:
            await store.commit(note(number))

    started = time.perf_counter()
    await asyncio.gather(*[write() for _ in range(WRITERS)])
    inserted_s = how_many / (time.perf_counter() - started)
    page = f"n{how_many // 2}"
    return {
        "inserted_per_s": inserted_s,
        "commit_ms": await timed_ms(lambda k: store.commit(note(how_many + k)), 200),
        "get_ms": await timed_ms(lambda k: store.get(Key("note", f"n{k}", PROJECT)), 300),
        "page_ms": await timed_ms(lambda k: store.page("note", PROJECT, after=page), 300),
        "tagged_page_ms": await timed_ms(
            lambda k: store.page("note", PROJECT, after=page, tags={"by": "bench"}), 300
        ),
    }


async def blobs(store: Store, megabytes: int) -> dict[str, float]:
    piece = Random(0).randbytes(1 << 20)
    started = time.perf_counter()
    blob = await store.blobs.put(piece for _ in range(megabytes))
    put_s = time.perf_counter() - started
    started = time.perf_counter()
    async for _ in store.blobs.chunks(blob.name):
        pass
    got_s = time.perf_counter() - started
    return {"put_mib_per_s": megabytes / put_s, "get_mib_per_s": megabytes / got_s}


async def usage(store: Store, exchanges: int) -> dict[str, float]:
    """Counted as the ledger does: what is of one minute and labels is one tally, a thousand a commit."""
    dice = Random(1)
    waiting: dict[tuple[int, int], int] = {}
    for _ in range(exchanges):
        place = dice.randrange(DAYS * 1440), dice.randrange(len(_LABELS))
        waiting[place] = waiting.get(place, 0) + 1
    tallies = [
        Tally("completions", FIRST_AT + minute * 60, _LABELS[labels],
              {"requests": n, "input_tokens": 100 * n, "output_tokens": 50 * n, "cached_tokens": n})
        for (minute, labels), n in sorted(waiting.items())
    ]  # fmt: skip
    started = time.perf_counter()
    for start in range(0, len(tallies), 1000):
        await store.commit(*tallies[start : start + 1000])
    counted_s = len(tallies) / (time.perf_counter() - started)

    async def asked(seconds: int, bucket_s: int) -> float:
        end_at = FIRST_AT + DAYS * DAY_S
        sums = await store.sums("completions", end_at - seconds, end_at, bucket_s)
        assert sums
        if seconds == DAYS * DAY_S:
            assert sum(one.amounts["requests"] for one in sums) == exchanges
        return await timed_ms(
            lambda k: store.sums("completions", end_at - seconds, end_at, bucket_s), 5
        )

    return {
        "counted_per_s": counted_s,
        "week_by_day_ms": await asked(DAYS * DAY_S, DAY_S),
        "week_by_hour_ms": await asked(DAYS * DAY_S, 3600),
        "odd_days_by_day_ms": await asked(5 * DAY_S + 3660, DAY_S),
        "hour_by_minute_ms": await asked(3600, 60),
        "day_by_minute_ms": await asked(DAY_S, 60),
    }


async def measure(store: Store, options: argparse.Namespace) -> dict[str, float]:
    await store.open()
    try:
        result = await documents(store, options.documents)
        result |= await blobs(store, options.megabytes)
        return result | await usage(store, options.exchanges)
    finally:
        await store.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", choices=("sqlite", "postgresql"), required=True)
    parser.add_argument("--exchanges", type=int, default=1_000_000)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--megabytes", type=int, default=64)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        address = None
        if options.store == "postgresql":
            if not postgresql.is_installed():
                raise SystemExit(postgresql.MISSING)
            folder.chmod(0o755)
            server = postgresql.Postgresql(folder / "server")
            stack.callback(server.remove)
            server.start()
            address = server.address()
        store = open_store(folder, SystemClock(), address)
        print(json.dumps(asyncio.run(measure(store, options))))


if __name__ == "__main__":
    main()
