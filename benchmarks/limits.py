"""What rate limits add to a request, and what a million keys weigh, in this process without sockets.

    python benchmarks/limits.py --requests 15000 --keys 1000000

`request_us` is CPU time from the bytes of a request to its permit, the headers of its answer and the
end of the permit, under the limits of OpenAI's tier 5; `keyed_us` the same where each key has its own
account besides its organization's, and every request brings a new key. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import time
from contextlib import suppress
from statistics import median

from load import chat_body
from processes import resident_mb

from fakeai_proxy.body import Body
from fakeai_proxy.clock import SystemClock
from fakeai_proxy.exchange import Exchange, Reply, Request, Workload
from fakeai_proxy.profiles.limits import LimitsProfile
from fakeai_proxy.shaping.limits import Limiter, LimitSettings
from fakeai_proxy.shaping.limits.charge import Charge
from fakeai_proxy.shaping.limits.demand import Demand

_TARGET = "/v1/chat/completions"
#: So many that nobody is ever refused.
_PLENTY = {"rpm": 100_000_000, "tpm": 100_000_000_000}

_BATCH = 250
_WORK = Workload("gpt-4o-mini", range(30), 100)


def _headers(number: int) -> tuple[tuple[bytes, bytes], ...]:
    return (
        (b"Host", b"api.openai.com"),
        (b"Authorization", b"Bearer sk-benchmark-%d" % number),
        (b"Content-Type", b"application/json"),
        (b"Accept", b"*/*"),
    )


def _keyed() -> Limiter:
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


async def _cpu_us(limiter: Limiter, requests: int) -> float:
    """CPU time of a request: the median of batches, which a busy host disturbs least."""
    took_us = []
    for first in range(0, requests, _BATCH):
        batch = []
        for number in range(first, first + _BATCH):
            request = Request("POST", _TARGET, _headers(number), Body(chat_body(number)))
            exchange = Exchange("req_1", request, 0.0)
            exchange.reply = reply = Reply(200, (), [], workload=_WORK)
            batch.append((exchange, reply))
        started_ns = time.process_time_ns()
        for exchange, reply in batch:
            async with limiter.admit(exchange) as permit:
                permit.stamp(reply)
        took_us.append((time.process_time_ns() - started_ns) / 1e3 / _BATCH)
        if len(reply.headers) != 6:
            raise SystemExit(f"headers of a limited answer: {reply.headers}")
    return median(took_us)


def _weighed(keys: int) -> float:
    """MiB that so many keys with one model each add to a process."""
    limiter = _keyed()
    rules = limiter.rules_for("openai")
    assert rules is not None
    gc.collect()
    before = resident_mb(os.getpid())
    demand, charge = Demand("chat/completions", "gpt-4o-mini"), Charge(1, 100)
    for number in range(keys):
        request = Request("POST", _TARGET, _headers(number), Body())
        entering = limiter.enter(request, rules.plan(demand.model), demand, charge)
        with suppress(StopIteration):  # whoever counts alone waits for nobody
            entering.send(None)
    if sum(map(len, rules.ledgers())) < keys:
        raise SystemExit("keys were given up that still count")
    return resident_mb(os.getpid()) - before


async def _run(requests: int) -> dict[str, float]:
    tier = Limiter(LimitSettings(limits=("openai:5",)), SystemClock())
    return {
        "request_us": await _cpu_us(tier, requests),
        "keyed_us": await _cpu_us(_keyed(), requests),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=15_000)
    parser.add_argument("--keys", type=int, default=1_000_000)
    options = parser.parse_args()
    gc.freeze()
    gc.disable()
    result = asyncio.run(_run(options.requests))
    result["keys_mib"] = _weighed(options.keys)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
