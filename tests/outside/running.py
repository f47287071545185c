"""A run of benchmarks/outside, as its report tells it. Whether times agree is for people to read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.doubles.program import ROOT

RUN_S = 300


class Run:
    def __init__(self, client: str, folder: Path, *options: str) -> None:
        report = folder / "report.json"
        done = subprocess.run(
            [
                sys.executable, str(ROOT / "benchmarks" / "outside" / "run.py"),
                "--clients", client, *options, "--json", str(report),
            ],
            text=True, capture_output=True, timeout=RUN_S, check=False,
        )  # fmt: skip
        assert report.exists(), done.stdout + done.stderr
        (only,) = json.loads(report.read_text("utf-8"))["runs"]
        self.seen: dict[str, Any] = only["seen"]
        self.gpus: dict[str, str] = only["gpus"]
        self._pairs = {row["measure"]: (row["theirs"], row["ours"]) for row in only["agreements"]}

    def pair(self, measure: str) -> tuple[float, float]:
        """What the client saw, and what /metrics says."""
        return self._pairs[measure]

    def holds(self, requests: int) -> None:
        """What every client must see, however busy the machine is."""
        assert (self.seen["requests"], self.seen["errors"]) == (requests, 0)
        assert self.pair("requests that succeeded") == (requests, requests)
        for measure in ("prompt tokens", "output tokens"):
            theirs, ours = self.pair(measure)
            assert theirs == ours > requests
        for measure in ("TTFT, mean (ms)", "whole request, mean (ms)"):
            theirs, ours = self.pair(measure)
            assert theirs > ours > 0
