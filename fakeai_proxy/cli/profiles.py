"""`fakeai-proxy profiles`: the back ends whose rhythm can be had."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator

import click

from fakeai_proxy.cli import profile_fit
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.profiles import HostedProfile, Latency, hosted_names, hosted_text, load_hosted

_SHARES = (0.5, 0.9, 0.99)
#: A histogram has this many bins between these quantiles, and bars of this length.
_BINS, _FROM, _TO, _BAR_CHARS = 8, 0.005, 0.995, 40


@click.group()
def profiles() -> None:
    """Latency profiles: what --profile accepts, besides a TOML file and none."""


profiles.add_command(profile_fit.fit)


@profiles.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON array, for programs.")
def ls(as_json: bool) -> int:
    """List the shipped profiles, with their first tokens and speed."""
    found = [profile for name in hosted_names() if (profile := load_hosted(name))]
    if as_json:
        click.echo(json.dumps([_summary(profile) for profile in found], indent=2))
        return 0
    rows: list[tuple[str, ...]] = [("NAME", "TTFT P50", "TOKENS/S", "NUMBERS", "WHAT IT IS LIKE")]
    for profile in found:
        typical = profile.latency[-1]
        rows.append((
            profile.name, f"{typical.ttft_p50_ms:g} ms", f"{typical.tokens_per_s:.0f}",
            "illustrative" if profile.illustrative else "measured", profile.description,
        ))  # fmt: skip
    for line in _columns(rows):
        click.echo(line)
    return 0


@profiles.command()
@click.argument("name")
def show(name: str) -> int:
    """Print the profile NAME (or a TOML file), then its distributions as comments: the output is a
    start for a profile of your own."""
    profile = load_hosted(name)
    if profile is None:
        raise ConfigError("profiles show none: it has no numbers; answers come at once.")
    text = hosted_text(name)
    click.echo(text, nl=not text.endswith("\n"))
    for row in profile.latency:
        click.echo(f"\n# {row.model}: {_speed(row)}")
        for line in _columns(_quantiles(row)):
            click.echo(f"#   {line}")
        for title, quantile in (("TTFT", row.ttft_ms), ("gaps", row.itl_ms)):
            for line in _histogram(title, quantile):
                click.echo(f"#   {line}")
    return 0


def _summary(profile: HostedProfile) -> dict[str, object]:
    typical = profile.latency[-1]
    speed = typical.tokens_per_s
    return {
        "name": profile.name,
        "description": profile.description,
        "ttft_p50_ms": typical.ttft_p50_ms,
        "tokens_per_s": round(speed, 1) if math.isfinite(speed) else None,
        "illustrative": profile.illustrative,
        "source": profile.source,
        "models": [row.model for row in profile.latency],
    }


def _speed(row: Latency) -> str:
    if not row.itl_p50_ms:
        return "comes whole"
    return f"{row.tokens_per_s:.0f} tokens/s"


def _quantiles(row: Latency) -> list[tuple[str, ...]]:
    return [
        ("", *(f"P{share * 100:g}" for share in _SHARES)),
        ("TTFT, ms", *(f"{row.ttft_ms(share):.0f}" for share in _SHARES)),
        ("gap, ms", *(f"{row.itl_ms(share):.1f}" for share in _SHARES)),
    ]


def _columns(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join(cells).rstrip()


def _histogram(title: str, quantile: Callable[[float], float]) -> Iterator[str]:
    """Bars of the share of draws in bins of equal width; nothing where all draws are equal."""
    low, high = quantile(_FROM), quantile(_TO)
    if high - low < 1e-9:
        return
    counts = [0] * _BINS
    for k in range(1000):
        value = quantile(_FROM + (_TO - _FROM) * (k + 0.5) / 1000)
        counts[min(int((value - low) / (high - low) * _BINS), _BINS - 1)] += 1
    for place, count in enumerate(counts):
        start = low + (high - low) * place / _BINS
        bar = "#" * math.ceil(count / max(counts) * _BAR_CHARS)
        yield f"{title} {start:8.1f} ms and up  {bar}"
