"""One test on its cassette: the server, the variables that lead to it, the guard around it, and what
came of it all."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import pytest

from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.settling import begin, ids_of, settle
from fakeai_proxy.cassette.unasked import playable, said
from fakeai_proxy.config import Config
from fakeai_proxy.embedded import places
from fakeai_proxy.embedded.background import Background, is_ours
from fakeai_proxy.embedded.server import Server
from fakeai_proxy.embedded.witness import MISS, Witness
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.exchange import HIT, STALE
from fakeai_proxy.pytest_plugin.made import Made
from fakeai_proxy.pytest_plugin.marks import Asked
from fakeai_proxy.pytest_plugin.network import Guard
from fakeai_proxy.services.catalogue import Catalogue
from fakeai_proxy.sources.budget import cost_usd, price_list

#: Tests do not wait, unless they say so.
_AT_ONCE = {"timing": "none", "profile": "none"}


class Run:
    """What the tests of one process share: the thread of their servers, its port, temporary files."""

    def __init__(self, record: str, strict: bool, folder: str | None = None) -> None:
        """`folder` is what several processes of one run have together."""
        self.record = record
        self.strict = strict
        #: Clients made in one test still find the server of the next.
        self.port = 0
        self.background = Background()
        #: The registry is read once, if anything costs anything.
        self.price_of = price_list(partial(Catalogue.shipped, Config()))
        self._files = TemporaryDirectory(prefix="fakeai-proxy-")
        #: Whoever else uses one of these adds to it.
        self.made = Made(Path(folder or self._files.name))
        self._count = 0

    def file(self) -> Path:
        self._count += 1
        return Path(self._files.name) / f"{self._count}.jsonl"

    def close(self) -> None:
        self.background.close()
        self._files.cleanup()


@dataclass
class Told:
    """What the verdict is made of; plain values, because it travels between processes."""

    cassette: str
    shared: bool
    replayed: int = 0
    recorded: int = 0
    missed: int = 0
    stale: int = 0
    #: As texts, which keep them exact.
    saved_usd: str = "0"
    spent_usd: str = "0"
    failed: bool = False
    dropped: bool = False
    used: list[str] = field(default_factory=list)
    #: Id -> what it is a recording of.
    there: dict[str, str] = field(default_factory=dict)

    @property
    def unused(self) -> dict[str, str]:
        return {name: said for name, said in self.there.items() if name not in self.used}


class Stage:
    def __init__(self, asked: Asked, run: Run) -> None:
        self.asked = asked
        self.passed = False
        self._run = run
        self._exists = asked.path.exists()
        record = run.record if asked.settings["mode"] != "synth" else "none"
        self._adds = self._exists and (record == "new" or (record != "none" and self._is_made))
        self._records = record != "none" and not self._adds and (
            record == "all" or not self._exists
        )  # fmt: skip
        self._fresh = run.file() if self._adds or self._records else None
        self._known: frozenset[str] = frozenset()
        self._missed_before = 0
        self._patch = pytest.MonkeyPatch()
        self._guard: Guard | None = None
        self.told = Told(str(asked.path), asked.shared)
        self.server = self._server()

    @property
    def _is_made(self) -> bool:
        return self.asked.path in self._run.made

    @property
    def plays(self) -> bool:
        return not self._adds and not self._records and self.asked.settings["mode"] != "synth"

    # --- its life

    def open(self) -> None:
        """Raises ConfigError, CassetteError."""
        if self._fresh is not None:
            name = self.asked.path.name if self.asked.shared else self.asked.nodeid
            begin(self._fresh, self.asked.path, name)
            self._known = ids_of(self.asked.path) if self._adds else frozenset()
        self._start()
        for name, value in self.server.environment(self.asked.proxy).items():
            self._patch.setenv(name, value)
        parts = urlsplit(self.server.url)
        own = parts.hostname or "", parts.port or 0
        self._guard = Guard(own, self.asked.allow_hosts, is_ours)
        self._guard.set_up(self._patch)

    def close(self) -> None:
        """Raises CassetteError."""
        self._patch.undo()
        own = urlsplit(self.server.url).netloc
        self._look()
        outcomes = self.server.app.outcomes
        self.server.__exit__()
        if outcomes is not None:
            tally = outcomes.tally()
            self.told.stale = tally.counts.get(STALE, 0)
            self.told.saved_usd = str(cost_usd(tally, self._run.price_of))
            self.told.spent_usd = str(tally.spent_usd)
        self.told.failed = not self.passed
        if self._fresh is not None:
            self._keep(self._fresh, own)

    def _start(self) -> None:
        try:
            self.server.__enter__()
        except ConfigError as error:
            # Somebody else may have taken the port since the test before.
            if not self._run.port or not str(error).startswith("listen: "):
                raise
            self._run.port = 0
            self.server = self._server()
            self.server.__enter__()
        self._run.port = urlsplit(self.server.url).port or 0

    def _server(self) -> Server:
        """Raises ConfigError."""
        asked = self.asked
        hint = f"To record it: {asked.command('new' if self._exists else 'once')}"
        settings: dict[str, Any] = {**_AT_ONCE, **asked.settings}
        settings.setdefault("listen", f"127.0.0.1:{self._run.port}")
        if self._adds or self._records:
            settings["mode"] = "auto" if self._adds else "record"
            settings.pop("on_miss", None)
            settings["cassette"] = (self._fresh, asked.path) if self._adds else (self._fresh,)
            settings["durability"] = "none"
        elif settings["mode"] != "synth":
            settings["cassette"] = (asked.path if self._exists else self._empty(),)
        config = Config.load(keywords=settings)
        is_routed = config.is_live and config.upstream is None
        vendors = places.vendors(os.environ) if is_routed else None
        return Server(config, background=self._run.background, witness=Witness(vendors, hint))

    def _empty(self) -> Path:
        """A test that asks nothing needs no cassette; one that does is told how to get one."""
        path = self._run.file()
        path.touch()
        return path

    def _keep(self, fresh: Path, own: str) -> None:
        if not self.passed:
            self.told.dropped = fresh.read_bytes().count(b'\n{"kind":"close"') > 0
            return
        path, made = self.asked.path, self._run.made
        with made.writing(path):
            anew = self._records and path not in made  # by another process, since we began
            count, ids = settle(path, fresh, own, anew=anew, known=self._known)
            if path.exists():
                made.add(path)
        self.told.recorded = count
        self.told.used += ids

    # --- what came of it

    def complaint(self) -> str:
        """Why a test that went well did not, "" for nothing. Tells each miss once."""
        misses = self.server.witness.misses[self._missed_before :]
        self._missed_before += len(misses)
        return "\n\n".join(misses)

    def unused(self) -> str:
        """Of a cassette of this test alone, "" for nothing."""
        if not self._run.strict or not self.plays or self.asked.shared:
            return ""
        self._look()
        unused = self.told.unused
        if not unused:
            return ""
        lines = [f"  {name} {said}" for name, said in unused.items()]
        head = f"Recordings of {self.asked.path} that this test did not ask for:"
        return "\n".join([head, *lines, f"To record it anew: {self.asked.command('all')}"])

    def sections(self) -> list[tuple[str, str]]:
        """For the report of a test that failed."""
        found = []
        if complaint := self.complaint():
            found.append(("fakeai: not on the cassette", complaint))
        if self._guard is not None and self._guard.refused:
            found.append(("fakeai: blocked", "\n".join(self._guard.refused)))
        return found

    def _look(self) -> None:
        calls = self.server.calls
        told = self.told
        told.replayed = sum(1 for call in calls if call.source == HIT)
        told.missed = sum(1 for call in calls if call.source == MISS)
        told.used = sorted({_id(call.cassette) for call in calls if call.source == HIT})
        library = self.server.app.library
        if library is not None and not self._records and self._exists:
            told.there = _there(library, self.asked.path, set(told.used))


def _there(library: Library, path: Path, used: set[str]) -> dict[str, str]:
    """What can be played of this cassette; only what is not used is looked at more closely."""
    found = {}
    for entry in playable(library):
        name = f"{entry.label.id:016x}"
        if entry.segment.path == path:
            found[name] = "" if name in used else said(library, entry)
    return found


def _id(explained: str) -> str:
    return explained.partition("id=")[2].partition(";")[0]
