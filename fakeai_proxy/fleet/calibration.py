"""Fits the constants of profiles to measurements: damped least squares on the logarithm of times.

Constants belong to a GPU, a model or a serving engine, never to a measured configuration, so what
is fitted on some configurations speaks about others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal, NamedTuple

import numpy as np
from pydantic import BaseModel

from fakeai_proxy.fleet.cost import Chunk
from fakeai_proxy.fleet.roofline import Layout, Roofline
from fakeai_proxy.profiles.architecture import Architecture, load_model
from fakeai_proxy.profiles.gpu import Gpu, load_gpu
from fakeai_proxy.profiles.serving import ServingEngine, load_serving

#: Residuals beyond this (of a logarithm) count linearly: a broken row must not bend a constant.
_HUBER = 0.25
#: What a constant's start weighs against rows: as one row that is off by as much as the constant's
#: logarithm, times this. Keeps those where they are of which the rows say nothing.
_STIFFNESS = 0.05


@dataclass(frozen=True)
class Step:
    """One step, measured alone."""

    chunks: tuple[Chunk, ...]
    decodes: int
    kv_tokens: int


@dataclass(frozen=True)
class ClosedLoop:
    """So many clients that ask again as soon as they are answered; mean lengths, and what share of
    these they lie above and below. What is measured is the mean time to the first token, or per
    token after it."""

    concurrency: int
    prompt_tokens: float
    output_tokens: float
    measures: Literal["ttft", "tpot"] = "tpot"
    spread: float = 0.0


@dataclass(frozen=True)
class Observation:
    """A measured time. `surrogate` is what an engine's simulation says over what the closed form
    for a whole loop does: fitting needs the slopes of the form, and the level of the engine."""

    gpu: str
    model: str
    serving: str
    layout: Layout
    work: Step | ClosedLoop
    measured_s: float
    #: Rows of the same configuration have the same name: they are held out together.
    configuration: str = ""
    weight: float = 1.0
    surrogate: float = 1.0
    #: Whether drafts were verified, so that a step gave a sequence several tokens.
    drafted: bool = False


class Constant(NamedTuple):
    """`kind` is gpus, models or serving; `field` may lie in a nested table. Profiles that are named
    together have the value in common."""

    kind: str
    profiles: tuple[str, ...]
    field: str


#: What may be fitted, and within what bounds.
BOUNDS: dict[tuple[str, str], tuple[float, float]] = {
    ("gpus", "efficiency.weights"): (0.2, 0.98),
    ("gpus", "efficiency.weights_fp8"): (0.2, 0.98),
    ("gpus", "efficiency.weights_fp4"): (0.1, 0.98),
    ("gpus", "efficiency.compute"): (0.1, 0.95),
    ("gpus", "efficiency.compute_fp8"): (0.1, 0.95),
    ("gpus", "efficiency.compute_fp4"): (0.05, 0.95),
    ("gpus", "efficiency.block_scales"): (0.2, 1.0),
    ("gpus", "efficiency.attention"): (0.05, 0.95),
    ("gpus", "efficiency.kv"): (0.1, 0.98),
    ("gpus", "efficiency.link"): (0.02, 0.95),
    ("gpus", "efficiency.layer_us"): (0.1, 300.0),
    ("gpus", "efficiency.link_latency_us"): (0.1, 200.0),
    ("gpus", "efficiency.half_tokens"): (1.0, 1000.0),
    ("gpus", "efficiency.half_tokens_narrow"): (1.0, 1000.0),
    ("models", "experts.weights_share"): (0.1, 1.1),
    ("models", "experts.compute_share"): (0.18, 1.5),
    ("models", "experts.layer_us"): (0.1, 300.0),
    ("serving", "host_ms"): (0.05, 20.0),
    ("serving", "sequence_us"): (0.1, 500.0),
    ("serving", "time_share"): (0.3, 3.0),
    ("serving", "prefill_share"): (0.5, 3.0),
    ("serving", "layer_share"): (0.1, 5.0),
    ("serving", "collective_us"): (0.1, 200.0),
    ("serving", "link_share"): (0.2, 2.0),
    ("serving", "launch_us"): (10.0, 5000.0),
    ("serving", "front_end_ms"): (1.0, 500.0),
    ("serving", "front_end_us_per_token"): (0.1, 200.0),
    ("serving", "stream_interval"): (1.0, 100.0),
    ("gpus", "calibration_scale"): (0.3, 3.0),
}


class Profiles:
    """The profiles that observations speak of, with constants to be changed."""

    def __init__(
        self,
        gpus: Mapping[str, Gpu] | None = None,
        models: Mapping[str, Architecture] | None = None,
        serving: Mapping[str, ServingEngine] | None = None,
    ) -> None:
        self.gpus = dict(gpus or {})
        self.models = dict(models or {})
        self.serving = dict(serving or {})

    @classmethod
    def of(cls, observations: Sequence[Observation]) -> Profiles:
        """As shipped, or from the files that are named. Raises ConfigError."""
        return cls(
            {name: load_gpu(name) for name in {each.gpu for each in observations}},
            {name: load_model(name) for name in {each.model for each in observations}},
            {name: load_serving(name) for name in {each.serving for each in observations}},
        )

    def get(self, constant: Constant) -> float | None:
        profile: object = getattr(self, constant.kind)[constant.profiles[0]]
        for part in constant.field.split("."):
            profile = getattr(profile, part)
        assert profile is None or isinstance(profile, int | float)
        return profile

    def changed(self, values: Mapping[Constant, float]) -> Profiles:
        result = Profiles(self.gpus, self.models, self.serving)
        for constant, value in values.items():
            table = getattr(result, constant.kind)
            for name in constant.profiles:
                table[name] = _changed(table[name], constant.field, value)
        return result

    def roofline(self, observation: Observation) -> Roofline:
        return Roofline(
            self.gpus[observation.gpu],
            self.models[observation.model],
            observation.layout,
            self.serving[observation.serving],
        )


def _changed(profile: BaseModel, field: str, value: float) -> BaseModel:
    first, _, rest = field.partition(".")
    inner = _changed(getattr(profile, first), rest, value) if rest else value
    return profile.model_copy(update={first: inner})


def predict_s(roofline: Roofline, work: Step | ClosedLoop) -> float:
    if isinstance(work, Step):
        return roofline.cost(work.chunks, work.decodes, work.kv_tokens).seconds
    return _loop_s(roofline, work)


#: What a step takes in at most, where a closed loop is solved without an engine.
_STEP_TOKENS = 8192
#: Requests per client in a benchmark, the first of which all come at once.
_ROUNDS = 10


def _loop_s(roofline: Roofline, work: ClosedLoop) -> float:
    """In the steady state: a token waits for a step of the others' decodes, and once per answer
    for the prompt of each of them; a prompt waits for the step in progress and for others."""
    serving = roofline.serving
    running = min(work.concurrency, _sequences_max(roofline, work))
    context = work.prompt_tokens + work.output_tokens / 2
    decode_s = roofline.cost((), running, int(running * context)).seconds
    others = running - 1
    mixed = others if serving.mixed else 0
    base_s = roofline.cost((), mixed, int(mixed * context)).seconds if mixed else 0.0
    prompt_s, before = 0.0, 0
    for _ in range(ceil(work.prompt_tokens / _STEP_TOKENS)):
        chunk = Chunk(min(int(work.prompt_tokens) - before, _STEP_TOKENS), before)
        prompt_s += roofline.cost((chunk,), mixed, int(mixed * context)).seconds
        before += chunk.tokens
    token_s = decode_s + others / work.output_tokens * max(prompt_s - base_s, 0.0)
    if work.measures == "tpot":
        return token_s
    busy = min(others * prompt_s / (work.output_tokens * token_s), 0.9)
    wait_s = decode_s / 2 + prompt_s * (busy / (1 - busy) / 2 + others / 2 / _ROUNDS)
    chunk_s = (serving.stream_interval - 1) * token_s
    return serving.front_end_s(int(work.prompt_tokens)) + wait_s + prompt_s + chunk_s


def _sequences_max(roofline: Roofline, work: ClosedLoop) -> int:
    """How many the KV cache holds, where each grows from its prompt to its end."""
    grown = 1.0 if roofline.serving.admission == "reserve_total" else 0.5
    each = work.prompt_tokens + work.output_tokens * grown
    return max(1, int(roofline.kv_capacity_tokens / each))


def errors(profiles: Profiles, observations: Sequence[Observation]) -> np.ndarray:
    """The logarithm of predicted over measured, of each."""
    rooflines: dict[tuple[str, str, str, Layout], Roofline] = {}
    result = np.empty(len(observations))
    for place, each in enumerate(observations):
        key = (each.gpu, each.model, each.serving, each.layout)
        roofline = rooflines.get(key)
        if roofline is None:
            roofline = rooflines[key] = profiles.roofline(each)
        said_s = predict_s(roofline, each.work) * each.surrogate
        result[place] = np.log(said_s / each.measured_s)
    return result


def mape(logs: np.ndarray) -> float:
    """The mean absolute error as a share of what was measured."""
    return float(np.abs(np.exp(logs) - 1).mean()) if len(logs) else float("nan")


def fit(
    profiles: Profiles,
    observations: Sequence[Observation],
    constants: Sequence[Constant],
    rounds: int = 25,
    stiffness: float | Mapping[Constant, float] = _STIFFNESS,
    progress: Callable[[int, float], None] = lambda done, cost: None,
) -> Profiles:
    """`profiles` with `constants` as the observations want them."""
    problem = _Problem(profiles, observations, constants, stiffness)
    logs = problem.start
    damping, residuals = 1e-2, problem.residuals(logs)
    cost = problem.cost(residuals, logs)
    for done in range(rounds):
        progress(done, cost)
        slopes = problem.slopes(logs, residuals)
        weights = problem.weights(residuals)
        normal = (slopes * weights[:, None]).T @ slopes + np.diag(problem.stiffness)
        descent = (slopes * weights[:, None]).T @ residuals + problem.stiffness * (
            logs - problem.start
        )
        improved = False
        for _ in range(8):
            move = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), -descent)
            tried = np.clip(logs + move, problem.low, problem.high)
            residuals_tried = problem.residuals(tried)
            cost_tried = problem.cost(residuals_tried, tried)
            if cost_tried < cost:
                improved = cost - cost_tried > 1e-5 * cost
                logs, residuals, cost = tried, residuals_tried, cost_tried
                damping = max(damping / 4, 1e-6)
                break
            damping *= 4
        if not improved:
            break
    return problem.profiles(logs)


class _Problem:
    """Least squares over the logarithms of constants."""

    def __init__(
        self,
        profiles: Profiles,
        observations: Sequence[Observation],
        constants: Sequence[Constant],
        stiffness: float | Mapping[Constant, float],
    ) -> None:
        self._profiles, self._observations = profiles, list(observations)
        self._constants = list(constants)
        bounds = np.log([BOUNDS[each.kind, each.field] for each in constants])
        self.low, self.high = bounds[:, 0], bounds[:, 1]
        begin = [profiles.get(each) for each in constants]
        neutral = (self.low + self.high) / 2
        known = np.array([np.log(value) if value else np.nan for value in begin])
        self.start = np.clip(np.where(np.isnan(known), neutral, known), self.low, self.high)
        self._weight = np.array([each.weight for each in observations])
        self._touched = [self._speaking_of(each) for each in constants]
        self.stiffness = np.array(
            [
                stiffness.get(each, _STIFFNESS) if isinstance(stiffness, Mapping) else stiffness
                for each in constants
            ]
        )

    def _speaking_of(self, constant: Constant) -> np.ndarray:
        field = {"gpus": "gpu", "models": "model", "serving": "serving"}[constant.kind]
        return np.array(
            [
                place
                for place, each in enumerate(self._observations)
                if getattr(each, field) in constant.profiles
            ],
            dtype=int,
        )

    def profiles(self, logs: np.ndarray) -> Profiles:
        values = np.exp(logs).tolist()
        return self._profiles.changed(dict(zip(self._constants, values, strict=True)))

    def residuals(self, logs: np.ndarray) -> np.ndarray:
        return errors(self.profiles(logs), self._observations)

    def slopes(self, logs: np.ndarray, residuals: np.ndarray) -> np.ndarray:
        slopes = np.zeros((len(residuals), len(logs)))
        for column, touched in enumerate(self._touched):
            moved = logs.copy()
            step = 1e-3 if logs[column] + 1e-3 <= self.high[column] else -1e-3
            moved[column] += step
            some = [self._observations[place] for place in touched]
            slopes[touched, column] = (
                errors(self.profiles(moved), some) - residuals[touched]
            ) / step
        return slopes

    def weights(self, residuals: np.ndarray) -> np.ndarray:
        far = np.minimum(1.0, _HUBER / np.maximum(np.abs(residuals), 1e-9))
        return np.asarray(self._weight * far)

    def cost(self, residuals: np.ndarray, logs: np.ndarray) -> float:
        size = np.abs(residuals)
        huber = np.where(size < _HUBER, size**2 / 2, _HUBER * (size - _HUBER / 2))
        prior = self.stiffness * (logs - self.start) ** 2 / 2
        return float((self._weight * huber).sum() + prior.sum())
