"""Benchmark clients from PyPI against a simulated fleet: do they see what its own metrics say?

    python benchmarks/outside/run.py                            aiperf and guidellm, 80 requests each
    python benchmarks/outside/run.py --clients aiperf --profile 8xh100-70b-tp4x2

Each client streams chats from a fleet of its own; its report is held against the differences of
/metrics over the same run. Token counts must be equal. A client's TTFT may only be later, by what it
takes itself (`plain`, which is blocking sockets, is the yardstick); gaps and whole requests have a
ratio of one. aiperf also reads our DCGM pages and /metrics by itself, and has to have found there
what is there.

A client that is neither given nor on PATH is installed into a virtual environment of its own in --venv
(aiperf 1.2 GB, guidellm 6 GB) and skipped, loudly, where that fails. Exits with 1 if anything was
missed, or nothing ran.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from agreement import Agreement, agreements, markdown
from clients import CLIENTS, PLAIN, measure
from environments import ClientMissingError, default_folder, executable
from load_seen import Load, Seen
from server import Server


def _measured(
    client: str, program: Path | None, profile: str, load: Load
) -> tuple[Seen, Counter[str], dict[str, str]]:
    """What it saw, how /metrics grew meanwhile, and the GPUs that there are."""
    with tempfile.TemporaryDirectory() as name, Server(profile, Path(name)) as server:
        before = server.totals()
        seen = measure(client, program, server, load, Path(name))
        after = server.totals()
        after.subtract(before)
        return seen, after, server.gpus()


def _report(client: str, seen: Seen, gpus: dict[str, str], rows: list[Agreement]) -> dict[str, Any]:
    return {
        "client": client,
        "seen": seen.as_json(),
        "gpus": gpus,
        "agreements": [row.as_json() for row in rows],
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", default=",".join((PLAIN, *CLIENTS)), metavar="NAME,...")
    parser.add_argument("--profile", default="1xh100-8b", help="a fleet")
    parser.add_argument("--requests", type=int, default=80)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--venv", type=Path, default=default_folder(), metavar="DIR",
                        help="where clients have, or get, environments of their own")  # fmt: skip
    for client in CLIENTS:
        parser.add_argument(f"--{client}", type=Path, metavar="PROGRAM", help="where it is")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    options.clients = options.clients.split(",")
    for client in options.clients:
        if client not in (PLAIN, *CLIENTS):
            parser.error(f"--clients: there are {PLAIN}, {', '.join(CLIENTS)}, and no {client}")
    return options


def main() -> int:
    options = _options()
    load = Load(options.requests, options.concurrency)
    rows: list[Agreement] = []
    reports = []
    skipped: dict[str, str] = {}
    for client in options.clients:
        try:
            program = None
            if client != PLAIN:
                program = executable(client, getattr(options, client), options.venv)
        except ClientMissingError as error:
            skipped[client] = str(error)
            continue
        print(f"{client}: {load.requests} requests", file=sys.stderr, flush=True)
        seen, grown, gpus = _measured(client, program, options.profile, load)
        own = agreements(client, seen, grown, gpus)
        rows += own
        reports.append(_report(f"{client} {seen.version}".strip(), seen, gpus, own))
    print(
        f"{options.profile}, {load.requests} streamed chats, {load.concurrency} at a time, about "
        f"{load.prompt_tokens} + {load.output_tokens} tokens\n"
    )
    print(markdown(rows))
    for client, reason in skipped.items():
        print(f"\nSKIPPED {client}: {reason}")
    if options.json:
        options.json.write_text(json.dumps({"runs": reports, "skipped": skipped}, indent=1) + "\n")
    return 1 if not rows or any(not row.holds for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
