"""`fakeai-proxy profiles`: the back ends whose rhythm can be had, and what they are made of."""

from __future__ import annotations

import json
from pathlib import Path

import click

from fakeai_proxy.cli import profile_fit
from fakeai_proxy.cli.columns import Row, print_rows
from fakeai_proxy.cli.outcome import Outcome, tells_outcome
from fakeai_proxy.cli.profile_draft import draft
from fakeai_proxy.cli.profile_kinds import KINDS, kind_of
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.profiles import reading


@click.group()
def profiles() -> None:
    """Back ends, hosted ones and fleets of GPUs: what --profile accepts."""


profiles.add_command(profile_fit.fit)


@profiles.command()
@click.option(
    "--kind", "kinds", type=click.Choice([*KINDS]), multiple=True,
    help="Only these; without it hosted back ends and fleets, which --profile accepts.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON array, for programs.")
def ls(kinds: tuple[str, ...], as_json: bool) -> int:
    """List the shipped profiles; the times are those of a request that is alone."""
    chosen = kinds or ("hosted", "fleets")
    if as_json:
        found = [KINDS[kind].summary(KINDS[kind].load(name))
                 for kind in chosen for name in KINDS[kind].names]  # fmt: skip
        click.echo(json.dumps(found, indent=2))
        return 0
    tables: dict[Row, list[Row]] = {}
    for kind in (KINDS[name] for name in chosen):
        rows = tables.setdefault(kind.heads, [("NAME", *kind.heads, "WHAT IT IS LIKE")])
        for name in kind.names:
            summary = kind.summary(kind.load(name))
            rows.append((name, *kind.cells(summary), summary["description"]))
    for rows in tables.values():
        print_rows(rows)
    return 0


@profiles.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="What it amounts to, as one JSON object.")
def show(name: str, as_json: bool) -> int:
    """Print the profile NAME (or a TOML file), then what it amounts to as comments: the output is a
    start for a profile of your own."""
    kind = kind_of(name)
    profile = kind.load(name)
    if as_json:
        click.echo(json.dumps(kind.summary(profile), indent=2))
        return 0
    text = reading.text(kind.folder, name)
    click.echo(text, nl=not text.endswith("\n"))
    for line in kind.figures(profile):
        click.echo(line)
    return 0


@profiles.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@tells_outcome
def check(files: tuple[str, ...]) -> Outcome:
    """Whether FILE is a profile that can be used; if not, which key is wrong."""
    kinds = {file: kind_of(file) for file in files}
    for file, kind in kinds.items():
        list(kind.figures(kind.load(file)))  # the models and GPUs that it names, too
    lines = [f"{file}: {kind.what}, and in order" for file, kind in kinds.items()]
    checked = [{"checked": file, "folder": kind.folder} for file, kind in kinds.items()]
    return Outcome("\n".join(lines), {"profiles": checked})


@profiles.command("new")
@click.argument("name")
@click.option("--from", "base", default="quick", metavar="NAME|FILE", help="What to start from.")
@tells_outcome
def begin(name: str, base: str) -> Outcome:
    """Write NAME.toml: the base's settings, and all others as comments."""
    file = Path(name if name.endswith(".toml") else f"{name}.toml")
    kind = kind_of(base)
    profile = kind.load(base)
    text = draft(file, base, reading.text(kind.folder, base), profile)
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError:
        raise ConfigError(f"profiles new {name}: {file} is there already.") from None
    except OSError as error:
        raise ConfigError(f"profiles new {name}: {file}: {error.strerror}") from None
    return Outcome(f"{file}: {kind.what}, from {base}", {"file": str(file), "from": base})
