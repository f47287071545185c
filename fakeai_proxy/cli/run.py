"""`fakeai-proxy run -- CMD`: one command with a proxy of its own around it.

The child's streams are untouched; it gets the signals we get, and we end as it ends.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Mapping

import click

from fakeai_proxy.cli.environment import environment
from fakeai_proxy.cli.options import load, with_settings
from fakeai_proxy.cli.serve import Interrupts, run_loop, start, telling_of
from fakeai_proxy.config import Config
from fakeai_proxy.errors import ConfigError

#: SDKs refuse to start without a key; where nothing is forwarded, any will do.
PLACEHOLDER = "sk-fakeai-placeholder"
KEYS = (
    "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AZURE_OPENAI_API_KEY", "GEMINI_API_KEY",
    "MISTRAL_API_KEY", "GROQ_API_KEY", "NVIDIA_API_KEY",
)  # fmt: skip

NOT_FOUND, NOT_EXECUTABLE = 127, 126
#: Signals that are passed on; a terminal sends those of _KEYBOARD to the child by itself.
_FORWARDED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
_KEYBOARD = ("SIGINT", "SIGQUIT")


@with_settings
@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def run(ctx: click.Context, /, command: tuple[str, ...], **_: object) -> int:
    """Start the proxy, run COMMAND with the environment that sends it through the proxy, and end
    with its exit status.

    Takes a free port unless --listen is given. Where nothing is forwarded to a live API, missing
    API keys are filled in; with --upstream, OPENAI_BASE_URL is, if it is not set. The access log
    goes to stderr, if --log-format asks for one.
    """
    config = load(ctx)
    if "listen" not in config.model_fields_set:
        config = config.model_copy(update={"listen": "127.0.0.1:0"})
    if config.log_format == "auto":
        config = config.model_copy(update={"log_format": "none"})
    if config.workers > 1:
        raise ConfigError("workers: one command has one process beside it; use --workers 1.")
    program = shutil.which(command[0])
    if program is None:
        return _cannot_run(command[0], "there is no such command", NOT_FOUND)
    return run_loop(_run(config, program, command))


async def _run(config: Config, program: str, command: tuple[str, ...]) -> int:
    app, close_log = await start(config, sys.stderr)
    telling = telling_of(config)
    try:
        status = await _child(config, app.url, program, command)
    finally:
        await app.close(config.drain_timeout, telling)
        close_log()
    return status or (telling.status if telling else 0)


async def _child(config: Config, url: str, program: str, command: tuple[str, ...]) -> int:
    environ = child_environment(config, url, os.environ)
    interrupts = Interrupts(
        tuple(getattr(signal, name) for name in _FORWARDED if hasattr(signal, name))
    )
    try:
        child = await asyncio.create_subprocess_exec(
            command[0], *command[1:], executable=program, env=environ
        )
    except OSError as error:
        return _cannot_run(command[0], error.strerror or str(error), NOT_EXECUTABLE)
    forwarding = asyncio.ensure_future(_forward(interrupts, child))
    status = await child.wait()
    forwarding.cancel()
    return status if status >= 0 else 128 - status


def child_environment(config: Config, url: str, environ: Mapping[str, str]) -> dict[str, str]:
    missing = {} if config.is_live else dict.fromkeys(KEYS, PLACEHOLDER)
    if config.upstream is not None:
        # Through HTTPS_PROXY a request goes to the host that it names, which is not this one.
        missing["OPENAI_BASE_URL"] = f"{url}/v1"
    return {**missing, **environ, **environment(config, url)}


async def _forward(interrupts: Interrupts, child: asyncio.subprocess.Process) -> None:
    while True:
        number = await interrupts.wait()
        if number.name in _KEYBOARD and _in_foreground():
            continue
        try:
            child.send_signal(number)
        except ProcessLookupError:
            return


def _in_foreground() -> bool:
    """Whether the keyboard's signals reach the child, which is in our process group, without us."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _cannot_run(command: str, reason: str, status: int) -> int:
    click.echo(f"fakeai-proxy: run {command}: {reason}", err=True)
    return status
