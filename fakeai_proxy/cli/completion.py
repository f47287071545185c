"""`fakeai-proxy completion`: what makes a shell complete commands, options and their values."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, get_completion_class

from fakeai_proxy.errors import ConfigError

#: Shell -> where what is printed goes.
SHELLS = {
    "bash": "~/.bashrc",
    "zsh": "~/.zshrc",
    "fish": "~/.config/fish/completions/fakeai-proxy.fish",
}
PROGRAM = "fakeai-proxy"
#: What the shell's function sets when it asks the program.
VARIABLE = "_FAKEAI_PROXY_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice([*SHELLS]))
def completion(shell: str) -> int:
    """Print what makes SHELL complete the command line.

    \b
    bash, zsh:  eval "$(fakeai-proxy completion bash)"      # every shell: into ~/.bashrc or ~/.zshrc
    fish:       fakeai-proxy completion fish > ~/.config/fish/completions/fakeai-proxy.fish
    """
    from fakeai_proxy.cli.main import root

    kind = get_completion_class(shell)
    if kind is None:
        raise ConfigError(f"completion: there is none for {shell}.")
    # Its source without the check of the shell's version, which would start the shell.
    wanted = kind(root, {}, PROGRAM, VARIABLE)
    click.echo(wanted.source_template % wanted.source_vars())
    return 0


def values(setting: str, incomplete: str) -> list[CompletionItem]:
    """As far as they can be listed: shipped names, and files."""
    if setting in _NAMES and "/" not in incomplete:
        found = [name for name in _names(setting) if name.startswith(incomplete)]
        if found:
            return [CompletionItem(name) for name in found]
    if setting in _NAMES or setting in _FILES:
        return [CompletionItem(incomplete, type="file")]
    return []


#: Settings that files are named by; shell functions complete directories with them.
_FILES = frozenset(
    ("cassette", "config_file", "data", "faults", "models", "responder", "upstream_ca")
)
#: Settings whose values are shipped under `profiles/`, and where.
_NAMES = {
    "profile": ("hosted", "fleets"),
    "limits": ("limits",),
    "scenario": ("scenarios",),
    "fault": (),
}


def _names(setting: str) -> list[str]:
    from fakeai_proxy.profiles import reading
    from fakeai_proxy.shaping.faults.table import FAULTS

    if setting == "fault":
        return list(FAULTS)
    none = [] if setting == "scenario" else ["none"]
    return none + [name for kind in _NAMES[setting] for name in reading.names(kind)]
