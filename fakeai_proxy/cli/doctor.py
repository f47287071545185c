"""`fakeai-proxy doctor`: a real request through every installed client, and what to do about those
that fail.

Each client runs in a process of its own with the environment of `env` and asks an intercepted host
for the proxy's health page. The page tells which process served it, so a client that reads it has
gone through the proxy and trusts its certificate.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import aiohttp
import click
import orjson

from fakeai_proxy.cli.clients import CLIENTS, Client, advice, python_path
from fakeai_proxy.cli.environment import environment
from fakeai_proxy.cli.options import load, with_settings
from fakeai_proxy.cli.serve import run_loop, start
from fakeai_proxy.config import Config

PAGE, STATUS = "/_fakeai/health", "/_fakeai/v1/status"
_PROXY_URL = re.compile(r"http://(\[[0-9a-fA-F:.]+\]|[^:/\[\]]+):\d{1,5}/?")
#: The exit status of a client's script when the client is not there.
NOT_INSTALLED = 77
CLIENT_TIMEOUT_S = 60.0
#: Clients asked at a time.
PARALLEL = 4

Outcome = Literal["ok", "fail", "not installed"]


@dataclass(frozen=True, slots=True)
class Finding:
    client: str
    outcome: Outcome
    detail: str = ""
    advice: str = ""


@with_settings
@click.command()
@click.option("--proxy", metavar="URL", help="Check this running proxy instead of one of our own.")
@click.option("--python", metavar="PATH", help="The Python whose libraries are checked. Default: the "
              "one on PATH.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON array.")
@click.pass_context
def doctor(
    ctx: click.Context, /, proxy: str | None, python: str | None, as_json: bool, **_: object
) -> int:
    """Prove with a real request through each installed client that it goes through the proxy and
    trusts it. Ends with 1 if one does not.
    """
    config = load(ctx)
    if proxy is not None and not _PROXY_URL.fullmatch(proxy):
        raise click.UsageError(f"--proxy {proxy}: give the URL that the server printed.")
    findings, store = run_loop(_examine(config, proxy, python or python_path()))
    if as_json:
        click.echo(orjson.dumps([asdict(one) for one in findings], option=orjson.OPT_INDENT_2))
    else:
        _print(findings)
        if store:
            click.echo(f"The store: {store}")
    return 1 if any(one.outcome == "fail" for one in findings) else 0


async def _examine(config: Config, proxy: str | None, python: str) -> tuple[list[Finding], str]:
    """Also where the proxy has its store, if it tells."""
    if proxy is not None:
        return await _ask_all(config, proxy, python), await _store(proxy)
    own = config.model_copy(
        update={"listen": "127.0.0.1:0", "mode": "synth", "log_format": "none", "profile": "none"}
    )
    app, close_log = await start(own, sys.stderr)
    try:
        return await _ask_all(own, app.url, python), own.store_place
    finally:
        await app.close(0.0)
        close_log()


async def _ask_all(config: Config, proxy: str, python: str) -> list[Finding]:
    instance = await _instance(proxy)
    environ = {**os.environ, **environment(config, proxy)}
    places = asyncio.Semaphore(PARALLEL)

    async def ask(client: Client) -> Finding:
        async with places:
            return await examine(client, environ, python, instance)

    return await asyncio.gather(*map(ask, CLIENTS))


async def _page(proxy: str, path: str) -> Any:
    """One of its own pages, asked for without any proxy. Raises what aiohttp does, and ValueError."""
    parts = urlsplit(proxy)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    timeout = aiohttp.ClientTimeout(total=10)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(f"http://{host}:{parts.port}{path}") as reply,
    ):
        return orjson.loads(await reply.read())


async def _store(proxy: str) -> str:
    """ "" where it wants a token to tell."""
    try:
        return str((await _page(proxy, STATUS))["store"])
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError):
        return ""


async def _instance(proxy: str) -> str:
    """Which process serves there. Raises ClickException."""
    try:
        return str((await _page(proxy, PAGE))["instance"])
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as error:
        raise click.ClickException(
            f"--proxy {proxy}: no fakeai-proxy answers there ({type(error).__name__}). Start it, or "
            "leave --proxy out to check with one of our own."
        ) from None


async def examine(
    client: Client, environ: Mapping[str, str], python: str, instance: str
) -> Finding:
    """Run one client and judge what it read."""
    command = client.command(python, f"https://{client.host}{PAGE}")
    if command is None:
        return Finding(client.name, "not installed")
    status, out, err = await _output(command, environ)
    if status == NOT_INSTALLED:
        return Finding(client.name, "not installed")
    if status == 0 and f'"{instance}"' in out.replace('\\"', '"'):
        return Finding(client.name, "ok")
    reason = (err.strip().splitlines() or ["it was answered, but not by this proxy"])[-1][:300]
    return Finding(client.name, "fail", reason, advice(client, err))


async def _output(command: list[str], environ: Mapping[str, str]) -> tuple[int, str, str]:
    child = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(environ),
    )
    try:
        async with asyncio.timeout(CLIENT_TIMEOUT_S):
            out, err = await child.communicate()
    except TimeoutError:
        child.kill()
        await child.communicate()
        return 1, "", f"no answer within {CLIENT_TIMEOUT_S:g} s"
    return child.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace")


def _print(findings: list[Finding]) -> None:
    paint: Callable[[str, str], str] = lambda text, colour: click.style(text, fg=colour)  # noqa: E731
    marks = {"ok": paint("OK", "green"), "fail": paint("FAIL", "red"), "not installed": "-"}
    width = max(len(one.client) for one in findings)
    for one in findings:
        mark = marks[one.outcome] + " " * (5 - len(click.unstyle(marks[one.outcome])))
        detail = "not installed" if one.outcome == "not installed" else one.detail
        click.echo(f"{one.client:<{width}}  {mark} {detail}".rstrip())
        if one.advice:
            click.echo(f"{'':<{width}}        {one.advice}")
