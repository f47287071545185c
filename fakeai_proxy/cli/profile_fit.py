"""`fakeai-proxy profiles fit`: the constants of a GPU's profile, from measured times."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from fakeai_proxy.cli.outcome import Outcome
from fakeai_proxy.cli.recording_fit import Wanted, fit_recordings, is_cassette
from fakeai_proxy.errors import ConfigError

if TYPE_CHECKING:
    from fakeai_proxy.fleet.calibration import Constant, Observation, Profiles

#: What is told of fits, in the order of the table.
_SHARES = (("fitted", False), ("not used", True))


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path), nargs=-1, required=True)
@click.option("--gpu", help="Whose constants to fit: a profile or a file. By default the only one "
              "that DATA speaks of.")  # fmt: skip
@click.option("--model", help="Of rows that do not name theirs.")
@click.option("--server", "serving", help="Of rows that do not name theirs: vllm, sglang, trtllm.")
@click.option("--scale-only", is_flag=True, help="Only how much longer everything takes.")
@click.option("--held-out", type=click.FloatRange(0, 0.9), default=1 / 3, show_default="1/3",
              help="Share of the configurations that are not used, to tell the error on them.")  # fmt: skip
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path),
              help="Write the profile there.")  # fmt: skip
@click.option("--output-server", type=click.Path(dir_okay=False, path_type=Path),
              help="Write the engine's profile there; of several, each with its name.")  # fmt: skip
@click.option("--output-faults", type=click.Path(dir_okay=False, path_type=Path),
              help="Of cassettes: write what was refused and what failed there, for --faults.")  # fmt: skip
@click.option("--output-limits", type=click.Path(dir_okay=False, path_type=Path),
              help="Of cassettes: write the limits that were told there, for --limits.")  # fmt: skip
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path),
              help="Of cassettes: draw what was measured and fitted there, as PNG or SVG.")  # fmt: skip
@click.option("--check", "strict", is_flag=True,
              help="Of cassettes: exit status 1 where the fit is farther off than the limit.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="What was fitted, as one JSON object.")
def fit(
    data: tuple[Path, ...],
    gpu: str | None,
    model: str | None,
    serving: str | None,
    scale_only: bool,
    held_out: float,
    output: Path | None,
    output_server: Path | None,
    output_faults: Path | None,
    output_limits: Path | None,
    plot: Path | None,
    strict: bool,
    as_json: bool,
) -> int:
    """Fit a profile to the measured times in DATA: a GPU's to tables, a hosted one to cassettes.

    Tables of steps have the columns kind, batch, new_tokens, context, ms; tables of closed loops isl,
    osl, concurrency, tpot_ms and perhaps ttft_ms. Both may have model, system, backend, tp. Whole
    configurations are kept from the fit by a hash, and the error on them is told. Of a cassette's
    streams one in five is kept, and held against the fit by the Kolmogorov-Smirnov distance; --output
    writes a profile that answers like the recorded models.
    """
    recordings = [path for path in data if is_cassette(path)]
    if recordings:
        if len(recordings) < len(data):
            raise ConfigError("profiles fit: give either cassettes or tables of measured times.")
        wanted = Wanted(output, output_faults, output_limits, plot, as_json, strict)
        return fit_recordings(recordings, wanted)
    if output_faults or output_limits or plot or strict:
        raise ConfigError(
            "profiles fit: --output-faults, --output-limits, --plot and --check are for cassettes."
        )
    done = _fit_tables(data, gpu, model, serving, scale_only, held_out, output, output_server)
    click.echo(json.dumps(done.facts) if as_json else done.text)
    return 0


def _fit_tables(
    data: Sequence[Path],
    gpu: str | None,
    model: str | None,
    serving: str | None,
    scale_only: bool,
    held_out: float,
    output: Path | None,
    output_server: Path | None,
) -> Outcome:
    from fakeai_proxy.fleet import measurements
    from fakeai_proxy.fleet.calibration import Profiles

    rows = [
        row for path in data for row in measurements.read_observations(path, gpu, model, serving)
    ]
    wanted = _wanted(rows, gpu)
    rows = [row for row in rows if row.gpu == wanted]
    kept = [measurements.held_out(row, held_out) for row in rows]
    used = [row for row, out in zip(rows, kept, strict=True) if not out]
    if not used:
        raise ConfigError("profiles fit: every row is held out. Use --held-out 0, or more rows.")
    profiles = Profiles.of(rows)
    fitted = _fitted(profiles, used, wanted, scale_only)
    errors = list(_errors(profiles, fitted, rows, kept))
    note = f"fitted to {', '.join(path.name for path in data)}, {len(used)} of {len(rows)} rows"
    written = []
    if output is not None:
        written.append(output)
        _write(output, fitted.gpus[wanted], "efficiency", note)
    if output_server is not None:
        several = len(fitted.serving) > 1
        for name, engine in fitted.serving.items():
            path = (
                output_server.with_stem(f"{output_server.stem}-{name}")
                if several
                else output_server
            )
            written.append(path)
            _write(path, engine, "times", note)
    lines = ["MEAN ABSOLUTE ERROR      ROWS   BEFORE    AFTER"]
    lines += [
        f"{row.kind:6} {row.share:15} {row.rows:6d} {row.before:8.1%} {row.after:8.1%}"
        for row in errors
    ]
    lines += [f"Wrote {path}" for path in written]
    facts = {
        "gpu": wanted,
        "errors": [row._asdict() for row in errors],
        "wrote": list(map(str, written)),
    }
    return Outcome("\n".join(lines), facts)


class _Error(NamedTuple):
    """Mean absolute errors, as shares, of the rows of one kind that were used or not."""

    kind: str
    share: str
    rows: int
    before: float
    after: float


def _wanted(rows: Sequence[Observation], gpu: str | None) -> str:
    from fakeai_proxy.fleet.measurements import gpu_name

    found = sorted({row.gpu for row in rows})
    if gpu is not None and gpu_name(gpu) in found:
        return gpu_name(gpu)
    if gpu is None and len(found) == 1:
        return found[0]
    raise ConfigError(f"profiles fit: give --gpu; the rows are of {', '.join(found) or 'none'}.")


def _fitted(
    profiles: Profiles, used: Sequence[Observation], gpu: str, scale_only: bool
) -> Profiles:
    from fakeai_proxy.fleet.calibration import Constant, Step, fit

    if scale_only:
        return fit(profiles, used, [Constant("gpus", (gpu,), "calibration_scale")])
    has_loops = any(not isinstance(row.work, Step) for row in used)
    constants = _gpu_constants(used, gpu)
    # Loops say little of each constant: only together with steps may they move one far.
    stiffness = dict.fromkeys(constants, 5.0 if has_loops else 0.3)
    if has_loops:
        for name in sorted({row.serving for row in used}):
            constants += [Constant("serving", (name,), "host_ms"),
                          Constant("serving", (name,), "sequence_us"),
                          Constant("serving", (name,), "front_end_ms")]  # fmt: skip
    return fit(profiles, used, constants, stiffness=stiffness)


def _gpu_constants(used: Sequence[Observation], gpu: str) -> list[Constant]:
    """Those that the rows can tell of."""
    from fakeai_proxy.fleet.calibration import Constant
    from fakeai_proxy.profiles.quantization import FORMATS

    fields = ["weights", "compute", "attention", "kv", "layer_us", "half_tokens"]
    if any(row.layout.gpus > 1 for row in used):
        fields += ["link", "link_latency_us"]
    formats = {row.layout.quantization for row in used}
    if formats == {"bf16"}:
        kinds = []
    else:
        fields = fields if "bf16" in formats else [*fields[2:]]
        kinds = sorted({FORMATS[form].precision for form in formats} - {"bf16"})
    fields += [f"{share}_{kind}" for kind in kinds for share in ("weights", "compute")]
    return [Constant("gpus", (gpu,), f"efficiency.{field}") for field in fields]


def _errors(
    before: Profiles, after: Profiles, rows: Sequence[Observation], kept: Sequence[bool]
) -> Iterator[_Error]:
    import numpy as np

    from fakeai_proxy.fleet.calibration import Step, errors, mape

    kinds = np.array(["step" if isinstance(row.work, Step) else row.work.measures for row in rows])
    out, old, fresh = np.array(kept), errors(before, rows), errors(after, rows)
    for kind in sorted(set(kinds)):
        for name, is_out in _SHARES:
            some = (kinds == kind) & (out == is_out)
            if some.any():
                then, now = float(mape(old[some])), float(mape(fresh[some]))
                yield _Error(str(kind), name, int(some.sum()), then, now)


def _write(path: Path, profile: Any, source: str, note: str) -> None:
    """As TOML that loads again; the source of the fitted numbers is `note`."""
    values = profile.model_dump(exclude_none=True, exclude_unset=True, exclude={"name"})
    values["sources"] = {**values["sources"], source: note}
    if values.get("calibration_scale") is not None:
        values["sources"]["calibration_scale"] = note
    flat = {key: value for key, value in values.items() if not isinstance(value, dict)}
    tables = {key: value for key, value in values.items() if isinstance(value, dict)}
    lines = [f"{key} = {_toml(value)}" for key, value in flat.items()]
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.5g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
