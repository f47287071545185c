"""`edit`, `cat` and `init-git`: recordings as text, for people and for git."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import click

from fakeai_proxy.cassette import rewriting
from fakeai_proxy.cassette.bodies import size_of
from fakeai_proxy.cassette.draft import recut
from fakeai_proxy.cassette.format import Interaction, decode, encode
from fakeai_proxy.cassette.index import label_of
from fakeai_proxy.cassette.places import check_writable, checked
from fakeai_proxy.cassette.view import view_of
from fakeai_proxy.cli.cassette.reading import loaded, named, opened, path_argument, rewritten
from fakeai_proxy.cli.outcome import Outcome, tells_outcome
from fakeai_proxy.errors import CassetteError

_ATTRIBUTES = ("*.jsonl.zst diff=fakeai", "*.fcz/** diff=fakeai")


@click.command()
@path_argument
@click.argument("record_id", metavar="ID")
@tells_outcome
def edit(path: Path, record_id: str) -> Outcome:
    """Open the recording ID of PATH in $EDITOR. What no longer reads as one is refused and nothing is
    changed; the cuts of a body that became longer or shorter are made in proportion, keys anew."""
    library = opened(path)
    record = loaded(library, named(library, path, record_id))
    library.close()
    try:
        check_writable(path)
    except CassetteError as error:
        raise click.ClickException(str(error)) from None
    after = edited(record)
    if after is record:
        return Outcome("nothing was changed", {"id": record.id, "changed": False})

    def changed(one: Interaction) -> Interaction:
        return after if one.id == record.id else one

    rewritten((path,), path, changed, "writing")
    return Outcome(f"{record.id} is changed", {"id": record.id, "changed": True})


def edited(record: Interaction) -> Interaction:
    """As a person leaves it in $EDITOR; the same one where nothing was changed."""
    shown = json.dumps(json.loads(encode(record)), indent=2, ensure_ascii=False) + "\n"
    text = click.edit(shown, extension=".json", require_save=True)
    return record if text is None or text == shown else _read(text, record)


def _read(text: str, before: Interaction) -> Interaction:
    try:
        after = decode(json.dumps(json.loads(text)).encode())
    except (ValueError, CassetteError) as error:
        raise click.ClickException(f"That is no recording: {error}. Nothing was changed.") from None
    if not isinstance(after, Interaction) or after.id != before.id:
        raise click.ClickException(
            "The kind and the id of a recording stay what they are. Nothing was changed."
        )
    response = after.response
    if response is not None and sum(response.cuts) != size_of(response.body):
        cuts = recut(response.cuts, size_of(response.body))
        length = b"%d" % size_of(response.body)
        headers = tuple(
            (name, length if name.lower() == b"content-length" else value)
            for name, value in response.headers
        )
        after = replace(after, response=replace(response, cuts=cuts, headers=headers))
    if after.request != before.request:
        label = label_of(replace(after, key=b"", raw_key=b""))
        after = replace(after, key=label.key, raw_key=label.raw_key, simhash=label.simhash)
    provider = str(after.view.get("provider", ""))
    return replace(after, view=view_of(after.request, after.response, provider))


@click.command()
@click.argument("path", type=click.Path(path_type=Path, exists=True))
def cat(path: Path) -> None:
    """Print PATH as JSON Lines, whatever its form: a cassette, or one file of it."""
    try:
        for line in rewriting.lines_of(checked(path) if path.is_dir() else path):
            click.echo(line, nl=False)
    except CassetteError as error:
        raise click.ClickException(str(error)) from None


@click.command("init-git")
@tells_outcome
def init_git() -> Outcome:
    """Have git show compressed cassettes as text, in the repository of this folder."""
    textconv = ["git", "config", "diff.fakeai.textconv", "fakeai-proxy cassette cat"]
    top = _git(["git", "rev-parse", "--show-toplevel"])
    _git(textconv)
    file = Path(top) / ".gitattributes"
    there = file.read_text("utf-8").splitlines() if file.exists() else []
    lines = [*there, *(line for line in _ATTRIBUTES if line not in there)]
    if lines != there:
        file.write_text("\n".join(lines) + "\n", "utf-8")
    text = f"{file}: {' and '.join(_ATTRIBUTES)}"
    return Outcome(
        text, {"file": str(file), "attributes": list(_ATTRIBUTES), "added": lines != there}
    )


def _git(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - git's own
    if done.returncode:
        raise click.ClickException(done.stderr.strip() or f"{' '.join(command)} failed")
    return done.stdout.strip()
