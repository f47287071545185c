"""A hundred thousand mixed requests with everything on: does anything leak, and do all counters agree?

    python benchmarks/soak.py                      100,000 requests, some minutes
    python benchmarks/soak.py --requests 5000

One server synthesizes behind its default fleet with faults and a journal, with its state on the disk;
another records what it is asked from a third. Clients ask for whole answers and streams of several rooms
of two vendors, and leave some streams in their middle; two readers have the live feeds open that the
dashboard has, and a scraper comes once a second. Prints one JSON object; exits with 1 where something
leaks or disagrees. Needs Linux and the package itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
from processes import Server, product, resident_mb

AT_ONCE = 32
KEYS = ("sk-soak-one", "sk-soak-two", "sk-soak-three")
#: Of a stream that is left: it cannot have ended before.
LEFT_TOKENS = 4_000
#: After so much of the load all caches and rings are full; what grows from there on leaks.
WARM = 0.5
#: Growth from there to the end that is no leak: allocators keep what they had.
GROWTH_MB_MAX = 24.0
#: The first file that is full is sealed in the second half: what allocators keep of that, once.
SEALING_MB = 16.0
#: Descriptors of a server with all connections of its clients and to its upstream, and a few more; so many
#: of them are idle at one time and another.
DESCRIPTORS_MAX = 2 * AT_ONCE + 32
FEEDS = ("/_fakeai/v1/live", "/_fakeai/v1/journal/stream")
FAULTS = ("503:p=0.01", "cut:p=0.01,after=3", "latency:p=0.02,ms=20,also=true")


class Tally:
    """What clients have seen."""

    def __init__(self) -> None:
        self.asked = 0
        self.by_status: Counter[int] = Counter()
        self.broken = 0
        self.left = 0
        #: Answers of chat that came whole, and their tokens.
        self.whole = 0
        self.prompt_tokens = 0
        self.output_tokens = 0


def _leaves(number: int) -> bool:
    """Whether its client goes away in the middle."""
    return number % 20 == 7


def _asks(number: int) -> tuple[str, dict[str, Any]]:
    """The path and body of the `number`-th request."""
    question = f"Question {number % 5000} of the soak: what does the light say?"
    chat = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": question}],
        "max_tokens": 8 + number % 25,
    }
    streamed = {**chat, "stream": True, "stream_options": {"include_usage": True}}
    if _leaves(number):
        streamed |= {"max_tokens": LEFT_TOKENS, "min_tokens": LEFT_TOKENS, "ignore_eos": True}
    kind = number % 10
    if kind < 4:
        return "/v1/chat/completions", chat
    if kind < 8:
        return "/v1/chat/completions", streamed
    if kind == 8:
        return "/v1/embeddings", {"model": "text-embedding-3-small", "input": question}
    return "/v1/messages", {**chat, "model": "claude-sonnet-4-5"}


async def _ask(session: aiohttp.ClientSession, url: str, number: int, tally: Tally) -> None:
    path, body = _asks(number)
    leaves = _leaves(number)
    headers = {"authorization": f"Bearer {KEYS[number % len(KEYS)]}"}
    if path == "/v1/messages":
        headers |= {"anthropic-version": "2023-06-01", "x-api-key": KEYS[number % len(KEYS)]}
    tally.asked += 1
    try:
        async with session.post(url + path, json=body, headers=headers) as answer:
            tally.by_status[answer.status] += 1
            if leaves and answer.status == 200:
                await answer.content.readline()
                tally.left += 1
                answer.close()
                return
            data = await answer.read()
    except aiohttp.ClientError:
        tally.broken += 1
        return
    if answer.status == 200 and path == "/v1/chat/completions":
        _count(tally, data, bool(body.get("stream")))


def _count(tally: Tally, data: bytes, streamed: bool) -> None:
    if streamed:
        events = [line[6:] for line in data.split(b"\n") if line.startswith(b"data: {")]
        usage = json.loads(events[-1]).get("usage")
    else:
        usage = json.loads(data)["usage"]
    if usage is None:
        raise SystemExit(f"a whole stream without usage: {data[-300:]!r}")
    tally.whole += 1
    tally.prompt_tokens += usage["prompt_tokens"]
    tally.output_tokens += usage["completion_tokens"]


async def _watch(session: aiohttp.ClientSession, url: str, path: str, seen: Counter[str]) -> None:
    """As the dashboard does, and again when the feed has ended."""
    async with session.get(url + path, timeout=aiohttp.ClientTimeout(None)) as answer:
        async for line in answer.content:
            if line.startswith(b"event: "):
                seen[line[7:].strip().decode()] += 1


async def _scrape(session: aiohttp.ClientSession, url: str) -> None:
    while True:
        for path in ("/metrics", "/dcgm/metrics", "/metrics/prometheus"):
            async with session.get(url + path) as answer:
                await answer.read()
        await asyncio.sleep(1)


async def _load(session: aiohttp.ClientSession, urls: tuple[str, str], first: int, last: int,
                tallies: tuple[Tally, Tally]) -> None:  # fmt: skip
    """Two of three to the first server."""
    numbers = iter(range(first, last))

    async def client() -> None:
        for number in numbers:
            place = int(number % 3 == 2)
            await _ask(session, urls[place], number, tallies[place])

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(client())


async def _json(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with session.get(url, headers={"authorization": "Bearer sk-soak"}) as answer:
        found: dict[str, Any] = await answer.json()
        return found


async def _settled(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    """The status once nothing is under way any more."""
    status: dict[str, Any] = {}
    for _ in range(100):
        status = await _json(session, f"{url}/_fakeai/v1/status")
        fleet = await _json(session, f"{url}/_fakeai/v1/fleet")
        if not any(w["running"] or w["waiting"] for w in fleet.get("workers", ())):
            break
        await asyncio.sleep(0.1)
    return status


def _descriptors(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.pid}/fd"))


async def _usage(session: aiohttp.ClientSession, url: str) -> dict[str, int]:
    """Of chat, over all that there was."""
    found: Counter[str] = Counter()
    since = int(time.time()) - 86_400
    page = (
        f"{url}/v1/organization/usage/completions?start_time={since}&bucket_width=1d&group_by=model"
    )
    async with asyncio.timeout(60):
        told = await _json(session, page)
    for bucket in told["data"]:
        for result in bucket["results"]:
            if result["model"].startswith("gpt-4o-mini"):
                found["requests"] += result["num_model_requests"]
                found["prompt_tokens"] += result["input_tokens"]
                found["output_tokens"] += result["output_tokens"]
    return dict(found)


async def _measured(servers: tuple[Server, Server], requests: int) -> dict[str, Any]:
    urls = servers[0].url, servers[1].url
    tallies, seen = (Tally(), Tally()), Counter[str]()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        watching = [
            asyncio.create_task(_watch(session, url, path, seen)) for url in urls for path in FEEDS
        ]
        watching.append(asyncio.create_task(_scrape(session, urls[0])))
        warm = int(requests * WARM)
        await _load(session, urls, 0, warm, tallies)
        before = [(resident_mb(server.pid), _descriptors(server)) for server in servers]
        await _load(session, urls, warm, requests, tallies)
        statuses = [await _settled(session, url) for url in urls]
        after = [(resident_mb(server.pid), _descriptors(server)) for server in servers]
        journals = [await _json(session, f"{url}/_fakeai/v1/journal?limit=1") for url in urls]
        usage = await _usage(session, urls[0])
        models = await _json(session, f"{urls[0]}/metrics/by-model")
        for task in watching:
            task.cancel()
            with suppress(asyncio.CancelledError, aiohttp.ClientError):
                await task
    return {
        "requests": requests,
        "growth_mb": [round(b[0] - a[0], 1) for a, b in zip(before, after, strict=True)],
        "descriptors": [[a[1], b[1]] for a, b in zip(before, after, strict=True)],
        "tasks": [status["tasks"] for status in statuses],
        "clients": [vars(tally) for tally in tallies],
        "journal": [journal["finished_total"] for journal in journals],
        "status": [sum(status["exchanges"].values()) for status in statuses],
        "usage": usage,
        "by_model": {name: one["request_count"] for name, one in models.items()},
        "events": dict(seen),
    }


def _wrong(found: dict[str, Any]) -> list[str]:
    """What leaks or disagrees."""
    wrong = []
    for place, name in enumerate(("synth", "record")):
        tally = found["clients"][place]
        if found["growth_mb"][place] > GROWTH_MB_MAX + place * SEALING_MB:
            wrong.append(f"{name}: grew by {found['growth_mb'][place]} MB")
        before, after = found["descriptors"][place]
        if after > max(before, DESCRIPTORS_MAX) + 4:
            wrong.append(f"{name}: {after - before} more descriptors")
        for where in ("journal", "status"):
            if found[where][place] != tally["asked"]:
                wrong.append(f"{name}: {where} {found[where][place]}, clients {tally['asked']}")
    told, seen = found["usage"], found["clients"][0]
    for ours, theirs in (
        ("whole", "requests"),
        ("prompt_tokens", "prompt_tokens"),
        ("output_tokens", "output_tokens"),
    ):
        if told.get(theirs, 0) != seen[ours]:
            wrong.append(f"usage: {theirs} {told.get(theirs)}, clients {seen[ours]}")
    if sum(found["by_model"].values()) != seen["asked"]:
        wrong.append(f"by-model: {sum(found['by_model'].values())}, clients {seen['asked']}")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=100_000)
    options = parser.parse_args()
    faults = [word for fault in FAULTS for word in ("--fault", fault)]
    with (
        tempfile.TemporaryDirectory() as folder,
        product("--profile", "none", "--log-format", "none", cpu=1) as upstream,
        product("--speed", "20", "--log-format", "none", "--data", Path(folder) / "kept", *faults) as synth,
        product("--mode", "record", "--upstream", upstream.url, "--log-format", "none", "--cassette",
                Path(folder) / "soak.fcz", "--fault", "503:p=0.01", cpu=1) as record,
    ):  # fmt: skip
        found = asyncio.run(_measured((synth, record), options.requests))
    wrong = _wrong(found)
    print(json.dumps({**found, "wrong": wrong}, indent=1))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
