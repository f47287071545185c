"""`ls`, `grep` and `stats`.

Tables are for terminals; in a pipe every line is plain, tab-separated and in recorded order.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.segments import single_blobs
from fakeai_proxy.cassette.stats import Stats
from fakeai_proxy.cassette.texts import texts_of
from fakeai_proxy.cli.cassette.reading import loaded, opened, path_argument, progress, time_text

#: Characters shown on each side of what was found.
_AROUND = 40
_COLUMNS = ("id", "time", "request", "status", "end", "model", "bytes", "seconds")


@click.command()
@path_argument
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def ls(path: Path, as_json: bool) -> None:
    """List what PATH holds, in recorded order."""
    library = opened(path)
    rows = [*_closed(library), *_unclosed(library)]
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
    elif sys.stdout.isatty():
        table = Table(*_COLUMNS, box=None)
        for row in rows:
            style = "" if row["end"] == "eof" else "yellow"
            table.add_row(*(str(row[name]) for name in _COLUMNS), style=style)
        Console().print(table)
    else:
        for row in rows:
            click.echo("\t".join(str(row[name]) for name in _COLUMNS))
    _say_state(library, rows)


@click.command()
@click.argument("pattern")
@path_argument
@click.option("-i", "ignore_case", is_flag=True, help="Capitals or not.")
@click.option("-F", "fixed", is_flag=True, help="PATTERN is a text, not a regular expression.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def grep(pattern: str, path: Path, ignore_case: bool, fixed: bool, as_json: bool) -> None:
    """Find PATTERN in the requests and replies of PATH: id, where, and the line around it. What a
    stream says in many frames is looked at as one text. Exit status 1 when there is none."""
    try:
        wanted = re.compile(re.escape(pattern) if fixed else pattern, re.I if ignore_case else 0)
    except re.error as error:
        raise click.ClickException(f"{pattern} is no regular expression: {error}.") from None
    library = opened(path)
    found = 0
    for entry in library.index.entries:
        record = loaded(library, entry)
        for where, text in texts_of(record):
            for match in wanted.finditer(text):
                found += 1
                told = {"id": record.id, "where": where, "line": _around(text, match)}
                click.echo(
                    json.dumps(told, ensure_ascii=False) if as_json else "\t".join(told.values())
                )
    if not found:
        raise SystemExit(1)


def _around(text: str, match: re.Match[str]) -> str:
    start = max(0, match.start() - _AROUND, text.rfind("\n", 0, match.start()) + 1)
    end = text.find("\n", match.end())
    end = min(match.end() + _AROUND, len(text) if end < 0 else end)
    return " ".join(text[start:end].split())


@click.command()
@path_argument
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def stats(path: Path, as_json: bool) -> None:
    """What PATH holds: recordings, models, tokens, times and bytes."""
    library = opened(path)
    found, count = Stats(), len(library.index.entries)
    with progress("reading") as tell:
        for done, (number, entry) in enumerate(library.index.as_stored()):
            if not done % 256:
                tell(done, count)
            found.add(number, loaded(library, entry))
    told = {
        **found.told(),
        "unfinished": len(library.index.opened),
        "disk_bytes": _disk_bytes(path),
    }
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    for name, value in told.items():
        click.echo(f"{name.replace('_', ' '):24}{_worded(value)}")


def _worded(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {count}" for key, count in value.items()) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _disk_bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path, *single_blobs(path).rglob("*")]
    return sum(file.stat().st_size for file in files if file.is_file())


def _closed(library: Library) -> Iterator[dict[str, Any]]:
    for entry in library.index.entries:
        record = loaded(library, entry)
        response = record.response
        yield {
            "id": record.id,
            "time": time_text(record.at),
            "request": f"{record.request.method} {record.upstream}{record.request.target}",
            "status": response.status if response else 0,
            "end": record.end if response is None or not response.withheld else "withheld",
            "model": record.view.get("model", ""),
            "bytes": response.size_bytes if response else 0,
            "seconds": round(response.whole_us / 1e6, 3) if response else 0.0,
        }


def _unclosed(library: Library) -> Iterator[dict[str, Any]]:
    for entry in library.index.opened.values():
        record = library.read_open(entry)
        yield {
            "id": record.id,
            "time": time_text(record.at),
            "request": f"{record.request.method} {record.upstream}{record.request.target}",
            "status": 0,
            "end": "interrupted",
            "model": "",
            "bytes": 0,
            "seconds": 0.0,
        }


def _say_state(library: Library, rows: list[dict[str, Any]]) -> None:
    """What a reader of the list must know, on the standard error."""
    if not rows:
        click.echo("there are no recordings in it", err=True)
    interrupted = sum(row["end"] != "eof" for row in rows)
    if interrupted:
        click.echo(f"{interrupted} of {len(rows)} were interrupted or withheld", err=True)
    if library.index.dropped:
        click.echo(f"{library.index.dropped} were seen and not recorded", err=True)
    for torn in library.torn:
        where = "set aside in" if torn.moved else "at the end of"
        click.echo(
            f"torn: {torn.size_bytes} bytes of an interrupted write {where} {torn.file}", err=True
        )
