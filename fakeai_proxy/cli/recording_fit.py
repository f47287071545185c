"""`fakeai-proxy profiles fit CASSETTE`: a hosted profile from recorded streams, and how near it comes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fakeai_proxy.errors import CassetteError, ConfigError
from fakeai_proxy.profiles.hosted_check import SHARES, Check, Samples, check, samples_of
from fakeai_proxy.profiles.hosted_fit import Fit, fit_hosted
from fakeai_proxy.profiles.hosted_sample import Timing
from fakeai_proxy.profiles.hosted_toml import hosted_toml

if TYPE_CHECKING:
    from fakeai_proxy.cassette.refusals import Refusals


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to come of a fit: files, each if it is named, and how it is told."""

    profile: Path | None = None
    faults: Path | None = None
    limits: Path | None = None
    plot: Path | None = None
    as_json: bool = False
    strict: bool = False


def is_cassette(path: Path) -> bool:
    """Whether `path` is a recording and not a table of measured rows."""
    if path.is_dir() or path.suffix in (".fcz", ".zst"):
        return True
    with path.open("rb") as file:
        return b'"kind":"head"' in file.read(200)


def fit_recordings(paths: Sequence[Path], wanted: Wanted) -> int:
    """Print what was fitted, and write it where asked; 1 where it shall be near and is not. Raises
    ConfigError."""
    from fakeai_proxy.cassette.refusals import Refusals
    from fakeai_proxy.dice import Dice

    refusals = Refusals()
    try:
        fits = fit_hosted(_timings(paths, refusals))
    except CassetteError as error:
        raise ConfigError(f"profiles fit: {error}") from None
    dice = Dice(0)
    samples = [(fit, *samples_of(fit, lambda name: dice.roll("fit", name))) for fit in fits]
    checks = [row for fit, *sides in samples for row in check(fit.latency.model, *sides)]
    if wanted.as_json:
        click.echo(json.dumps(_told(fits, checks, refusals), ensure_ascii=False))
    else:
        _tell(fits, checks, refusals)
    _write(paths, fits, refusals, wanted)
    if wanted.plot is not None:
        _plot(samples, wanted.plot)
    return int(wanted.strict and not all(row.passes for row in checks))


def _timings(paths: Sequence[Path], refusals: Refusals) -> Iterator[Timing]:
    from fakeai_proxy.cassette.library import Library, settings_for
    from fakeai_proxy.cassette.timings import recorded_stream
    from fakeai_proxy.cli.cassette.reading import progress
    from fakeai_proxy.clock import SystemClock

    library = Library.open(settings_for(paths), SystemClock(), repair=False)
    with closing(library), progress("reading") as tell:
        count = len(library.index.entries)
        for number, (_, entry) in enumerate(library.index.as_stored()):
            if not number % 256:
                tell(number, count)
            record = library.load(entry)
            refusals.add(record)
            stream = recorded_stream(record)
            if stream is not None:
                yield Timing(*stream)


# --- telling ---------------------------------------------------------------------------------------


def _tell(fits: Sequence[Fit], checks: Sequence[Check], refusals: Refusals) -> None:
    click.echo(f"{'MODEL':28} STREAMS  TTFT P50   GAP P50  NOT USED  TTFT ERROR  SPEED ERROR")
    for fit in fits:
        latency = fit.latency
        ttft, speed = (
            "-" if error is None else f"{error:.1%}" for error in (fit.ttft_error, fit.tpot_error)
        )
        click.echo(
            f"{latency.model:28} {fit.streams:7d}  {latency.ttft_ms(0.5):5.0f} ms  "
            f"{latency.itl_ms(0.5):5.1f} ms  {fit.held_out:8d}  {ttft:>10}  {speed:>11}"
        )
    if checks:
        names = [f"P{share * 100:g}" for share in SHARES]
        heads = " ".join(f"{name:>8}" for name in names)
        click.echo(f"\n{'NOT USED, AND FITTED':43} {heads}   {heads}     KS  LIMIT")
    for row in checks:
        sides = ("".join(f" {value:8.1f}" for value in side) for side in (row.measured, row.fitted))
        verdict = "" if row.passes else "  far"
        click.echo(
            f"{row.model:28} {row.what:14} {'  '.join(sides)}  {row.distance:5.3f}  {row.limit:5.3f}"
            f"{verdict}"
        )
    _tell_refusals(refusals)


def _tell_refusals(refusals: Refusals) -> None:
    for model, manners in refusals:
        for one in manners.refused.values():
            wait = f", Retry-After {_typical(one.waits_s):g} s" if one.waits_s else ""
            share = one.count / manners.asked
            click.echo(f"{model}: {one.status} {one.kind or 'without a code'}, {share:.2%}{wait}")
        if manners.limits:
            told = ", ".join(f"{name} {amount:g}" for name, amount in manners.allowed.items())
            click.echo(f"{model}: limits {told}")


def _told(fits: Sequence[Fit], checks: Sequence[Check], refusals: Refusals) -> dict[str, Any]:
    return {
        "models": [
            {
                "model": fit.latency.model, "streams": fit.streams, "not_used": fit.held_out,
                "ttft_error": fit.ttft_error, "speed_error": fit.tpot_error,
                "latency": fit.latency.model_dump(exclude_unset=True),
            }
            for fit in fits
        ],
        "checks": [{**row._asdict(), "passes": row.passes} for row in checks],
        "refusals": [
            {
                "model": model, "asked": manners.asked, "limits": manners.allowed,
                "refused": [
                    {
                        "status": one.status, "kind": one.kind, "count": one.count,
                        "retry_after_s": _typical(one.waits_s),
                    }
                    for one in manners.refused.values()
                ],
            }
            for model, manners in refusals
        ],
    }  # fmt: skip


def _typical(waits_s: Sequence[float]) -> float | None:
    return sorted(waits_s)[len(waits_s) // 2] if waits_s else None


# --- writing ---------------------------------------------------------------------------------------


def _write(paths: Sequence[Path], fits: Sequence[Fit], refusals: Refusals, wanted: Wanted) -> None:
    names = ", ".join(path.name for path in paths)
    flags = []
    if wanted.profile is not None:
        streams = sum(fit.streams for fit in fits)
        source = f"{streams} recorded streams in {names}"
        _put(wanted.profile, hosted_toml(fits, f"As recorded in {names}", source))
        flags.append(f"--profile {wanted.profile}")
    limited = {model for model, manners in refusals if manners.limits and wanted.limits}
    if wanted.limits is not None:
        _put(wanted.limits, _limits_toml(refusals, names))
        flags.append(f"--limits {wanted.limits}")
    if wanted.faults is not None:
        _put(wanted.faults, _faults_toml(refusals, limited, names))
        flags.append(f"--faults {wanted.faults}")
    if flags:
        click.echo(f"To answer like it: fakeai-proxy {' '.join(flags)}", err=wanted.as_json)


def _put(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"profiles fit: {path}: {error.strerror}") from None


def _faults_toml(refusals: Refusals, limited: set[str], names: str) -> str:
    """A rule for each kind of refusal, as often as it was recorded; but where limits say who asks too
    much, chance does not."""
    from fakeai_proxy.profiles.hosted_toml import pattern_of, quoted

    lines = [f"# What was refused in {names}: shares of each model's requests."]
    for model, manners in refusals:
        left = 1.0
        for one in manners.refused.values():
            is_quota = one.kind == "insufficient_quota"
            if one.status == 429 and model in limited and not is_quota:
                continue
            share = one.count / manners.asked
            lines += ["", f"# {one.status} {one.kind}: {one.count} of {manners.asked}", "[[fault]]"]
            if is_quota:
                lines += ['fault = "error"', 'kind = "quota"']
            else:
                lines += ['fault = "status"', f"code = {one.status}"]
            # Only what the rules before it let through comes to this one.
            lines += [f"model = {quoted(pattern_of(model))}", f"p = {min(share / left, 1):.6g}"]
            left = max(left - share, 1e-9)
            if (wait_s := _typical(one.waits_s)) is not None:
                lines.append(f"retry_after_s = {wait_s:g}")
    return "\n".join(lines) + "\n"


def _limits_toml(refusals: Refusals, names: str) -> str:
    from fakeai_proxy.profiles.hosted_toml import pattern_of, quoted

    rows = [(model, manners) for model, manners in refusals if manners.limits]
    if not rows:
        raise ConfigError("profiles fit: --output-limits: no reply of the recording tells a limit.")
    vendors = {manners.provider for _, manners in rows}
    lines = [
        f"description = {quoted(f'As the replies in {names} tell them')}",
        f"source = {quoted(f'rate limit headers of the replies in {names}')}",
        *([f"vendor = {quoted(vendors.pop())}"] if len(vendors) == 1 else []),
    ]
    for model, manners in rows:
        lines += ["", "[[limit]]", f"model = {quoted(pattern_of(model))}"]
        lines += [f"{name} = {amount:g}" for name, amount in manners.allowed.items()]
    return "\n".join(lines) + "\n"


def _plot(samples: Sequence[tuple[Fit, Samples, Samples]], file: Path) -> None:
    from fakeai_proxy.cli.fit_plot import plot_fits

    plot_fits(samples, file)
    click.echo(f"Wrote {file}", err=True)
