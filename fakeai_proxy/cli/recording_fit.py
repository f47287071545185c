"""`fakeai-proxy profiles fit CASSETTE`: a hosted profile from recorded streams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from fakeai_proxy.errors import CassetteError, ConfigError
from fakeai_proxy.profiles.hosted_fit import Fit, Timing, fit_hosted, hosted_toml


def is_cassette(path: Path) -> bool:
    """Whether `path` is a recording and not a table of measured rows."""
    if path.is_dir() or path.suffix in (".fcz", ".zst"):
        return True
    with path.open("rb") as file:
        return b'"kind":"head"' in file.read(200)


def fit_recordings(paths: Sequence[Path], output: Path | None) -> int:
    """Print what was fitted, and write it where asked. Raises ConfigError."""
    try:
        fits = fit_hosted(_timings(paths))
    except CassetteError as error:
        raise ConfigError(f"profiles fit: {error}") from None
    click.echo(f"{'MODEL':28} STREAMS  TTFT P50  GAP P50  NOT USED  TTFT ERROR  TPOT ERROR")
    for fit in fits:
        click.echo(_row(fit))
    if output is not None:
        names = ", ".join(path.name for path in paths)
        streams = sum(fit.streams for fit in fits)
        text = hosted_toml(
            fits, f"As recorded in {names}", f"{streams} recorded streams in {names}"
        )
        output.write_text(text, encoding="utf-8")
        click.echo(f"Wrote {output}. To answer at its rhythm: fakeai-proxy --profile {output}")
    return 0


def _row(fit: Fit) -> str:
    latency = fit.latency
    ttft, tpot = (
        "-" if error is None else f"{error:.1%}" for error in (fit.ttft_error, fit.tpot_error)
    )
    return (
        f"{latency.model:28} {fit.streams:7d}  {latency.ttft_p50_ms:5.0f} ms  "
        f"{latency.itl_p50_ms:4.1f} ms  {fit.held_out:8d}  {ttft:>10}  {tpot:>10}"
    )


def _timings(paths: Sequence[Path]) -> Iterator[Timing]:
    from fakeai_proxy.cassette.library import Library, settings_for
    from fakeai_proxy.cassette.timings import recorded_stream
    from fakeai_proxy.clock import SystemClock

    library = Library.open(settings_for(paths), SystemClock(), repair=False)
    try:
        for entry in library.index.entries:
            stream = recorded_stream(library.load(entry))
            if stream is not None:
                yield Timing(*stream)
    finally:
        library.close()
