"""Step times from a table that somebody measured, in place of the closed form: a CSV of steps, or
the arrays that Dynamo's profiler writes.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.fleet.cost import Chunk, Cost, StepModel

_COLUMNS = ("kind", "batch", "new_tokens", "context", "ms")
_KINDS = ("prefill", "decode", "mixed")
#: Dynamo's profiler output, as its planner and mocker read it.
_ARRAYS = (
    "prefill_isl", "prefill_ttft_ms", "decode_active_kv_tokens", "decode_context_length",
    "decode_itl",
)  # fmt: skip


class Grid:
    """Times over two axes, bilinear in their logarithms and in that of the time. Cells that were
    not measured are filled from the nearest one of their row; outside, the edge's slope goes on
    along the first axis and the edge holds along the second."""

    def __init__(self, rows: Mapping[tuple[float, float], float]) -> None:
        self._first = sorted({first for first, _ in rows})
        self._second = sorted({second for _, second in rows})
        self._x = [float(np.log1p(value)) for value in self._first]
        self._y = [float(np.log1p(value)) for value in self._second]
        self._log_s = [
            [self._nearest(rows, first, place) for place in range(len(self._second))]
            for first in self._first
        ]

    def _nearest(
        self, rows: Mapping[tuple[float, float], float], first: float, place: int
    ) -> float:
        measured = [k for k, second in enumerate(self._second) if (first, second) in rows]
        nearest = min(measured, key=lambda k: abs(k - place))
        return float(np.log(rows[first, self._second[nearest]]))

    def seconds(self, first: float, second: float) -> float:
        row, along = _place(self._x, float(np.log1p(first)), beyond=True)
        column, across = _place(self._y, float(np.log1p(second)), beyond=False)
        low, high = self._log_s[row], self._log_s[min(row + 1, len(self._x) - 1)]
        right = min(column + 1, len(self._y) - 1)
        near = low[column] + (low[right] - low[column]) * across
        far = high[column] + (high[right] - high[column]) * across
        return float(np.exp(near + (far - near) * along))


def _place(axis: list[float], value: float, beyond: bool) -> tuple[int, float]:
    """The node before `value` and the share of the way to the next."""
    if len(axis) == 1:
        return 0, 0.0
    place = min(max(int(np.searchsorted(axis, value, side="right")) - 1, 0), len(axis) - 2)
    share = (value - axis[place]) / (axis[place + 1] - axis[place])
    if not beyond or value < axis[0]:
        share = min(max(share, 0.0), 1.0)
    return place, share


class StepTable:
    """Implements StepModel with measured times; bytes and FLOPs for the telemetry, and what fits
    into memory, come from `form`, the closed form of the same worker.

    A step with prompts and decodes is a measured mixed one if the table has such rows, else a
    prefill that the decodes' tokens join, plus what their contexts cost beyond an empty step.
    """

    def __init__(
        self,
        form: StepModel,
        prefill: Grid,
        decode: Grid,
        mixed: Mapping[float, Grid] | None = None,
        calibration_scale: float = 1.0,
    ) -> None:
        self._form, self._prefill, self._decode = form, prefill, decode
        self._mixed = sorted((mixed or {}).items())
        self._scale = calibration_scale

    def cost(self, chunks: Sequence[Chunk], decodes: int, kv_tokens: int) -> Cost:
        said = self._form.cost(chunks, decodes, kv_tokens)
        seconds = self._seconds(chunks, decodes, kv_tokens) * self._scale
        # The host's share is the form's.
        return said._replace(seconds=seconds, busy_s=seconds * said.busy_s / said.seconds)

    def _seconds(self, chunks: Sequence[Chunk], decodes: int, kv_tokens: int) -> float:
        context = kv_tokens / decodes if decodes else 0.0
        if not chunks:
            return self._decode.seconds(decodes, context)
        tokens = sum(chunk.tokens for chunk in chunks)
        before = sum(chunk.tokens * chunk.context for chunk in chunks) / tokens
        alone_s = self._prefill.seconds(tokens, before)
        if not decodes:
            return alone_s
        if self._mixed:
            return self._mixed_s(tokens, decodes, context, before)
        contexts_s = self._decode.seconds(decodes, context) - self._decode.seconds(decodes, 0)
        return self._prefill.seconds(tokens + decodes, before) + max(contexts_s, 0.0)

    def _mixed_s(self, tokens: int, decodes: int, context: float, before: float) -> float:
        """Between the grids of the measured prompt lengths; the measured prompts begin at 0."""
        axis = [float(np.log1p(length)) for length, _ in self._mixed]
        place, share = _place(axis, float(np.log1p(tokens)), beyond=True)
        low = np.log(self._mixed[place][1].seconds(decodes, context))
        high = np.log(self._mixed[min(place + 1, len(axis) - 1)][1].seconds(decodes, context))
        cached_s = self._prefill.seconds(tokens, before) - self._prefill.seconds(tokens, 0)
        return float(np.exp(low + (high - low) * share)) + max(cached_s, 0.0)

    @property
    def context_tokens(self) -> int:
        return self._form.context_tokens

    @property
    def kv_bytes_per_token(self) -> float:
        return self._form.kv_bytes_per_token

    @property
    def kv_capacity_tokens(self) -> int:
        return self._form.kv_capacity_tokens


def load_step_table(path: Path, form: StepModel, calibration_scale: float = 1.0) -> StepTable:
    """From a CSV of kind,batch,new_tokens,context,ms or Dynamo's npz. Raises ConfigError."""
    try:
        if path.suffix == ".npz":
            return _from_arrays(path, form, calibration_scale)
        return _from_rows(path, form, calibration_scale)
    except OSError as error:
        raise ConfigError(f"step table {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise ConfigError(f"step table {path}: {error}") from None


def _from_rows(path: Path, form: StepModel, scale: float) -> StepTable:
    prefill: dict[tuple[float, float], float] = {}
    decode: dict[tuple[float, float], float] = {}
    mixed: dict[float, dict[tuple[float, float], float]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(f"there is no column {', '.join(missing)}")
        for number, row in enumerate(reader, 2):
            kind = row["kind"]
            if kind not in _KINDS:
                raise ValueError(f"line {number}: kind is {kind!r}, not one of {', '.join(_KINDS)}")
            try:
                batch, tokens, context, ms = (float(row[name]) for name in _COLUMNS[1:])
            except (TypeError, ValueError):
                raise ValueError(f"line {number}: is not all numbers") from None
            if not (ms > 0 and batch >= 0 and tokens >= 0 and context >= 0):
                raise ValueError(f"line {number}: a time has to be positive, a count not negative")
            if kind == "prefill":
                prefill[tokens, context] = ms / 1000
            elif kind == "decode":
                decode[batch, context] = ms / 1000
            else:
                mixed.setdefault(tokens, {})[batch, context] = ms / 1000
    if not prefill or not decode:
        raise ValueError("has to have rows of both prefill and decode")
    grids = {tokens: Grid(rows) for tokens, rows in mixed.items()}
    return StepTable(form, Grid(prefill), Grid(decode), grids, scale)


def _from_arrays(path: Path, form: StepModel, scale: float) -> StepTable:
    with np.load(path, allow_pickle=False) as archive:
        missing = [name for name in _ARRAYS if name not in archive.files]
        if missing:
            raise ValueError(f"there is no array {', '.join(missing)}")
        arrays = {name: np.asarray(archive[name], dtype=float) for name in _ARRAYS}
    isl, ttft_ms = arrays["prefill_isl"].ravel(), arrays["prefill_ttft_ms"].ravel()
    active, context = arrays["decode_active_kv_tokens"], arrays["decode_context_length"]
    itl_ms = arrays["decode_itl"]
    if isl.shape != ttft_ms.shape:
        raise ValueError("prefill_isl and prefill_ttft_ms differ in length")
    if itl_ms.ndim == 2 and active.ndim == context.ndim == 1:
        if itl_ms.shape != (len(active), len(context)):
            raise ValueError("decode_itl is not active KV tokens by context length")
        active, context = np.repeat(active, len(context)), np.tile(context, len(active))
    elif not active.shape == context.shape == itl_ms.shape:
        raise ValueError("the decode arrays differ in length")
    if not (np.all(ttft_ms > 0) and np.all(itl_ms > 0)):
        raise ValueError("a time has to be positive")
    prefill = {(float(n), 0.0): float(ms) / 1000 for n, ms in zip(isl, ttft_ms, strict=True)}
    rows = zip(active.ravel(), context.ravel(), itl_ms.ravel(), strict=True)
    decode = {(float(kv), float(length)): float(ms) / 1000 for kv, length, ms in rows}
    return StepTable(form, Grid(prefill), _ByLoad(decode), None, scale)


class _ByLoad(Grid):
    """Dynamo's axes are the active KV tokens and the context of a sequence."""

    def seconds(self, first: float, second: float) -> float:
        return super().seconds(first * second, second)
