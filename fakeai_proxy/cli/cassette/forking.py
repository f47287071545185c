"""`fork`: a recorded session that goes on otherwise from one of its turns."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from fakeai_proxy.cassette.forking import forked_at, write_fork
from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.cassette.forms import FORMS
from fakeai_proxy.cli.cassette.editing import edited
from fakeai_proxy.cli.cassette.reading import loaded, named, opened, path_argument, progress
from fakeai_proxy.cli.outcome import Outcome, tells_outcome
from fakeai_proxy.errors import CassetteError

#: How a branch goes on, as it is told.
_WAYS = (
    ("made up", "--mode hybrid --on-miss record-synth"),
    ("live", "--mode auto --upstream URL"),
    ("as another was recorded", "--mode replay --cassette OTHER.fcz"),
)


@click.command()
@path_argument
@click.argument("turn")
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--edit", "edits", is_flag=True, help="Open TURN's recording in $EDITOR first.")
@tells_outcome
def fork(path: Path, turn: str, target: Path, edits: bool) -> Outcome:
    """Copy the session of PATH up to TURN into the new cassette TARGET, from which it goes on otherwise.

    TURN is a number from 1 on, SESSION:NUMBER, or an id. With --edit the answer of TURN may become
    another one, with other tool calls say. Replay from TARGET, and have what comes after answered and
    recorded into it as you like.
    """
    if not target.name.endswith(FORMS):
        raise click.ClickException(f"{target} ends in none of {', '.join(FORMS)}.")
    if target.exists():
        raise click.ClickException(f"{target} is there already.")
    with closing(opened(path)) as library:
        try:
            with progress("reading") as tell:
                found = forked_at(library, turn, lambda entry: loaded(library, entry), tell)
            last = loaded(library, named(library, path, found.turn_id))
            after = edited(last) if edits else last

            def changed(record: Interaction) -> Interaction:
                return record if after is last else after

            with progress("writing") as tell:
                write_fork(path, found, target, changed, tell)
        except CassetteError as error:
            raise click.ClickException(f"{path}: {error}.") from None
    session = f" of session {found.session}" if found.session else ""
    lines = [
        f"{target}: turns 1 to {found.turn}{session}"
        + (", the last one edited" if after is not last else "")
        + f"; {found.after} left behind. How it goes on:"
    ]
    lines += [f"  {how + ':':24} fakeai-proxy --cassette {target} {to}" for how, to in _WAYS]
    facts = {
        "cassette": str(target), "session": found.session, "turns": found.turn,
        "left_behind": found.after, "edited": after is not last,
    }  # fmt: skip
    return Outcome("\n".join(lines), facts)
