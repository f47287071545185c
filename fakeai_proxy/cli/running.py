"""Asks a server that is running, by its control API."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from typing import Any, TypeVar
from urllib.parse import urlencode

import click

from fakeai_proxy.errors import ConfigError, FakeAIError

URL = "http://127.0.0.1:8000"
#: An open feed says something within this.
TIMEOUT_S = 30.0

Command = TypeVar("Command", bound=Callable[..., Any])


def asks_a_server(command: Command) -> Command:
    """Gives a command the parameters `url` and `token`."""
    token = click.option(
        "--token", envvar="FAKEAI_PROXY_ADMIN_TOKEN",
        help="The server's --admin-token. [env FAKEAI_PROXY_ADMIN_TOKEN]",
    )  # fmt: skip
    return click.argument("url", default=URL, metavar="[URL]")(token(command))


@contextmanager
def asked(
    url: str, token: str | None, path: str, query: dict[str, Any], last_id: str = ""
) -> Iterator[HTTPResponse]:
    """The answer to GET `path` below /_fakeai/v1/. Raises FakeAIError."""
    given = {name: value for name, value in query.items() if value is not None}
    target = f"{url.rstrip('/')}/_fakeai/v1/{path}?{urlencode(given)}"
    if not target.startswith(("http://", "https://")):
        raise ConfigError(f"{url}: a server's URL begins with http:// or https://")
    request = urllib.request.Request(target)  # noqa: S310 - looked at above
    for name, value in (("x-fakeai-token", token), ("last-event-id", last_id)):
        if value:
            request.add_header(name, value)
    # No proxy: it is a server that is asked for itself.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            yield answer
    except urllib.error.HTTPError as error:
        raise FakeAIError(f"{url} says {error.code}: {_said(error)}") from None
    except BrokenPipeError:
        raise  # whoever reads us has gone, as `head` does
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise FakeAIError(
            f"no fakeai-proxy answers at {url} ({reason}). Start one, or name its URL."
        ) from None


def events(answer: HTTPResponse) -> Iterator[tuple[str, Any, str]]:
    """Name, data and id of server-sent events, as far as there are any."""
    name = last_id = ""
    for line in answer:
        field, _, value = line.decode().rstrip("\n").partition(": ")
        if field == "event":
            name = value
        elif field == "id":
            last_id = value
        elif field == "data":
            yield name, json.loads(value), last_id


def _said(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return error.reason
