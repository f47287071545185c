"""How a run went, as people, programs and CI systems want to read it; and whether that is
good enough.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.verdict import Tally, Verdict
from fakeai_proxy.clock import SystemClock
from fakeai_proxy.config import Config
from fakeai_proxy.errors import CassetteError
from fakeai_proxy.observe.outcomes import Outcomes, verdict_of
from fakeai_proxy.services.catalogue import Catalogue
from fakeai_proxy.sources.budget import cost_usd, price_list

#: The status of a run that went worse than `--strict` allows.
FAILED = 1


class Telling:
    """To be given to `App.close`; `status` is the process's exit status then."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.status = 0

    async def __call__(self, outcomes: Outcomes) -> None:
        self.tell(await outcomes.verdict())

    def of_processes(self, parts: Sequence[Tally]) -> None:
        """The same of what several processes have counted. Reads the cassettes."""
        config, clock = self._config, SystemClock()
        price_of = price_list(partial(Catalogue.shipped, config))
        library = None
        try:
            if config.mode != "pass":
                library = Library.open(config, clock, repair=False)
        except CassetteError as error:
            _say(f"fakeai-proxy: there is no verdict: {error}")
            return
        plays = config.miss is not None
        self.tell(
            verdict_of(
                Tally.of(parts),
                config.mode,
                library,
                plays,
                lambda tally: cost_usd(tally, price_of),
            )
        )
        if library is not None:
            library.close()

    def tell(self, verdict: Verdict) -> None:
        config = self._config
        failures = verdict.failures(config.strict)
        self.status = FAILED if failures else 0
        for line in _lines(verdict, config, bool(failures)):
            _say(line)
        for value in config.verdict:
            if value.endswith(".json"):
                _write(Path(value), verdict, config)
        if failures:
            _say(f"fakeai-proxy: --strict: there were {', '.join(failures)}")


def _lines(verdict: Verdict, config: Config, failed: bool) -> Iterator[str]:
    forms = [value for value in config.verdict if not value.endswith(".json")] or ["auto"]
    for form in forms:
        if form == "json":
            yield json.dumps(verdict.as_json(config.strict), ensure_ascii=False)
        elif form == "table" or (form == "auto" and not _on_github()):
            # Who has asked for nothing is told nothing, unless that is what is wrong.
            if form == "table" or failed or not verdict.is_empty:
                first, *others = verdict.lines()
                yield f"fakeai-proxy: {first}"
                yield from others
        elif form in ("github", "auto"):
            yield from verdict.annotations(config.strict)


def _on_github() -> bool:
    return os.environ.get("GITHUB_ACTIONS") == "true"


def _write(file: Path, verdict: Verdict, config: Config) -> None:
    try:
        file.write_text(json.dumps(verdict.as_json(config.strict), indent=2) + "\n", "utf-8")
    except OSError as error:
        _say(f"fakeai-proxy: the verdict is not written to {file}: {error.strerror}")


def _say(line: str) -> None:
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)
