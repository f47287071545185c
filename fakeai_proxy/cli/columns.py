"""Rows of text as a table: aligned columns in a pipe, a little more on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import click

Row = tuple[str, ...]


def columns(rows: Sequence[Row]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join(cells).rstrip()


def print_rows(rows: Sequence[Row]) -> None:
    """The first row is the heads of the columns."""
    if not sys.stdout.isatty():
        for line in columns(rows):
            click.echo(line)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    heads, *others = rows
    table = Table(*map(escape, heads), box=None, header_style="bold", pad_edge=False)
    for row in others:
        table.add_row(*(Text(cell) for cell in row))
    Console(highlight=False).print(table)
