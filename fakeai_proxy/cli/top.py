"""`fakeai-proxy top`: a running server, live in the terminal."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

import click

from fakeai_proxy.errors import ConfigError, FakeAIError

if TYPE_CHECKING:
    from fakeai_proxy.cli.screen import Screen

_URL = "http://127.0.0.1:8000"
#: A sample comes every second.
_TIMEOUT_S = 30.0


@click.command()
@click.argument("url", default=_URL, metavar="[URL]")
@click.option(
    "--token", envvar="FAKEAI_PROXY_ADMIN_TOKEN",
    help="The server's --admin-token. [env FAKEAI_PROXY_ADMIN_TOKEN]",
)  # fmt: skip
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
    states = _states(screen, _events(url.rstrip("/"), token))
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


def _events(url: str, token: str | None) -> Iterator[tuple[str, Any]]:
    """Raises FakeAIError."""
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"top: '{url}' is no URL of a server, such as {_URL}.")
    request = urllib.request.Request(f"{url}/_fakeai/v1/live")  # noqa: S310 - http, as just seen
    if token:
        request.add_header("x-fakeai-token", token)
    # No proxy: it is a server that is asked for itself.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_TIMEOUT_S) as stream:
            name = ""
            for line in stream:
                if line.startswith(b"event: "):
                    name = line[7:].strip().decode()
                elif line.startswith(b"data: "):
                    yield name, json.loads(line[6:])
    except urllib.error.HTTPError as error:
        raise FakeAIError(f"top: {url} says {error.code}: {_said(error)}") from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise FakeAIError(
            f"top: no fakeai-proxy answers at {url} ({reason}). Start one, or name its URL."
        ) from None
    raise FakeAIError(f"top: {url} has ended.")


def _said(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return str(error.reason)
