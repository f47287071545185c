"""`play`: an interaction in the terminal as its client saw it."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from pathlib import Path

import click

from fakeai_proxy.cassette.bodies import Blob
from fakeai_proxy.cassette.comparing import said, said_in
from fakeai_proxy.cassette.format import RecordedResponse
from fakeai_proxy.cassette.messages import Message
from fakeai_proxy.cli.cassette.reading import loaded, named, opened, path_argument
from fakeai_proxy.clock import SystemClock
from fakeai_proxy.exchange import is_event_stream


@click.command()
@path_argument
@click.argument("record_id", metavar="ID")
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Times as fast as it was; inf: at once.",
)
@click.option(
    "--cap-gap",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Wait for no piece longer than this.",
)
@click.option("--raw", is_flag=True, help="The bytes of the stream, not only what the model said.")
def play(path: Path, record_id: str, speed: float, cap_gap: float | None, raw: bool) -> None:
    """Play the reply of the recording ID of PATH with its recorded timing."""
    library = opened(path)
    record = loaded(library, named(library, path, record_id))
    response = record.response
    if response is None or isinstance(response.body, Blob):
        raise click.ClickException(f"{record.id} has no text to play.")
    pieces = _pieces(response, raw)
    asyncio.run(_played(pieces, speed, math.inf if cap_gap is None else cap_gap))
    click.echo()


def _pieces(response: RecordedResponse, raw: bool) -> list[tuple[float, bytes]]:
    """Seconds since the piece before, and what is shown of it."""
    if response.is_socket:
        return [(one.dt_us / 1e6, _spoken(one, raw)) for one in response.messages]
    body, position, whole, found = response.body, 0, 0, []
    assert isinstance(body, bytes), "bodies in files of their own were refused"
    streams = is_event_stream(response.headers) and not raw
    for cut, gap_us in zip(response.cuts, response.gaps_us, strict=False):
        start, position = position, position + cut
        data = body[start:position]
        if streams:
            # An event counts when its last line is there.
            ready = body.rfind(b"\n", whole, position) + 1 or whole
            data = said(replace(response, body=body[whole:ready])).encode()
            whole = ready
        found.append((gap_us / 1e6, data))
    return found


def _spoken(message: Message, raw: bool) -> bytes:
    """What a model says; with `raw`, all that both sides say."""
    if raw:
        mark = b"> " if message.sender == "client" else b"< "
        return mark + message.data + b"\n" if message.op == "text" else b""
    return said_in((message,)).encode()


async def _played(pieces: list[tuple[float, bytes]], speed: float, cap_gap_s: float) -> None:
    clock = SystemClock()
    due = clock.now()
    for gap_s, data in pieces:
        due += min(gap_s, cap_gap_s) / speed
        await clock.sleep_until(due)
        click.echo(data.decode("utf-8", "replace"), nl=False)
