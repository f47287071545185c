"""`import` and `export`: recordings from other programs, and for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from fakeai_proxy.cassette.counting import recordings
from fakeai_proxy.cassette.exporting import put_out
from fakeai_proxy.cassette.formats import READABLE, WRITABLE
from fakeai_proxy.cassette.forms import FORMS
from fakeai_proxy.cassette.importing import bring_in
from fakeai_proxy.cli.cassette.reading import opened, path_argument, progress
from fakeai_proxy.cli.cassette.scrubbing import rules_of, scrub_options
from fakeai_proxy.cli.outcome import Outcome, tells_outcome
from fakeai_proxy.errors import CassetteError

_target = click.argument("target", type=click.Path(path_type=Path))
#: Reasons that are told one by one; the rest are counted.
_TOLD_MAX = 10


@click.command("import")
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@_target
@click.option("--from", "name", type=click.Choice(READABLE), help="Without it: what SOURCE is in.")
@scrub_options
@tells_outcome
def bring(source: Path, target: Path, name: str | None, **rules: Any) -> Outcome:
    """Make the cassette TARGET of SOURCE, a file or folder of another program, with secrets removed and
    what you name."""
    if not target.name.endswith(FORMS):
        raise click.ClickException(f"{target} ends in none of {', '.join(FORMS)}.")
    chosen = rules_of(rules)
    with progress("importing") as tell:
        try:
            done = bring_in(source, target, name, tell, chosen)
        except CassetteError as error:
            raise click.ClickException(str(error)) from None
    for place, reason in done.skipped[:_TOLD_MAX]:
        click.echo(f"left out: {place}: {reason}", err=True)
    if len(done.skipped) > _TOLD_MAX:
        click.echo(f"left out: {len(done.skipped) - _TOLD_MAX} more", err=True)
    return Outcome(
        f"{target}: {recordings(done.interactions)} from {done.source}",
        {
            "cassette": str(target), "recordings": done.interactions, "from": done.source,
            "left_out": [{"place": place, "reason": reason} for place, reason in done.skipped],
        },
    )  # fmt: skip


@click.command("export")
@path_argument
@_target
@click.option("--to", "name", type=click.Choice(WRITABLE), required=True)
@tells_outcome
def put(path: Path, target: Path, name: str) -> Outcome:
    """Write the recordings of PATH to the file TARGET, in the format of another program."""
    library = opened(path)
    with progress("exporting") as tell:
        try:
            done = put_out(library, target, name, _encode, tell)
        except CassetteError as error:
            raise click.ClickException(str(error)) from None
    for reason, count in done.left_out.items():
        click.echo(f"left out: {count} {reason}", err=True)
    left_out = sum(done.left_out.values())
    rest = f", {left_out:,} left out" if left_out else ""
    return Outcome(
        f"{target}: {recordings(done.interactions)} as {name}{rest}",
        {
            "file": str(target), "recordings": done.interactions, "to": name,
            "left_out": dict(done.left_out),
        },
    )  # fmt: skip


def _encode(text: str) -> Sequence[int]:
    from fakeai_proxy.generate.tokens import Tokens  # not for those who export no trace

    return Tokens.load("o200k_base").encode(text)
