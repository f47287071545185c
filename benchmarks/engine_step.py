"""What a step of the engine costs us, without sockets and clock.

    python benchmarks/engine_step.py --batch 64 --steps 4000

One worker of the shipped profile 1xh100-8b with so many sequences that decode. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import gc
import json
import time

from load import quantile

from fakeai_proxy.dice import Dice
from fakeai_proxy.exchange import Workload
from fakeai_proxy.fleet.cluster import Cluster
from fakeai_proxy.fleet.job import Job
from fakeai_proxy.profiles import load_fleet


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=4000)
    options = parser.parse_args()
    cluster = Cluster(load_fleet("1xh100-8b"), Dice(0))
    for number in range(options.batch):
        prompt = range(number * 1000, number * 1000 + 500)
        job = Job(Workload("llama-3.1-8b", prompt, options.steps + 100), 0.0)
        job.hashes = cluster.hashes(job)
        cluster.submit(job)
    engine = cluster.workers[0].engine
    while engine.decoding.size < options.batch:
        cluster.advance(cluster.next_at)
    gc.freeze()
    took_us = []
    for _ in range(options.steps):
        started_ns = time.perf_counter_ns()
        cluster.advance(cluster.next_at)
        took_us.append((time.perf_counter_ns() - started_ns) / 1e3)
    assert engine.decoding.size == options.batch, "every step was one of the whole batch"
    took_us.sort()
    mean_us = sum(took_us) / len(took_us)
    print(json.dumps({"mean_us": mean_us, "p99_us": quantile(took_us, 0.99)}))


if __name__ == "__main__":
    main()
