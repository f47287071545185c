"""The command `fakeai-proxy`: without a sub-command it serves.

Sub-commands are a table and imported when called, because the time from the prompt to a listening
port is everybody's. Whatever goes wrong is one line on stderr: 2 for what the user can correct on
the command line or in the settings, 1 for what failed while running.
"""

from __future__ import annotations

import difflib
import gc
import importlib
import sys
from typing import Any

import click

import fakeai_proxy
from fakeai_proxy.errors import ConfigError, FakeAIError

#: Name -> (attribute, help), the attribute as `module:name` below `fakeai_proxy.cli`.
COMMANDS = {
    "env": ("environment:env", "Print the shell lines that send programs through the proxy."),
    "run": ("run:run", "Start the proxy, run one command through it, end with its status."),
    "ca": ("ca:ca", "The certificate authority that intercepted TLS is signed with."),
    "doctor": ("doctor:doctor", "Prove, client by client, that the proxy is used and trusted."),
    "cassette": (
        "cassette:cassette",
        "Recordings: list, show, play, compare, edit, verify, scrub, pack, merge, split.",
    ),
    "simulate": (
        "simulate:simulate",
        "A load on a simulated fleet: latency, throughput, cache hits.",
    ),
    "scenarios": ("scenarios:scenarios", "What goes wrong over time: list, show, check, run."),
    "resilience": (
        "resilience:resilience",
        "What a client program does under one fault after another: a verdict.",
    ),
    "faults": ("faults:faults", "What can go wrong on purpose, and how it is asked for."),
    "profiles": ("profiles:profiles", "Latency profiles that are shipped."),
    "keys": ("keys:keys", "Keys for --auth required: create, list, delete."),
    "mitm-addon": ("mitm_addon:mitm_addon", "Print the path of our addon for mitmproxy."),
    "top": ("top:top", "Watch a running server: requests, first tokens, gaps, the fleet."),
    "models": ("models:models", "The registry of models: limits, abilities, prices."),
    "journal": ("journal:journal", "What a running server has answered: list, follow, export."),
    "completion": ("completion:completion", "Make bash, zsh or fish complete the command line."),
}

#: Command line -> what it is good for.
EXAMPLES = {
    "--mode synth": "Answer the whole API on port 8000, with any key.",
    "--mode record --upstream https://api.openai.com": "Pass on what comes, and keep it.",
    "--mode replay --cassette demo.fcz": "Answer from a recording, without a network.",
    "--profile 8xh100-70b-tp4x2 --limits openai:1": "As eight GPUs and a vendor's limits would.",
    "--mode replay run -- pytest": "One command behind the proxy, sent there by its environment.",
}


#: What other servers call an option of ours.
_CALLED_ELSEWHERE = {
    "--port": "--listen", "--host": "--listen", "--bind": "--listen", "--target": "--upstream",
    "--record": "--mode", "--replay": "--mode",
}  # fmt: skip


class Root(click.Group):
    """Its options are the server's, read from the settings when they are first needed."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        if not self.params:
            from fakeai_proxy.cli.options import setting_options

            self.params = [*setting_options(), _version_option()]
        return super().get_params(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(f"fakeai_proxy.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS:
            raise click.UsageError(f"There is no command '{name}'. {_meant(name)}", ctx)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                sections.setdefault(getattr(param, "section", "This program"), []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)
        self.format_commands(ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            formatter.write_dl([(f"fakeai-proxy {line}", text) for line, text in EXAMPLES.items()])

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _meant(name: str) -> str:
    if name in ("synth", "record", "replay", "auto", "hybrid", "diff", "pass"):
        return f"The mode is an option: --mode {name}."
    near = difflib.get_close_matches(name, COMMANDS, 1)
    return f"Did you mean {near[0]}?" if near else f"Known: {', '.join(COMMANDS)}."


def _version_option() -> click.Option:
    def show(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if value:
            click.echo(f"fakeai-proxy {fakeai_proxy.__version__}")
            ctx.exit()

    return click.Option(
        ["--version"], is_flag=True, is_eager=True, expose_value=False, callback=show,
        help="Show the version and exit.",
    )  # fmt: skip


@click.group(cls=Root, invoke_without_command=True, context_settings={"max_content_width": 100})
@click.pass_context
def root(ctx: click.Context, /, **_: Any) -> int:
    """Record, replay and synthesize LLM APIs on one port: a base URL, an HTTP proxy and an HTTPS
    proxy at once.

    Without a command it serves until Ctrl-C. Every option is also a key of the --config file and an
    environment variable.
    """
    if ctx.invoked_subcommand is not None:
        gc.enable()
        return 0
    from fakeai_proxy.cli.options import load
    from fakeai_proxy.cli.serve import serve

    return serve(load(ctx))


def main() -> None:
    """Ends the process with the command's status."""
    # What a start makes stays for good: looks for garbage would take a tenth of its time.
    gc.disable()
    try:
        status = root.main(prog_name="fakeai-proxy", standalone_mode=False)
    except click.Abort:
        status = 130
    except click.UsageError as error:
        if isinstance(error, click.NoSuchOption) and error.option_name in _CALLED_ELSEWHERE:
            theirs, ours = error.option_name, _CALLED_ELSEWHERE[error.option_name]
            said = f"No such option '{theirs}'. Did you mean '{ours}'?"
            error = click.UsageError(said, error.ctx)
        of = "fakeai-proxy" if error.ctx is None else error.ctx.command_path
        status = _fail(f"{error.format_message()} ({of} --help lists what there is)", 2)
    except click.ClickException as error:
        status = _fail(error.format_message(), error.exit_code)
    except ConfigError as error:
        status = _fail(str(error), 2)
    except OSError as error:
        from fakeai_proxy.cassette.places import refused

        status = _fail(refused(error), 1)
    except FakeAIError as error:
        status = _fail(str(error), 1)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str, status: int) -> int:
    click.echo(f"fakeai-proxy: {' '.join(message.split())}", err=True)
    return status
