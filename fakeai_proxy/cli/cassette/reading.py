"""What the commands about cassettes share: opening one, reading a record, rewriting, showing how far
one is."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from fakeai_proxy.cassette import rewriting, sealing
from fakeai_proxy.cassette.entries import Entry
from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.cassette.index import number_of
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.places import checked
from fakeai_proxy.cassette.rewriting import Change, Rewritten
from fakeai_proxy.cassette.settings import CassetteSettings
from fakeai_proxy.clock import SystemClock
from fakeai_proxy.errors import CassetteError


class CassettePath(click.Path):
    """A cassette that is there."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Path:
        try:
            return checked(Path(value))
        except CassetteError as error:
            raise _Unusable(str(error)) from None


class _Unusable(click.ClickException):
    exit_code = 2  # what can be corrected on the command line


path_argument = click.argument("path", type=CassettePath())


def opened(path: Path) -> Library:
    try:
        chosen = CassetteSettings(cassette=(path,), replay_interrupted=True)
        return Library.open(chosen, SystemClock(), repair=False)
    except CassetteError as error:
        raise click.ClickException(str(error)) from None


def loaded(library: Library, entry: Entry) -> Interaction:
    try:
        return library.load(entry)
    except CassetteError as error:
        raise click.ClickException(str(error)) from None


def named(library: Library, path: Path, record_id: str) -> Entry:
    """The interaction with this id, or the only one whose id begins so."""
    entry = library.index.by_id(number_of(record_id))
    if entry is None:
        near = [
            one for one in library.index.entries if f"{one.label.id:016x}".startswith(record_id)
        ]
        if len(near) != 1:
            raise click.ClickException(f"{path} has no recording {record_id}.")
        entry = near[0]
    return entry


def time_text(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def progress(doing: str) -> Iterator[sealing.Progress]:
    """A bar on a terminal, nothing elsewhere."""
    columns = (TextColumn(doing), BarColumn(), MofNCompleteColumn())
    shown = sys.stderr.isatty()
    with Progress(
        *columns, console=Console(stderr=True), transient=True, disable=not shown
    ) as bars:
        task = bars.add_task(doing, total=None)
        yield lambda done, of: bars.update(task, completed=done, total=of)


def rewritten(
    paths: Sequence[Path], target: Path, change: Change | None, doing: str, unfinished: bool = True
) -> Rewritten:
    with progress(doing) as tell:
        try:
            return rewriting.rewrite(paths, target, change, tell, unfinished=unfinished)
        except CassetteError as error:
            raise click.ClickException(str(error)) from None
