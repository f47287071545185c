"""Rows of text as aligned columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

Row = tuple[str, ...]


def columns(rows: Sequence[Row]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join(cells).rstrip()
