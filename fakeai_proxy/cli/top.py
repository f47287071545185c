"""`fakeai-proxy top`: a running server, live in the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from fakeai_proxy.cli.running import asked, asks_a_server, events
from fakeai_proxy.errors import FakeAIError

if TYPE_CHECKING:
    from fakeai_proxy.cli.screen import Screen


@click.command()
@asks_a_server
@click.option("--once", is_flag=True, help="Say once how it stands, and end; so it does in a pipe.")
@click.option(
    "--json", "as_json", is_flag=True, help="With --once one JSON object, else one a second."
)
def top(url: str, token: str | None, once: bool, as_json: bool) -> int:
    """Watch the server at URL (http://127.0.0.1:8000): requests, first tokens, gaps, and what each
    worker of the fleet does. Ctrl-C ends it."""
    from rich.console import Console
    from rich.live import Live

    from fakeai_proxy.cli.screen import Screen

    screen, console = Screen(), Console(highlight=False)
    states = _states(screen, _told(url, token))
    if as_json:
        for _ in states:
            click.echo(json.dumps(screen.summary()))
            sys.stdout.flush()
            if once:
                break
        return 0
    if once or not console.is_terminal:
        next(states)
        console.print(screen.picture(url))
        return 0
    with Live(console=console, screen=True, auto_refresh=False) as live:
        for _ in states:
            live.update(screen.picture(f"{url}   (Ctrl-C ends)"), refresh=True)
    return 0


def _states(screen: Screen, events: Iterator[tuple[str, Any]]) -> Iterator[None]:
    """Once all of the beginning has been told, which marks end, and then every second."""
    for event, data in events:
        screen.receive(event, data)
        if event in ("marks", "sample"):
            yield


def _told(url: str, token: str | None) -> Iterator[tuple[str, Any]]:
    """Raises FakeAIError."""
    with asked(url, token, "live", {}) as answer:
        for name, data, _ in events(answer):
            yield name, data
    raise FakeAIError(f"top: {url} has ended.")
