"""`show`: an interaction as a curl line and a stream with its times."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

import click

from fakeai_proxy.cassette import frames
from fakeai_proxy.cassette.bodies import Blob
from fakeai_proxy.cassette.entries import Entry
from fakeai_proxy.cassette.format import Interaction, RecordedResponse, encode
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.messages import Message, instants_s
from fakeai_proxy.cassette.rfc6455 import closing
from fakeai_proxy.cassette.view import plain_body
from fakeai_proxy.cli.cassette.reading import loaded, named, opened, path_argument, time_text
from fakeai_proxy.exchange import SOCKET_METHOD, header, is_event_stream

#: Where a credential stood, and the variable to put into the curl line instead.
_VARIABLES = {
    "authorization": "Authorization: Bearer $OPENAI_API_KEY",
    "x-api-key": "x-api-key: $ANTHROPIC_API_KEY",
    "api-key": "api-key: $AZURE_OPENAI_API_KEY",
    "x-goog-api-key": "x-goog-api-key: $GEMINI_API_KEY",
}
#: Sound and pictures within an event: nothing to read.
_BASE64 = re.compile(r"(?<=\")[A-Za-z0-9+/_-]{200,}={0,2}(?=\")")
#: Headers that curl makes itself.
_CURLS_OWN = frozenset((b"host", b"content-length", b"accept-encoding"))


@click.command()
@path_argument
@click.argument("record_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="The recording as it is in the file.")
def show(path: Path, record_id: str, as_json: bool) -> None:
    """Show the recording ID of PATH: a curl line, then the reply with its times."""
    library = opened(path)
    entry = named(library, path, record_id)
    if as_json:
        is_open = entry.label.kind == frames.OPEN
        record = library.read_open(entry) if is_open else loaded(library, entry)
        click.echo(encode(record), nl=False)
        return
    if entry.label.kind == frames.OPEN:
        begun = library.read_open(entry)
        click.echo(f"# {begun.id}: {begun.request.method} {begun.request.target}")
        click.echo("# interrupted: the recorder ended before the reply did")
        return
    for line in _shown(library, entry):
        click.echo(line)


def _shown(library: Library, entry: Entry) -> Iterator[str]:
    record = loaded(library, entry)
    facts = {"session": record.session, "auth": dict(record.auth), "view": dict(record.view)}
    yield f"# {record.id}  {time_text(record.at)}"
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
    yield from _message_lines(response) if response.is_socket else _reply_lines(response)
    yield f"{(response.whole_us or response.head_us) / 1e6:10.6f}  end: {response.end}"


def _message_lines(response: RecordedResponse) -> Iterator[str]:
    """Both sides of a conversation: `>` is the client's, `<` the server's."""
    if response.withheld:
        yield f"            withheld: {response.withheld}"
    for one, at_s in zip(response.messages, instants_s(response.messages), strict=True):
        mark = ">" if one.sender == "client" else "<"
        for number, line in enumerate(_said(one)):
            yield f"{at_s:10.6f}  {mark} {line}" if not number else f"              {line}"


def _said(message: Message) -> list[str]:
    if message.op == "close":
        code, reason = closing(message.data)
        return [f"close {code or ''} {reason}".rstrip()]
    if message.op != "text":
        return [f"{message.op}, {len(message.data)} bytes"]
    text = _BASE64.sub(lambda match: f"({len(match[0])} characters of base64)",
                       message.data.decode("utf-8", "replace"))  # fmt: skip
    return text.splitlines() or [""]


def _curl(record: Interaction) -> Iterator[str]:
    request = record.request
    url = record.upstream + request.target
    parts = [f"curl -X {request.method} {shlex.quote(url)}"]
    if request.method == SOCKET_METHOD:  # which curl does not speak; the websockets package does
        parts = [f"websockets {shlex.quote(url.replace('http', 'ws', 1))}"]
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
    if is_event_stream(response.headers) and plain == response.body:
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
