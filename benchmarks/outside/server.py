"""fakeai-proxy as its users start it, and what its metric pages say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from pathlib import Path
from typing import IO, Any, Self

_ROOT = Path(__file__).resolve().parents[2]
_STOP_S_MAX = 20.0
_SAMPLE = re.compile(r"(?P<name>[\w:]+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def environment(**added: str) -> dict[str, str]:
    """Ours without the user's own settings of the product, and without a proxy."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FAKEAI_PROXY_")}
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        kept.pop(name, None)
        kept.pop(name.lower(), None)
    return kept | added


class Server:
    """Behind a fleet, on free ports; a context manager that stops it."""

    def __init__(self, profile: str, folder: Path) -> None:
        said = folder / "server.log"
        with said.open("w") as errors:
            self._process = self._started(profile, folder, errors)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"fakeai-proxy did not start:\n{said.read_text()}")
        ready = json.loads(line)
        self.url: str = ready["url"]
        #: Of each node's GPUs.
        self.dcgm_urls = [f"{url}/metrics" for url in ready["dcgm"].values()]
        # Nobody reads its access lines, but a full pipe would stop it.
        threading.Thread(target=self._process.stdout.readlines, daemon=True).start()

    @staticmethod
    def _started(profile: str, folder: Path, errors: IO[str]) -> subprocess.Popen[str]:
        python_path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        return subprocess.Popen(
            [
                sys.executable, "-m", "fakeai_proxy", "--mode", "synth", "--profile", profile,
                "--listen", "127.0.0.1:0", "--dcgm-listen", "127.0.0.1:0",
                "--log-format", "json", "--data", str(folder / "data"),
            ],
            env=environment(PYTHONPATH=python_path),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )  # fmt: skip

    def models(self) -> list[str]:
        return [card["id"] for card in json.loads(self._page(f"{self.url}/v1/models"))["data"]]

    def totals(self) -> Counter[str]:
        """Every metric of /metrics, summed over the workers, without the buckets."""
        sums: Counter[str] = Counter()
        for name, _, value in _samples(self._page(f"{self.url}/metrics")):
            if not name.endswith("_bucket"):
                sums[name] += value
        return sums

    def gpus(self) -> dict[str, str]:
        """Each GPU's UUID and model."""
        found = {}
        for url in self.dcgm_urls:
            for _, labels, _ in _samples(self._page(url)):
                found[labels["UUID"]] = labels["modelName"]
        return found

    def _page(self, url: str) -> str:
        request = urllib.request.Request(url, headers={"authorization": "Bearer any"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as reply:
            text: str = reply.read().decode()
        return text

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _samples(page: str) -> list[tuple[str, dict[str, str], float]]:
    found = []
    for line in page.splitlines():
        match = None if line.startswith("#") else _SAMPLE.fullmatch(line)
        if match is not None:
            labels: dict[str, Any] = dict(_LABEL.findall(match["labels"] or ""))
            found.append((match["name"], labels, float(match["value"])))
    return found
