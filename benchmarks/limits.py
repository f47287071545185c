"""What rate limits add to a request, and what a million keys weigh, in this process without sockets.

    python benchmarks/limits.py --requests 20000 --keys 1000000

`request_us` is from the bytes of a request to its permit, the headers of its answer and the end of the
permit, all with a key never seen before; `known_us` the same for keys that were. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import time

from load import chat_body, quantile
from processes import resident_mb

from fakeai_proxy.body import Body
from fakeai_proxy.clock import SystemClock
from fakeai_proxy.exchange import Exchange, Reply, Request
from fakeai_proxy.profiles.limits import LimitsProfile
from fakeai_proxy.shaping.limits import Limiter, LimitSettings
from fakeai_proxy.shaping.limits.charge import Charge
from fakeai_proxy.shaping.limits.demand import Demand

_TARGET = "/v1/chat/completions"
#: So many that nobody is ever refused.
_PLENTY = {"rpm": 100_000_000, "tpm": 100_000_000_000}


def _headers(number: int) -> tuple[tuple[bytes, bytes], ...]:
    return (
        (b"Host", b"api.openai.com"),
        (b"Authorization", b"Bearer sk-benchmark-%d" % number),
        (b"Content-Type", b"application/json"),
        (b"Accept", b"*/*"),
    )


def _limiter() -> Limiter:
    """Of a kind that gives every key an account of its own besides its organization's."""
    profile = LimitsProfile.model_validate(
        {
            "name": "benchmark",
            "description": "Requests and tokens, by key and by organization",
            "source": "No vendor's: what the benchmark counts with",
            # What a key has used of its day is not forgotten while the others come.
            "limit": [{"scope": "key", "rpd": 1000, **_PLENTY}, {**_PLENTY}],
        }
    )
    limiter = Limiter(LimitSettings(), SystemClock())
    limiter.replace([(profile, "")])
    return limiter


async def _timed(limiter: Limiter, first_key: int, keys: int, requests: int) -> list[float]:
    """Microseconds of each, sorted."""
    took_us = []
    for number in range(requests):
        body = Body(chat_body(number))
        request = Request("POST", _TARGET, _headers(first_key + number % keys), body)
        exchange = Exchange("req_1", request, 0.0)
        started_ns = time.perf_counter_ns()
        async with limiter.admit(exchange) as permit:
            exchange.reply = reply = Reply(200, (), [])
            permit.stamp(reply)
        took_us.append((time.perf_counter_ns() - started_ns) / 1e3)
        if len(reply.headers) != 6:
            raise SystemExit(f"headers of an unlimited answer: {reply.headers}")
    return sorted(took_us)


def _weighed(keys: int) -> float:
    """MiB that so many keys with one model each add to a process."""
    limiter = _limiter()
    rules = limiter.rules_for("openai")
    assert rules is not None
    gc.collect()
    before = resident_mb(os.getpid())
    demand, charge = Demand("chat/completions", "gpt-4o-mini"), Charge(1, 100)
    for number in range(keys):
        request = Request("POST", _TARGET, _headers(number), Body())
        limiter.enter(request, rules.plan(demand.model), demand, charge)
    if sum(map(len, rules.ledgers())) < keys:
        raise SystemExit("keys were given up that still count")
    return resident_mb(os.getpid()) - before


async def _run(requests: int) -> dict[str, float]:
    limiter = _limiter()
    fresh = await _timed(limiter, 0, requests, requests)
    known = await _timed(limiter, 0, 1000, requests)
    return {
        "request_us": sum(fresh) / len(fresh),
        "request_p99_us": quantile(fresh, 0.99),
        "known_us": sum(known) / len(known),
        "known_p99_us": quantile(known, 0.99),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--keys", type=int, default=1_000_000)
    options = parser.parse_args()
    gc.freeze()
    result = asyncio.run(_run(options.requests))
    result["keys_mib"] = _weighed(options.keys)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
