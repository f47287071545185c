"""How fast, and how true to the clock: the product against yardsticks in the same run.

    python benchmarks/run.py                       everything, in less than five minutes
    python benchmarks/run.py --quick               one round, in less than one
    python benchmarks/run.py --only streams        one case; may be repeated
    python benchmarks/run.py --json result.json    the figures of every round, too

Needs Linux and the package itself. Yardstick and product run in turn, three rounds, servers on CPU 0
and clients on CPU 1 where `taskset` can pin them. The table holds medians; a ratio is taken round by
round, because what the host does to one of a pair it does to the other. Exits with 1 if a bar is
missed or a case could not run.

    json       synthesized chat JSON, concurrency 32   requests/s >= 0.5 of a bare aiohttp handler
    replay     the same from 10,000 recordings         that sends the same bytes; replay >= 0.6
    streams    1,000 streams, a token every 20 ms      p99 error of a token <= 2 x that of a bare
                                                       protocol; no drift, no token lost or merged
    fleet      the same served from 8 workers,        p99 distance of a token from the end of its
               a batch of 125 in each                 step <= 2 x that of the bare protocol
    engine     a step of a batch of 64                <= 60 us
    unshaped   32 streams as fast as they go           >= 60,000 tokens/s
    recording  record mode against pass mode           adds <= 1 ms to the first token
    recording 200 streams  200 at once                 adds <= 1 ms to TTFT p50, <= 2 ms to gaps' p99
    lookup     a request in 10,000 recordings          <= 50 us
    million    a million sealed recordings             opened in <= 100 ms, found in <= 50 us,
                                                       <= 100 MiB, requests/s as `replay`
    limits     rate limits on, a million keys          <= 15 us a request, <= 500 MiB
    faults     five rules that do not match            <= 15 us a request, nothing a token
    stalls     each operation alone, then all at once  no turn of the event loop > 5 ms of CPU
    store      a million exchanges on SQLite and     sums of usage <= 200 ms
               on PostgreSQL, by itself
    batch      10,000 lines, alone and beside live     p99 of live chat <= 1.3 x without
               chat, concurrency 32
    vectors    a search of 100,000 chunks              p50 <= 10 ms
    workers    two processes against one, new          >= 1.1 x the requests/s, on two cores that
               questions                               the clients share
    start      a fresh process, then 50,000 requests   < 1 s; < 120 MiB, and flat

A token's error is its distance from its ideal instant: the moment the request was sent, plus the
TTFT, plus its number of gaps. Gaps alone would hide a stream that gets later and later. Rates "of a
core" are by the server's CPU time. On a machine that does other work, repeat: the host can take the
CPU away for longer than a bar.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from cases import CASES, Bench
from table import Measure, markdown


def _machine() -> str:
    loop = "uvloop" if importlib.util.find_spec("uvloop") else "asyncio"
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return f"{os.cpu_count()} x {model}, Python {platform.python_version()}, {loop}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--only", action="append", choices=tuple(CASES), metavar="CASE")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    measures: list[Measure] = []
    failed: dict[str, str] = {}
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options.quick, Path(folder))
        for name in options.only or CASES:
            print(f"{time.perf_counter() - started:6.1f} s  {name}", file=sys.stderr, flush=True)
            try:
                measures += CASES[name](bench)
            except SystemExit as error:
                failed[name] = str(error)
    print(f"{_machine()}; {len(bench.rounds)} round(s)\n")
    print(markdown(measures))
    for name, reason in failed.items():
        print(f"\n{name} could not run: {reason}")
    if options.json:
        report = {
            "machine": _machine(),
            "measures": [measure.as_json() for measure in measures],
            "failed": failed,
        }
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    missed = any(measure.verdict == "MISS" for measure in measures)
    return 1 if missed or failed else 0


if __name__ == "__main__":
    sys.exit(main())
