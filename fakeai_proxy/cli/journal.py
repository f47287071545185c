"""`fakeai-proxy journal`: what a running server has answered, and what it answers now."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from fakeai_proxy.cli.columns import Row, print_rows
from fakeai_proxy.cli.running import asked, asks_a_server, events
from fakeai_proxy.errors import ConfigError, FakeAIError
from fakeai_proxy.observe.journal_routes import FILTERS, PAGE_MAX

_FORMATS = ("jsonl", "csv", "parquet")
_COPIED_BYTES = 1 << 16
#: Head and width of each column.
_COLUMNS = (
    ("TIME", 12), ("STATUS", 6), ("SOURCE", 6), ("ROUTE", 24), ("MODEL", 20), ("TTFT", 8),
    ("ITL", 7), ("TOTAL", 9), ("IN", 6), ("OUT", 6), ("USD", 9), ("END", 0),
)  # fmt: skip
_COLOURS = {"2": "green", "3": "cyan", "4": "yellow", "5": "red"}

Command = TypeVar("Command", bound=Callable[..., Any])


def _filters(command: Command) -> Command:
    for parameter in reversed(FILTERS):
        choice = click.Choice(parameter.choices) if parameter.choices else None
        option = click.option(f"--{parameter.name}", type=choice, help=parameter.summary)
        command = option(command)
    return command


@click.command()
@asks_a_server
@_filters
@click.option("--limit", type=click.IntRange(1, PAGE_MAX), default=20, show_default=True,
              help="Of the last so many.")  # fmt: skip
@click.option("--follow", "-f", is_flag=True, help="Go on with what finishes from now on.")
@click.option("--export", "file", type=click.Path(dir_okay=False, path_type=Path),
              metavar="FILE", help="Write all there are to FILE.csv, .jsonl or .parquet.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
def journal(
    url: str, token: str | None, limit: int, follow: bool, file: Path | None, as_json: bool,
    **filters: str | None,
) -> int:  # fmt: skip
    """What the server at URL (http://127.0.0.1:8000) has answered, oldest first: times in ms, tokens read
    and written, dollars by the price list. --follow shows what finishes, until Ctrl-C."""
    if file is not None:
        if follow:
            raise ConfigError("journal: --export writes what there is; --follow never ends.")
        _export(file, url, token, filters)
        return 0
    if follow:
        with suppress(KeyboardInterrupt):
            _follow(url, token, filters, as_json)
        return 0
    with asked(url, token, "journal", {**filters, "limit": limit}) as answer:
        entries = json.load(answer)["data"]
    entries.reverse()
    if as_json:
        for entry in entries:
            click.echo(json.dumps(entry))
    else:
        print_rows([tuple(head for head, _ in _COLUMNS), *map(_row, entries)])
    return 0


def _export(file: Path, url: str, token: str | None, filters: dict[str, str | None]) -> None:
    form = file.suffix.removeprefix(".")
    if form not in _FORMATS:
        raise ConfigError(f"journal --export {file}: a name that ends in .csv, .jsonl or .parquet.")
    query = {**filters, "format": form}
    with asked(url, token, "journal/export", query) as answer:
        try:
            with file.open("wb") as out:
                while piece := answer.read(_COPIED_BYTES):
                    out.write(piece)
        except OSError as error:
            raise FakeAIError(f"journal --export {file}: {error.strerror or error}") from None
    click.echo(f"Wrote {file} ({file.stat().st_size} bytes).", err=True)


def _follow(url: str, token: str | None, filters: dict[str, str | None], as_json: bool) -> None:
    if not as_json and sys.stdout.isatty():
        click.secho(_line(tuple(head for head, _ in _COLUMNS)), bold=True)
    with asked(url, token, "journal/stream", filters) as answer:
        for name, data, _ in events(answer):
            if name == "lagged":
                click.echo(f"{data['missed']} exchanges were missed: this is too slow", err=True)
            elif as_json:
                click.echo(json.dumps(data))
            else:
                click.secho(_line(_row(data)), fg=_colour(data))
    raise FakeAIError(f"journal: {url} has ended.")


def _line(row: Row) -> str:
    cells = [cell.ljust(width) for cell, (_, width) in zip(row, _COLUMNS, strict=True)]
    return " ".join(cells).rstrip()


def _colour(entry: dict[str, Any]) -> str | None:
    status = str(entry["status"] or "5")[0]
    return None if status == "2" and entry["end"] == "ok" else _COLOURS.get(status)


def _row(entry: dict[str, Any]) -> Row:
    at = datetime.fromisoformat(entry["arrived"]).astimezone()
    gaps = entry["itl_ms"] or {}
    cost_usd = entry["cost_usd"]
    end = [] if entry["end"] in ("ok", "error") else [entry["end"]]
    return (
        f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}",
        str(entry["status"] or "-"),
        entry["source"] or "-",
        entry["route"],
        entry["model"] or "-",
        _number(entry["ttft_ms"]),
        _number(gaps.get("p50")),
        _number(entry["total_ms"]),
        str(entry["prompt_tokens"] or "-"),
        str(entry["output_tokens"] or "-"),
        "-" if cost_usd is None else f"{cost_usd:.6f}",
        " ".join([*end, *entry["faults"]]) or entry["error"] or entry["finish"] or "-",
    )


def _number(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds:.1f}"
