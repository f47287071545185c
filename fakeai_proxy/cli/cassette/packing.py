"""`seal`, `pack`, `unpack`, `merge`, `split`, `rekey`, `rm` and `gc`: other cassettes of the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from fakeai_proxy.cassette import rewriting, sealing
from fakeai_proxy.cassette.bodies import Blob
from fakeai_proxy.cassette.counting import counted, recordings
from fakeai_proxy.cassette.format import KEY_PROFILE, Interaction
from fakeai_proxy.cassette.forms import FORMS
from fakeai_proxy.cassette.index import number_of
from fakeai_proxy.cassette.matching import canonical_body, key_of, raw_key, simhash
from fakeai_proxy.cassette.shapes import PLACEHOLDER
from fakeai_proxy.cassette.view import view_of
from fakeai_proxy.cli.cassette.reading import (
    CassettePath,
    loaded,
    named,
    opened,
    path_argument,
    progress,
    rewritten,
)
from fakeai_proxy.cli.outcome import Outcome, tells_outcome
from fakeai_proxy.errors import CassetteError

_target = click.argument("target", type=click.Path(path_type=Path))
_UNUSUAL = re.compile(r"[^A-Za-z0-9._-]+")


@click.command()
@path_argument
@click.option("--again", is_flag=True, help="Pack what is sealed already, too: into one file.")
@tells_outcome
def seal(path: Path, again: bool) -> Outcome:
    """Make PATH, a directory, several times smaller. What another process is recording stays as it is;
    who replays from PATH may go on."""
    with progress("sealing") as tell:
        try:
            done = sealing.seal(path, tell, again=again)
        except CassetteError as error:
            raise click.ClickException(str(error)) from None
    for name in done.busy:
        click.echo(f"{name} is being recorded into, and was left alone", err=True)
    text = "nothing to seal"
    if done.records:
        ratio = done.before_bytes / done.after_bytes
        text = (
            f"{recordings(done.records)} sealed: {done.before_bytes:,} bytes before, "
            f"{done.after_bytes:,} after ({ratio:.1f} times smaller)"
        )
    facts = {
        "cassette": str(path), "recordings": done.records, "before_bytes": done.before_bytes,
        "after_bytes": done.after_bytes, "busy": done.busy,
    }  # fmt: skip
    return Outcome(text, facts)


@click.command()
@path_argument
@_target
@tells_outcome
def pack(path: Path, target: Path) -> Outcome:
    """Copy PATH into TARGET, which says by its name what it is: a directory NAME.fcz, sealed, or one
    file NAME.jsonl.zst."""
    return _write((path,), target)


@click.command()
@path_argument
@_target
@tells_outcome
def unpack(path: Path, target: Path) -> Outcome:
    """Copy PATH into TARGET, NAME.jsonl: a recording a line, which git shows and people edit."""
    if target.suffix != ".jsonl":
        raise click.ClickException(f"{target} does not end in .jsonl.")
    return _write((path,), target)


@click.command()
@click.argument("paths", nargs=-1, required=True, type=CassettePath(), metavar="PATH...")
@_target
@tells_outcome
def merge(paths: tuple[Path, ...], target: Path) -> Outcome:
    """Copy the recordings of every PATH into TARGET, one cassette after the other."""
    return _write(paths, target)


_WAYS: dict[str, Callable[[Interaction], str]] = {
    "session": lambda record: record.session or "none",
    "model": lambda record: str(record.view.get("model") or "none"),
    "host": lambda record: record.upstream.partition("://")[2] or "none",
    "route": lambda record: record.request.target.partition("?")[0].strip("/") or "root",
    "day": lambda record: datetime.fromtimestamp(record.at, UTC).strftime("%Y-%m-%d"),
}


@click.command()
@path_argument
@click.option("--by", type=click.Choice(sorted(_WAYS)), required=True)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@tells_outcome
def split(path: Path, by: str, folder: Path) -> Outcome:
    """Copy the recordings of PATH into FOLDER, a cassette for each session, model, host, route or day."""
    way = _WAYS[by]
    form = next(form for form in FORMS if path.name.endswith(form))

    def target_of(name: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{_UNUSUAL.sub('-', name).strip('.-') or 'none'}{form}"

    with progress("splitting") as tell:
        try:
            counts = rewriting.split(path, way, target_of, tell)
        except CassetteError as error:
            raise click.ClickException(str(error)) from None
    made = {str(target_of(name)): count for name, count in counts.items()}
    lines = [f"{target}: {recordings(count)}" for target, count in made.items()]
    return Outcome("\n".join(lines), {"cassette": str(path), "by": by, "recordings": made})


@click.command()
@path_argument
@tells_outcome
def rekey(path: Path) -> Outcome:
    """Make the keys of PATH anew, as this version makes them. Requests whose bodies held secrets keep
    theirs: the secrets were part of them."""
    done = rewritten((path,), path, _rekeyed, "making keys")
    text = f"{done.changed:,} of {recordings(done.kept)} got other keys"
    return Outcome(text, {"cassette": str(path), "kept": done.kept, "changed": done.changed})


def _rekeyed(record: Interaction) -> Interaction:
    request = record.request
    if isinstance(request.body, Blob) or PLACEHOLDER.search(request.body) or not request.complete:
        return record
    canonical = canonical_body(request.headers, request.body)
    after = replace(
        record,
        raw_key=raw_key(request.method, request.target, request.headers, request.body),
        key=key_of(request.method, request.target, request.headers, canonical),
        simhash=simhash(canonical),
        key_profile=KEY_PROFILE,
        view=view_of(request, record.response, str(record.view.get("provider", ""))),
    )
    return record if after == record else after


@click.command()
@path_argument
@click.argument("record_ids", nargs=-1, required=True, metavar="ID...")
@tells_outcome
def rm(path: Path, record_ids: tuple[str, ...]) -> Outcome:
    """Remove the recordings ID from PATH: those that nobody asks for any more, say, which a verdict in
    JSON names."""
    library = opened(path)
    gone = {number_of(loaded(library, named(library, path, one)).id) for one in record_ids}
    library.close()
    done = rewritten(
        (path,), path, lambda record: None if number_of(record.id) in gone else record, "removing"
    )
    rewriting.forget_blobs(path)
    return Outcome(
        f"{recordings(len(gone))} removed, {done.kept:,} left",
        {"cassette": str(path), "removed": len(gone), "kept": done.kept},
    )


@click.command()
@path_argument
@tells_outcome
def gc(path: Path) -> Outcome:
    """Remove from PATH what is of no use: requests whose end never came, and bodies nobody names."""
    done = rewritten((path,), path, None, "collecting", unfinished=False)
    gone = rewriting.forget_blobs(path)
    return Outcome(
        f"{recordings(done.kept)} kept, {done.left_out:,} without an end and "
        f"{counted(gone, 'file')} of bodies removed",
        {"cassette": str(path), "kept": done.kept, "without_end": done.left_out, "bodies": gone},
    )


def _write(paths: Sequence[Path], target: Path) -> Outcome:
    if not target.name.endswith(FORMS):
        raise click.ClickException(f"{target} ends in none of {', '.join(FORMS)}.")
    done = rewritten(paths, target, None, "copying")
    return Outcome(
        f"{target}: {recordings(done.kept)}", {"cassette": str(target), "recordings": done.kept}
    )
