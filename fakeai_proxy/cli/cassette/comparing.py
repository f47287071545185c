"""`diff`: two recordings of the same traffic."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import click

from fakeai_proxy.cassette.comparing import KINDS, Comparison, compare
from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.cli.cassette.reading import loaded, opened

_path = click.Path(path_type=Path, exists=True)
#: Of each change; the rest is counted.
_DETAILS_MAX = 6


@click.command()
@click.argument("before", type=_path)
@click.argument("after", type=_path)
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@click.option(
    "--fail-on", type=click.Choice(KINDS), multiple=True, default=KINDS[:-1], show_default=True,
    help="Exit status 1 when there is one of these; text differs with every answer of a model.",
)  # fmt: skip
def diff(before: Path, after: Path, as_json: bool, fail_on: tuple[str, ...]) -> None:
    """What changed from BEFORE to AFTER: requests, statuses, shapes, texts, and timing apart."""
    found = compare(_all(before), _all(after))
    if as_json:
        changes = [asdict(change) for change in found.changes]
        told = {"counts": found.counts(), "timing": found.timing(), "changes": changes}
        click.echo(json.dumps(told, ensure_ascii=False))
    else:
        _tell(found)
    if any(change.kind in fail_on for change in found.changes):
        raise SystemExit(1)


def _all(path: Path) -> list[Interaction]:
    library = opened(path)
    # The keys of records that people wrote are made when they are read.
    records = [
        replace(loaded(library, entry), key=entry.label.key) for entry in library.index.entries
    ]
    library.close()
    return records


def _tell(found: Comparison) -> None:
    for change in found.changes:
        ids = " ".join(one for one in (change.before, change.after) if one)
        click.echo(f"{change.kind:8} {ids}  {change.request}")
        for detail in change.details[:_DETAILS_MAX]:
            click.echo(f"         {detail}")
        if len(change.details) > _DETAILS_MAX:
            click.echo(f"         and {len(change.details) - _DETAILS_MAX} more")
    click.echo(", ".join(f"{count} {name}" for name, count in found.counts().items() if count))
    for name, quantiles in found.timing().items():
        parts = [
            f"{quantile} {was:g} to {now:g}"
            for quantile, (was, now) in quantiles.items()
            if was is not None and now is not None
        ]
        if parts:
            click.echo(f"{name}: {', '.join(parts)}")
