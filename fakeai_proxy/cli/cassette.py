"""`fakeai-proxy cassette ls|show|verify|seal`: looking into recordings, and packing them.

Tables are for terminals; in a pipe every line is plain, tab-separated and in recorded order.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from fakeai_proxy.cassette import sealing
from fakeai_proxy.cassette.bodies import Blob
from fakeai_proxy.cassette.format import Interaction, RecordedResponse, is_sse
from fakeai_proxy.cassette.frames import INTERRUPTED
from fakeai_proxy.cassette.index import Entry, number_of
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.redaction import verify_secrets
from fakeai_proxy.cassette.settings import CassetteSettings
from fakeai_proxy.cassette.view import plain_body
from fakeai_proxy.clock import SystemClock
from fakeai_proxy.errors import CassetteError
from fakeai_proxy.exchange import header

#: Where a credential stood, and the variable to put into the curl line instead.
_VARIABLES = {
    "authorization": "Authorization: Bearer $OPENAI_API_KEY",
    "x-api-key": "x-api-key: $ANTHROPIC_API_KEY",
    "api-key": "api-key: $AZURE_OPENAI_API_KEY",
    "x-goog-api-key": "x-goog-api-key: $GEMINI_API_KEY",
}
#: Headers that curl makes itself.
_CURLS_OWN = frozenset((b"host", b"content-length", b"accept-encoding"))
_COLUMNS = ("id", "time", "request", "status", "end", "model", "bytes", "seconds")


@click.group()
def cassette() -> None:
    """Look into recordings, and pack them."""


_path = click.argument("path", type=click.Path(path_type=Path, exists=True))


@cassette.command()
@_path
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def ls(path: Path, as_json: bool) -> None:
    """List what PATH holds, in recorded order."""
    library = _open(path)
    rows = [*_closed(library), *_unclosed(library)]
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
    elif sys.stdout.isatty():
        table = Table(*_COLUMNS, box=None)
        for row in rows:
            style = "" if row["end"] == "eof" else "yellow"
            table.add_row(*(str(row[name]) for name in _COLUMNS), style=style)
        Console().print(table)
    else:
        for row in rows:
            click.echo("\t".join(str(row[name]) for name in _COLUMNS))
    _say_state(library, rows)


@cassette.command()
@_path
@click.argument("record_id", metavar="ID")
def show(path: Path, record_id: str) -> None:
    """Show interaction ID of PATH: a curl line, then the reply with its times."""
    library = _open(path)
    entry = library.index.by_id(number_of(record_id))
    if entry is None:
        near = [row["id"] for row in _closed(library) if row["id"].startswith(record_id)]
        if len(near) != 1:
            raise click.ClickException(f"{path} has no interaction {record_id}.")
        entry = library.index.by_id(number_of(near[0]))
    assert entry is not None
    if entry in library.index.opened.values():
        opened = library.read_open(entry)
        click.echo(f"# {opened.id}: {opened.request.method} {opened.request.target}")
        click.echo("# interrupted: the recorder ended before the reply did")
        return
    for line in _shown(library, entry):
        click.echo(line)


@cassette.command()
@_path
@click.option("--secrets", is_flag=True, help="Look for credentials too.")
def verify(path: Path, secrets: bool) -> None:
    """Read every byte of PATH; exit status 1 when something is wrong with it."""
    library = _open(path)
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
    checked = 0
    for entry in library.index.entries:
        checked += 1
        findings += _wrong(library, entry, secrets)
    for finding in findings:
        click.echo(finding)
    looked_for = " and no secrets" if secrets else ""
    if findings:
        click.echo(
            f"{checked} interactions, {len(findings)} {'finding' if len(findings) == 1 else 'findings'}"
        )
        raise SystemExit(1)
    click.echo(f"{checked} interactions, no damage{looked_for}")


@cassette.command()
@_path
@click.option("--again", is_flag=True, help="Pack what is sealed already, too: into one file.")
def seal(path: Path, again: bool) -> None:
    """Make PATH, a directory, several times smaller. What another process is recording stays as it is;
    who replays from PATH may go on."""
    shown = sys.stderr.isatty()
    columns = (TextColumn("sealing"), BarColumn(), MofNCompleteColumn())
    bars = Progress(*columns, console=Console(stderr=True), transient=True, disable=not shown)
    with bars as bar:
        task = bar.add_task("", total=None)
        try:
            done = sealing.seal(
                path, lambda done, of: bar.update(task, completed=done, total=of), again=again
            )
        except CassetteError as error:
            raise click.ClickException(str(error)) from None
    for name in done.busy:
        click.echo(f"{name} is being recorded into, and was left alone", err=True)
    if not done.records:
        click.echo("nothing to seal")
        return
    ratio = done.before_bytes / done.after_bytes
    click.echo(
        f"{done.records} records sealed: {done.before_bytes:,} bytes before, "
        f"{done.after_bytes:,} after ({ratio:.1f} times smaller)"
    )


def _open(path: Path) -> Library:
    chosen = CassetteSettings(cassette=(path,), replay_interrupted=True)
    try:
        return Library.open(chosen, SystemClock(), repair=False)
    except CassetteError as error:
        raise click.ClickException(str(error)) from None


def _load(library: Library, entry: Entry) -> Interaction:
    try:
        return library.load(entry)
    except CassetteError as error:
        raise click.ClickException(str(error)) from None


# --- ls --------------------------------------------------------------------------------------


def _closed(library: Library) -> Iterator[dict[str, Any]]:
    for entry in library.index.entries:
        record = _load(library, entry)
        response = record.response
        yield {
            "id": record.id,
            "time": _time(record.at),
            "request": f"{record.request.method} {record.upstream}{record.request.target}",
            "status": response.status if response else 0,
            "end": record.end if response is None or not response.withheld else "withheld",
            "model": record.view.get("model", ""),
            "bytes": sum(response.cuts) if response else 0,
            "seconds": round(sum(response.gaps_us) / 1e6, 3) if response else 0.0,
        }


def _unclosed(library: Library) -> Iterator[dict[str, Any]]:
    for entry in library.index.opened.values():
        record = library.read_open(entry)
        yield {
            "id": record.id,
            "time": _time(record.at),
            "request": f"{record.request.method} {record.upstream}{record.request.target}",
            "status": 0,
            "end": "interrupted",
            "model": "",
            "bytes": 0,
            "seconds": 0.0,
        }


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _say_state(library: Library, rows: list[dict[str, Any]]) -> None:
    """What a reader of the list must know, on the standard error."""
    interrupted = sum(row["end"] != "eof" for row in rows)
    if interrupted:
        click.echo(f"{interrupted} of {len(rows)} were interrupted or withheld", err=True)
    if library.index.dropped:
        click.echo(f"{library.index.dropped} were seen and not recorded", err=True)
    for torn in library.torn:
        where = "set aside in" if torn.moved else "at the end of"
        click.echo(
            f"torn: {torn.size_bytes} bytes of an interrupted write {where} {torn.file}", err=True
        )


# --- show ------------------------------------------------------------------------------------


def _shown(library: Library, entry: Entry) -> Iterator[str]:
    record = _load(library, entry)
    facts = {"session": record.session, "auth": dict(record.auth), "view": dict(record.view)}
    yield f"# {record.id}  {_time(record.at)}"
    yield from (f"# {name}: {json.dumps(fact)}" for name, fact in facts.items() if fact)
    yield from _curl(record)
    response = record.response
    if response is None:
        yield "# the client went away before the reply's head"
        return
    yield ""
    yield f"{response.head_us / 1e6:10.6f}  {response.status} {response.reason}".rstrip()
    yield from (
        f"            {name.decode('latin-1')}: {value.decode('latin-1')}"
        for name, value in response.headers
    )
    yield ""
    yield from _reply_lines(response)
    ends = list(accumulate(response.gaps_us))
    yield f"{ends[-1] / 1e6 if ends else response.head_us / 1e6:10.6f}  end: {response.end}"


def _curl(record: Interaction) -> Iterator[str]:
    request = record.request
    parts = [f"curl -X {request.method} {shlex.quote(record.upstream + request.target)}"]
    for name, value in request.headers:
        lower = name.lower()
        if lower.decode("latin-1") in _VARIABLES:
            parts.append(f'-H "{_VARIABLES[lower.decode("latin-1")]}"')
        elif lower not in _CURLS_OWN:
            parts.append("-H " + shlex.quote((name + b": " + value).decode("latin-1")))
    body = request.body
    if isinstance(body, Blob):
        parts.append(f"--data-binary @{body.hash}  # {body.size} bytes")
    elif body:
        try:
            parts.append(f"--data-raw {shlex.quote(body.decode())}")
        except UnicodeDecodeError:
            parts.append(f"--data-binary @-  # {len(body)} bytes that are no text")
    yield " \\\n  ".join(parts)


def _reply_lines(response: RecordedResponse) -> Iterator[str]:
    if isinstance(response.body, Blob):
        yield f"            {response.body.size} bytes in blob {response.body.hash}"
        return
    if response.withheld:
        yield f"            withheld: {response.withheld}"
        return
    plain = plain_body(response)
    if is_sse(response.headers) and plain == response.body:
        position = 0
        for cut, at_us in zip(response.cuts, accumulate(response.gaps_us), strict=False):
            piece = plain[position : position + cut].decode("utf-8", "replace")
            position += cut
            for number, line in enumerate(line for line in piece.splitlines() if line):
                yield f"{at_us / 1e6:10.6f}  {line}" if not number else f"            {line}"
        return
    kind = (header(response.headers, b"content-type") or b"").decode("latin-1")
    try:
        text = plain.decode()
    except UnicodeDecodeError:
        yield f"            {len(plain)} bytes of {kind or 'no declared type'}"
        return
    with contextlib.suppress(ValueError, RecursionError):
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    yield from (f"            {line}" for line in text.splitlines())


# --- verify ----------------------------------------------------------------------------------


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
        yield f"{record.id}: its label says interrupted, the record does not"
    if secrets:
        for finding in verify_secrets(record):
            told = asdict(finding)
            yield f"{record.id}: {told['kind']} in {told['where']}: {told['shown']}"
