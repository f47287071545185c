"""`fakeai-proxy profiles`: the back ends whose rhythm can be had."""

from __future__ import annotations

from pathlib import Path

import click

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.profiles import hosted_names, load_hosted, shipped


@click.group()
def profiles() -> None:
    """Latency profiles: what --profile accepts, besides a TOML file and none."""


@profiles.command()
def ls() -> int:
    """List the shipped profiles, with their first tokens and token gaps."""
    rows = [("NAME", "TTFT P50", "ITL P50", "NUMBERS", "WHAT IT IS LIKE")]
    for name in hosted_names():
        profile = load_hosted(name)
        assert profile is not None
        typical = profile.latency[-1]
        rows.append((
            name, f"{typical.ttft_p50_ms:g} ms", f"{typical.itl_p50_ms:g} ms",
            "illustrative" if profile.illustrative else "measured", profile.description,
        ))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())
    return 0


@profiles.command()
@click.argument("name")
def show(name: str) -> int:
    """Check the profile NAME (or a TOML file) and print it: a start for one of your own."""
    if load_hosted(name) is None:
        raise ConfigError("profiles show none: it has no numbers; answers come at once.")
    packed = shipped("profiles") / "hosted" / f"{name}.toml"
    text = packed.read_text("utf-8") if name in hosted_names() else Path(name).read_text("utf-8")
    click.echo(text, nl=not text.endswith("\n"))
    return 0
