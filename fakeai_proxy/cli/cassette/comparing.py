"""`diff`: two recordings of the same traffic."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryFile

import click

from fakeai_proxy.cassette.comparing import KINDS
from fakeai_proxy.cassette.pairing import Comparison, Recordings
from fakeai_proxy.cli.cassette.reading import CassettePath, loaded, opened, progress

_path = CassettePath()
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
    found = Comparison(_read(before), _read(after))
    if as_json:
        _tell_json(found)
    else:
        _tell(found)
    counts = found.counts()
    if any(counts[kind] for kind in fail_on):
        raise SystemExit(1)


def _read(path: Path) -> Recordings:
    library = opened(path)
    with progress("reading") as tell:
        return Recordings(library.index, lambda entry: loaded(library, entry), tell)


def _tell_json(found: Comparison) -> None:
    """One object, whose changes are in a file until they are counted."""
    with TemporaryFile("w+", encoding="utf-8") as file:
        for change in found.changes():
            file.write(json.dumps(asdict(change), ensure_ascii=False) + "\n")
        file.seek(0)
        told = {"counts": found.counts(), "timing": found.timing(), "changes": []}
        click.echo(json.dumps(told, ensure_ascii=False).removesuffix("]}"), nl=False)
        for number, line in enumerate(file):
            click.echo((", " if number else "") + line.removesuffix("\n"), nl=False)
        click.echo("]}")


def _tell(found: Comparison) -> None:
    for change in found.changes():
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
