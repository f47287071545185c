"""The product serving from a fleet, with a log of when each token existed.

    python benchmarks/fleet_server.py --port 8900 --profile fleet.toml --log steps.json

On SIGUSR1 it writes, for every request by its id, the ends of the steps that made its tokens, in
nanoseconds since the epoch. `streams.py --steps steps.json` holds what arrives against them.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import io
import json
import signal
import time
from collections import defaultdict
from pathlib import Path

from fakeai_proxy.cli.serve import raise_open_file_limit, run_loop, start
from fakeai_proxy.clock import SystemClock
from fakeai_proxy.config import Config
from fakeai_proxy.exchange import Exchange, Workload
from fakeai_proxy.fleet.job import Job
from fakeai_proxy.fleet.step import Step
from fakeai_proxy.fleet.worker import Worker


class StepLog:
    """Listens to the cluster and to the pipeline. What it notes for a step does not depend on the
    number of its streams."""

    def __init__(self) -> None:
        self._ends: defaultdict[Worker, list[float]] = defaultdict(list)
        self._jobs: dict[int, Job] = {}
        self._requests: list[tuple[str, Workload]] = []

    def stepped(self, worker: Worker, step: Step) -> None:
        self._ends[worker].append(step.ended_at)

    def finished(self, job: Job, at: float) -> None:
        self._jobs[id(job.workload)] = job

    def failed(self, job: Job, at: float) -> None: ...

    def exchanged(self, exchange: Exchange) -> None:
        if exchange.reply is not None and exchange.reply.workload is not None:
            self._requests.append((exchange.id, exchange.reply.workload))

    def written(self, clock: SystemClock) -> str:
        # Simulated, monotonic and epoch time all run at one pace.
        zero_ns = time.time_ns() - int(clock.now() * 1e9)
        found = {}
        for request_id, workload in self._requests:
            job = self._jobs[id(workload)]
            assert job.worker is not None
            ends = self._ends[job.worker]
            sequence = job.sequences[0]
            assert sequence.first_token_at is not None
            assert sequence.finished_at is not None
            first = bisect.bisect_left(ends, sequence.first_token_at)
            last = bisect.bisect_left(ends, sequence.finished_at)
            found[request_id] = [zero_ns + int(at * 1e9) for at in ends[first : last + 1]]
        return json.dumps(found)


class Ended:
    def __init__(self, log: StepLog) -> None:
        self.finished = log.exchanged


async def _serve(options: argparse.Namespace) -> None:
    raise_open_file_limit()
    config = Config.load(
        flags={
            "listen": f"127.0.0.1:{options.port}",
            "profile": str(options.profile),
            "log_format": "none",
        }
    )
    app, _ = await start(config, io.StringIO())
    assert app.fleet is not None
    assert isinstance(app.clock, SystemClock)
    log, clock = StepLog(), app.clock
    app.fleet.cluster.listeners.append(log)
    app.status.finished = Ended(log).finished  # type: ignore[method-assign]  # stands in for a counter

    def write() -> None:
        part = options.log.with_suffix(".part")
        part.write_text(log.written(clock))
        part.rename(options.log)

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, write)
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--profile", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    run_loop(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
