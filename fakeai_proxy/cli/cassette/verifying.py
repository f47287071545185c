"""`verify`, `scrub` and `anonymize`: whether a cassette is whole, and what it gives away."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from fakeai_proxy.cassette import rewriting
from fakeai_proxy.cassette.anonymizing import Anonymize
from fakeai_proxy.cassette.bodies import Blob
from fakeai_proxy.cassette.counting import recordings
from fakeai_proxy.cassette.entries import Entry
from fakeai_proxy.cassette.findings import verify_secrets
from fakeai_proxy.cassette.frames import INTERRUPTED
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.manifest import SALT_BYTES
from fakeai_proxy.cassette.redaction import Redactor
from fakeai_proxy.cassette.scrubbing import Scrub
from fakeai_proxy.cassette.segments import existing_salt, policy_of
from fakeai_proxy.cli.cassette.reading import opened, path_argument, progress, rewritten
from fakeai_proxy.cli.cassette.scrubbing import rules_of, scrub_options
from fakeai_proxy.cli.outcome import Outcome, tells_outcome
from fakeai_proxy.errors import CassetteError


def _redactor(path: Path, asked: dict[str, Any]) -> Redactor:
    chosen = rules_of(asked)
    redactor = Redactor(existing_salt(path), chosen.with_policy(policy_of(path)))
    missing = redactor.rules.tags - {redactor.tag(one.encode())[:12] for one in chosen.patterns}
    if missing:
        click.echo(
            f"{path}: recorded with {len(missing)} patterns that were not given now (--scrub-pattern)",
            err=True,
        )
    return redactor


@click.command()
@path_argument
@click.option("--secrets", is_flag=True, help="Look for credentials too.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@scrub_options
def verify(path: Path, secrets: bool, as_json: bool, **rules: Any) -> None:
    """Read every byte of PATH; exit status 1 when something is wrong with it. What was scrubbed besides
    credentials when it was recorded is looked for as well; patterns are not in it, so give them again."""
    library = opened(path)
    library.redactor = _redactor(path, rules)
    findings = [
        f"{torn.file}: {torn.size_bytes} bytes of an interrupted write"
        for torn in library.torn
        if not torn.moved
    ]
    for segment in library.segments:
        for _ in segment.scan(every_checksum=True):
            pass
        if segment.torn_bytes and not any(str(segment.path) in finding for finding in findings):
            findings.append(f"{segment.path}: damaged {segment.torn_bytes} bytes before its end")
    checked, count = 0, len(library.index.entries)
    with progress("reading") as tell:
        for entry in library.index.entries:
            checked += 1
            if not checked % 256:
                tell(checked, count)
            findings += _wrong(library, entry, secrets)
    if as_json:
        click.echo(json.dumps({"recordings": checked, "findings": findings}, indent=2))
    else:
        for finding in findings:
            click.echo(finding)
        click.echo(f"{recordings(checked)}, {_summed_up(len(findings), secrets)}")
    if findings:
        raise SystemExit(1)


def _summed_up(findings: int, secrets: bool) -> str:
    if not findings:
        return "no damage and no secrets" if secrets else "no damage"
    return f"{findings} finding{'' if findings == 1 else 's'}"


@click.command()
@path_argument
@scrub_options
@tells_outcome
def scrub(path: Path, **rules: Any) -> Outcome:
    """Remove from PATH every secret that this version knows, what was scrubbed when it was recorded, and
    what you name; keys and tags stay as they are."""
    try:
        redactor = _redactor(path, rules)
    except CassetteError as error:
        raise click.ClickException(str(error)) from None
    change = Scrub(redactor, rewriting.blobs_at(path))
    done = rewritten((path,), path, change, "scrubbing")
    rewriting.forget_blobs(path)
    text = f"{done.changed:,} of {recordings(done.kept)} had something to hide"
    return Outcome(text, {"cassette": str(path), "kept": done.kept, "changed": done.changed})


@click.command()
@path_argument
@click.argument("target", type=click.Path(path_type=Path))
@tells_outcome
def anonymize(path: Path, target: Path) -> Outcome:
    """Copy PATH into TARGET with other words: lengths, tokens as they were counted, timing, structure and
    tool graph stay. Look through the result before you give it away: numbers outside of texts, names of
    fields and paths of requests stay too."""
    if target.exists():
        raise click.ClickException(f"{target} is there already.")
    salt = secrets.token_bytes(SALT_BYTES)
    change = Anonymize(salt, rewriting.blobs_at(path), rewriting.blobs_at(target))
    done = rewritten((path,), target, change, "anonymizing", unfinished=False)
    text = f"{target}: {recordings(done.kept)} in other words"
    return Outcome(text, {"cassette": str(target), "recordings": done.kept})


def _wrong(library: Library, entry: Entry, secrets: bool) -> Iterator[str]:
    try:
        record = library.load(entry)
        bodies = [record.request.body, record.response.body if record.response else b""]
        for body in bodies:
            if isinstance(body, Blob):
                pieces = library.blob(entry, body)
                if secrets and library.redactor.finds(pieces, ()):
                    yield f"{record.id}: a secret in blob {body.hash}"
                for _ in pieces:
                    pass
    except CassetteError as error:
        yield str(error)
        return
    response = record.response
    if response and isinstance(response.body, bytes) and sum(response.cuts) != len(response.body):
        yield f"{record.id}: its cuts are of another body"
    if entry.label.flags & INTERRUPTED and record.whole:
        yield f"{record.id}: its label says interrupted, the rest of it does not"
    if secrets:
        for finding in verify_secrets(record, library.redactor):
            told = asdict(finding)
            yield f"{record.id}: {told['kind']} in {told['where']}: {told['shown']}"
