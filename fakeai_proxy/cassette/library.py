"""The cassettes of this process: any number to read, at most one to write.

Opening looks at labels only. Finding is a hash and a look into a dict; equal requests of a session
are answered in recorded order, and then as `repeat` says.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from fakeai_proxy.cassette.bodies import Blob
from fakeai_proxy.cassette.draft import Draft, Sealer
from fakeai_proxy.cassette.format import (
    Extra,
    Head,
    Interaction,
    Open,
    Replied,
    decode,
    decode_reply,
)
from fakeai_proxy.cassette.frames import Label, Place
from fakeai_proxy.cassette.index import Entry, Index
from fakeai_proxy.cassette.manifest import TOOL, Manifest
from fakeai_proxy.cassette.redaction import Redactor
from fakeai_proxy.cassette.rules import Rules
from fakeai_proxy.cassette.script import Script, script_of
from fakeai_proxy.cassette.sealed import SealedIndex, open_index
from fakeai_proxy.cassette.sealing import Part, alone
from fakeai_proxy.cassette.segments import (
    Segment,
    existing_salt,
    files_of,
    is_single,
    policy_of,
    salt_of,
    sealed_of,
    torn_files,
)
from fakeai_proxy.cassette.settings import CassetteSettings, Repeat
from fakeai_proxy.cassette.tried import Tried
from fakeai_proxy.cassette.upkeep import Upkeep
from fakeai_proxy.cassette.view import view_of
from fakeai_proxy.cassette.writer import LIVE_BYTES_MAX, Output, Times, Turned, Writer
from fakeai_proxy.errors import CassetteError

log = logging.getLogger("fakeai_proxy")

#: Replies kept ready to be played, by what they take in memory.
SCRIPTS_BYTES_MAX = 64 << 20
#: Files of records that stay open for reading; others are opened for each record.
HELD_FILES_MAX = 64
#: Sessions times keys whose place in the recorded order is remembered.
CURSORS_MAX = 262_144
#: Segment, offset, and offset in its group.
_Where = tuple[Segment, int, int]


@dataclass(frozen=True, slots=True)
class Torn:
    """A tail that an interrupted write left: moved to `file`, or still in it."""

    file: Path
    size_bytes: int
    moved: bool


class Library:
    """`open` it; `close` it to have everything on disk."""

    def __init__(
        self,
        redactor: Redactor,
        index: Index,
        segments: list[Segment],
        repeat: Repeat = "last",
    ) -> None:
        self.redactor = redactor
        self._repeat = repeat
        self.index = index
        self.segments = segments
        self.paths: tuple[Path, ...] = ()
        self.torn: list[Torn] = []
        self.tried = Tried()
        self._writer: Writer | None = None
        self._scripts: OrderedDict[_Where, Script] = OrderedDict()
        self._scripts_bytes = 0
        self._cursors: OrderedDict[tuple[str, bytes, int], int] = OrderedDict()
        self._upkeep: Upkeep | None = None
        #: Of the cassette that is recorded into.
        self._sealed_index: SealedIndex | None = None
        #: Held while an index gains a recording, and while another takes its place.
        self._renewing = threading.Lock()
        self._replaced: list[Segment] = []

    @classmethod
    def open(
        cls,
        settings: CassetteSettings,
        clock: Times,
        *,
        record: bool = False,
        repair: bool = True,
        live_bytes_max: int = LIVE_BYTES_MAX,
    ) -> Library:
        """Raises CassetteError: a cassette that is missing (unless it is recorded into), damaged in
        its middle, or of a newer version."""
        first, *_ = settings.cassette
        for path in settings.cassette:
            if not path.exists() and not (record and path == first):
                raise CassetteError(
                    f"{path}: there is no such cassette. To record one: fakeai-proxy --mode record "
                    f"--cassette {path}"
                )
        salt = salt_of(first, clock.wall()) if record else existing_salt(first)
        rules = Rules.of(settings).with_policy(policy_of(first))
        redactor = Redactor(salt, rules)
        library = cls(redactor, Index(settings.replay_interrupted), [], settings.repeat)
        library.paths = settings.cassette
        for path in dict.fromkeys(settings.cassette):
            library._read(path, repair)
        if record:
            library._write_to(first, salt, clock, settings, live_bytes_max)
        return library

    # --- reading ---------------------------------------------------------------------------------

    def find(self, raw: bytes, authority: int, session: str = "") -> Entry | None:
        """The next answer to a request with these very bytes; `authority` 0 matches any."""
        key = self.index.canonical(raw)
        return None if key is None else self.find_canonical(key, authority, session)

    def find_canonical(self, key: bytes, authority: int, session: str = "") -> Entry | None:
        entries = self.index.matching(key, authority)
        if not entries:
            return None
        if not self.has_order(entries):
            return entries[0]
        return self.next_of(entries, (session, key, authority))

    def has_order(self, entries: Sequence[Entry]) -> bool:
        """Whether it matters how often they were asked for."""
        return len(entries) > 1 or self._repeat == "error"

    def next_of(self, entries: Sequence[Entry], cursor: tuple[str, bytes, int]) -> Entry | None:
        """The next of these in a session, which `cursor` names with what was asked; None when all
        have been given and none is given again."""
        place = self._cursors.pop(cursor, 0)
        self._cursors[cursor] = place + 1
        if len(self._cursors) > CURSORS_MAX:
            self._cursors.popitem(last=False)
        return self.nth(entries, place)

    def nth(self, entries: Sequence[Entry], place: int) -> Entry | None:
        """The one for who asks after so many others; None as above."""
        if place < len(entries):
            return entries[place]
        if self._repeat == "error":
            return None
        return entries[place % len(entries) if self._repeat == "loop" else -1]

    def told(self, key: bytes, authority: int, session: str) -> tuple[int, int]:
        """How often this was asked in the session, and how many recordings there are."""
        asked = self._cursors.get((session, key, authority), 0)
        return asked, len(self.index.matching(key, authority))

    def rewind(self) -> None:
        """Every session is at the beginning again."""
        self._cursors.clear()

    def reset(self) -> None:
        """The same, and what was found and missed is forgotten."""
        self.rewind()
        self.tried.reset()
        for segment in self.segments:
            segment.hits = 0

    def at_hand(self, entry: Entry) -> Script | None:
        """Its script, if it has been kept."""
        where = _where(entry)
        script = self._scripts.get(where)
        if script is not None:
            self._scripts.move_to_end(where)
        return script

    def script(self, entry: Entry) -> Script:
        """The same from the disk, in any thread. Raises CassetteError."""
        line = entry.segment.line(entry.place)
        reply = decode_reply(line)
        if reply is None:
            record = self._interaction(entry, line)
            response = record.response
            if response is None:
                raise CassetteError(f"{entry.segment.path}: no reply at {entry.place.offset}")
            view = record.view or view_of(record.request, response, "")
            reply = Replied(response, view, record.at, record.auth)
        return script_of(reply)

    def keep(self, entry: Entry, script: Script) -> None:
        size = script.size_bytes
        where = _where(entry)
        if size > SCRIPTS_BYTES_MAX // 16 or where in self._scripts:
            return
        self._scripts[where] = script
        self._scripts_bytes += size
        while self._scripts_bytes > SCRIPTS_BYTES_MAX:
            self._scripts_bytes -= self._scripts.popitem(last=False)[1].size_bytes

    def load(self, entry: Entry) -> Interaction:
        """The whole record from the disk, in any thread. Raises CassetteError."""
        return self._interaction(entry, entry.segment.line(entry.place))

    def _interaction(self, entry: Entry, line: bytes) -> Interaction:
        record = decode(line)
        if not isinstance(record, Interaction):
            raise CassetteError(f"{entry.segment.path}: no interaction at {entry.place.offset}")
        return record

    def read_open(self, entry: Entry) -> Open:
        """The beginning of an interaction that has no end. Raises CassetteError."""
        record = decode(entry.segment.line(entry.place))
        if not isinstance(record, Open):
            raise CassetteError(f"{entry.segment.path}: no opening at {entry.place.offset}")
        return record

    def blob(self, entry: Entry, blob: Blob) -> Iterator[bytes]:
        return entry.segment.blobs.read(blob)

    def nearest(self, route: int | None, simhash: int, count: int = 3) -> list[Entry]:
        """Recordings of the same method and path, or of any, the most alike first."""
        return self.index.nearest(route, simhash, count)

    # --- writing ---------------------------------------------------------------------------------

    @property
    def dropped(self) -> int:
        """Interactions that were not recorded because the disk was too slow."""
        return self._writer.dropped if self._writer else 0

    @property
    def writer(self) -> Writer:
        if self._writer is None:
            raise CassetteError("this cassette is open for reading only")
        return self._writer

    def begin(self, draft: Draft) -> None:
        self.writer.open(draft)

    def advance(self, draft: Draft) -> None:
        self.writer.advance(draft)

    def append(self, draft: Draft) -> Future[bool]:
        return self.writer.append(draft)

    def drop(self, record_id: str, reason: str) -> None:
        self.writer.drop(record_id, reason)

    def close(self) -> None:
        """Blocks until what is queued is on disk and, unless that is not wanted, sealed."""
        if self._writer is not None:
            self._writer.close()
            if self._upkeep is not None:
                self._upkeep.close(self._writer.written)
        for segment in self.segments:
            segment.release()
        self.index.close()

    def renew(self, fresh: Library) -> None:
        """What another has read takes the place of what there was; both for reading only. Where each
        session is stays, and whoever has just found a recording can still read it."""
        before = self.segments
        self.index, self.segments, self.torn = fresh.index, fresh.segments, fresh.torn
        self._sealed_index = fresh._sealed_index
        self._scripts.clear()
        self._scripts_bytes = 0
        for segment in self._replaced:
            segment.release()
        self._replaced = before

    # --- opening ---------------------------------------------------------------------------------

    def _read(self, path: Path, repair: bool) -> None:
        if not path.exists():
            return
        self.torn += [Torn(file, file.stat().st_size, True) for file in torn_files(path)]
        listed, sealed, live = files_of(path)
        if listed is not None and sealed:
            self._sealed_index = self._read_sealed(path, listed, sealed)
        for segment in live:
            self._add(segment)
            for label, place in segment.scan():
                self.index.add(segment, label, place)
            if segment.torn_bytes and not (repair and self._set_aside(segment)):
                self.torn.append(Torn(segment.path, segment.torn_bytes, False))
            self._let_go(segment)

    def _read_sealed(self, path: Path, listed: Manifest, sealed: list[Segment]) -> SealedIndex:
        def said(records: int) -> None:
            log.info("%s: the index of %d recordings was made", path, records)

        made = open_index(path, sealed, listed.digest, said)
        self.index.add_sealed(made)
        for segment in sealed:
            self._add(segment)
            self._let_go(segment)
        return made

    def _add(self, segment: Segment) -> None:
        self.segments.append(segment)

    def _let_go(self, segment: Segment) -> None:
        """There are only so many files that a process may have open."""
        if len(self.segments) <= HELD_FILES_MAX:
            segment.hold()
        else:
            segment.release()

    def _set_aside(self, segment: Segment) -> bool:
        size = segment.torn_bytes
        moved = segment.set_torn_aside()
        if moved:
            self.torn = [torn for torn in self.torn if torn.file != segment.torn_path]
            self.torn.append(Torn(segment.torn_path, size, True))
        return moved

    def _write_to(
        self,
        path: Path,
        salt: bytes,
        clock: Times,
        settings: CassetteSettings,
        live_bytes_max: int,
    ) -> None:
        durability = settings.durability
        policy = self.redactor.policy
        head = Head(TOOL, clock.wall(), salt, extra={"scrub": policy} if policy else {})
        if policy and not is_single(path):
            _note(path, policy)
        output = Output(path, head)
        if is_single(path):
            output.prepare()
        if is_single(path) and self.segments and self.segments[0].path == path:
            output.segment = self.segments[0]
        else:
            output.segment.hold()
            self._add(output.segment)
        sealer = Sealer(self.redactor, output.segment.blobs, durability != "none", is_single(path))
        turned = None
        if settings.seal == "auto" and not is_single(path):
            self._upkeep = Upkeep(path, partial(self._sealed, path))
            turned = self._turned
        self._writer = Writer(
            output,
            sealer,
            clock,
            self._added,
            durability,
            turned=turned,
            live_bytes_max=live_bytes_max,
        )

    def _added(self, segment: Segment, label: Label, place: Place) -> None:
        with self._renewing:
            self.index.add(segment, label, place)

    def _turned(self, turned: Turned) -> None:
        assert self._upkeep is not None
        turned.before.hold()  # it is read until its sealed form is found
        turned.after.hold()
        self._add(turned.after)
        self._upkeep.full(Part((turned.before.path.name,), turned.unended))

    def _sealed(self, folder: Path, names: frozenset[str]) -> None:
        """Find in sealed files from now on what was in those of these names."""
        listed = Manifest.read(folder)
        known = {segment.path: segment for segment in self.segments}
        sealed = [known.get(one.path, one) for one in sealed_of(folder, listed)]
        for segment in sealed:
            segment.hold()
        after = open_index(folder, sealed, listed.digest, lambda records: None)
        gone = [known[folder / name] for name in names]
        with self._renewing:
            self.index = self.index.renewed(self._sealed_index, after, gone)
        self._sealed_index = after
        self.segments = [one for one in self.segments if one not in gone and one not in sealed]
        self.segments = [*sealed, *self.segments]
        # Who has just found something in one of them may still be about to read it.
        for segment in self._replaced:
            segment.release()
        self._replaced = gone


def _where(entry: Entry) -> _Where:
    """Which recording it is, as something that is quickly compared."""
    return entry.segment, entry.place.offset, entry.place.at


def _note(path: Path, policy: Extra) -> None:
    """Have the manifest say what is scrubbed."""
    with alone(path, wait=True):
        listed = Manifest.read(path)
        if listed.extra.get("scrub") != policy:
            replace(listed, extra={**listed.extra, "scrub": policy}).write(path)


def settings_for(paths: Sequence[Path]) -> CassetteSettings:
    """Settings to look into these cassettes, interrupted recordings included."""
    return CassetteSettings(cassette=tuple(paths), replay_interrupted=True)
