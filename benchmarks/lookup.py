"""Finding a request among the recordings of a cassette, in this process and without sockets.

    python benchmarks/lookup.py --cassette recordings.fcz --requests 10000

Measured from the bytes of a request to the place of its recording: the hash and the look into the
index. `canonical` is the way of a request that was recorded with other bytes, such as another order
of its JSON keys; `read` is what decoding the found recording costs on top. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Callable
from pathlib import Path

from load import chat_body, quantile

from fakeai_proxy.cassette.entries import Entry
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.matching import canonical_body, key_of, raw_key
from fakeai_proxy.cassette.settings import CassetteSettings
from fakeai_proxy.clock import SystemClock

_TARGET = "/v1/chat/completions"
_HEADERS = (
    (b"Host", b"api.openai.com"),
    (b"Authorization", b"Bearer sk-benchmark"),
    (b"Content-Type", b"application/json"),
    (b"Accept", b"*/*"),
)
_ANY_AUTHORITY = 0


def _timed(find: Callable[[bytes], object], bodies: list[bytes]) -> list[float]:
    """Microseconds of each, sorted."""
    took_us = []
    for body in bodies:
        started_ns = time.perf_counter_ns()
        found = find(body)
        took_us.append((time.perf_counter_ns() - started_ns) / 1e3)
        if found is None:
            raise SystemExit(f"not recorded: {body.decode()}")
    return sorted(took_us)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cassette", type=Path, required=True)
    parser.add_argument("--requests", type=int, default=10_000)
    options = parser.parse_args()
    started_ns = time.perf_counter_ns()
    library = Library.open(CassetteSettings(cassette=(options.cassette,)), SystemClock())
    open_ms = (time.perf_counter_ns() - started_ns) / 1e6

    def by_bytes(body: bytes) -> Entry | None:
        return library.find(raw_key("POST", _TARGET, _HEADERS, body), _ANY_AUTHORITY)

    def by_meaning(body: bytes) -> Entry | None:
        key = key_of("POST", _TARGET, _HEADERS, canonical_body(_HEADERS, body))
        return library.find_canonical(key, _ANY_AUTHORITY)

    def and_read(body: bytes) -> object:
        entry = by_bytes(body)
        return None if entry is None else library.script(entry)

    bodies = [chat_body(number) for number in range(options.requests)]
    gc.freeze()
    gc.disable()
    result: dict[str, float] = {"recordings": len(library.index.entries), "open_ms": open_ms}
    for name, find in (("raw", by_bytes), ("canonical", by_meaning), ("read", and_read)):
        took_us = _timed(find, bodies)
        result[f"{name}_mean_us"] = sum(took_us) / len(took_us)
        result[f"{name}_p99_us"] = quantile(took_us, 0.99)
    library.close()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
