"""Which constants are fitted to what. GPUs are fitted to single steps, so that their constants mean
what they say; loops against real engines then settle what belongs to engines, mixtures of experts and
number formats, and may move a GPU's constants only against resistance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from measured.loops import predicted_s, with_surrogates

from fakeai_proxy.fleet.calibration import Constant, Observation, Profiles, Step, fit

#: Their chips are the same: they have all but the memory in common.
HOPPER = ("h100", "h200")
#: With measured loops; the others were only stepped.
LOOPED = (*HOPPER, "b200")
STEPPED = ("a100", "l40s", "rtx-pro-6000")

_MEMORY = ("weights", "kv")
_COMMON = ("compute", "attention", "link", "layer_us", "link_latency_us", "half_tokens")
_FP8 = ("weights_fp8", "compute_fp8", "half_tokens_narrow")
_FP4 = ("weights_fp4", "compute_fp4")
_ENGINE = (
    "host_ms",
    "sequence_us",
    "collective_us",
    "time_share",
    "prefill_share",
    "layer_share",
    "launch_us",
    "link_share",
)
_FIRM_SHARES = {"time_share", "prefill_share", "layer_share", "link_share"}
_EXPERTS = ("weights_share", "compute_share", "layer_us")

#: Where a fit begins; loops say the rest.
_START = {
    "host_ms": 0.4, "sequence_us": 5.0, "collective_us": 1.0, "time_share": 1.0,
    "prefill_share": 1.0, "layer_share": 1.0, "front_end_ms": 20.0, "front_end_us_per_token": 2.0,
    "launch_us": 500.0, "link_share": 1.0, "stream_interval": 1.0,
}  # fmt: skip
_START_HOPPER = {
    "compute_fp8": 0.7,
    "weights_fp8": 0.8,
    "block_scales": 0.6,
    "half_tokens_narrow": 60.0,
}
_START_EXPERTS = {"weights_share": 1.0, "compute_share": 0.5, "layer_us": 5.0}
#: As InferenceX starts them (--stream-interval); those of TensorRT-LLM differ from run to run.
_INTERVALS = {"sglang": 30.0}
_STEP_WEIGHT, _TTFT_WEIGHT = 0.05, 0.3
_GPU_STIFFNESS, _ENGINE_STIFFNESS, _LOOSE = 20.0, 2.0, 1.0


def _efficiency(gpus: tuple[str, ...], fields: Sequence[str]) -> list[Constant]:
    return [Constant("gpus", gpus, f"efficiency.{field}") for field in fields]


def start(observations: Sequence[Observation]) -> Profiles:
    profiles = Profiles.of(observations)
    values: dict[Constant, float] = {}
    for name in profiles.serving:
        values |= {Constant("serving", (name,), field): at for field, at in _START.items()}
        values[Constant("serving", (name,), "stream_interval")] = _INTERVALS.get(name, 1.0)
    for name, model in profiles.models.items():
        if model.experts is not None:
            fields = _START_EXPERTS.items()
            values |= {Constant("models", (name,), f"experts.{field}"): at for field, at in fields}
    return profiles.changed(values)


def fit_steps(profiles: Profiles, observations: Sequence[Observation]) -> Profiles:
    """The constants of GPUs, from dense models."""
    steps = [
        each for each in observations if isinstance(each.work, Step) and _usable(profiles, each)
    ]
    constants = []
    for gpu in (*STEPPED, *LOOPED):
        constants += _efficiency((gpu,), _MEMORY if gpu in HOPPER else (*_MEMORY, *_COMMON))
    constants += _efficiency(HOPPER, (*_COMMON, *_FP8, "block_scales"))
    constants += _efficiency(("b200",), _FP8)
    known = [each for each in constants if set(each.profiles) <= set(profiles.gpus)]
    return fit(profiles, steps, known, rounds=20, stiffness=0.3)


def _usable(profiles: Profiles, each: Observation) -> bool:
    assert isinstance(each.work, Step)
    if profiles.models[each.model].experts is not None:
        return False
    if each.layout.quantization == "fp8_block":
        return each.gpu != "b200"  # five times what loops on it take
    # The all-reduce of prompts over PCIe is not of this world there: longer than its bytes take.
    return not (each.gpu == "l40s" and each.layout.tp > 1 and each.work.chunks)


def fit_loops(
    profiles: Profiles, observations: Sequence[Observation], loops: Sequence[Observation]
) -> Profiles:
    """The constants of engines and experts; `loops` with or without surrogates."""
    hopper = {Constant("gpus", HOPPER, f"efficiency.{k}"): v for k, v in _START_HOPPER.items()}
    profiles = profiles.changed(hopper)
    loose = _efficiency(HOPPER, (*_FP8, "weights_fp4", "block_scales"))
    loose += _efficiency(("b200",), (*_FP8, *_FP4))
    firm = _efficiency(HOPPER, _COMMON) + _efficiency(("b200",), (*_MEMORY, *_COMMON))
    engines = [
        Constant("serving", (name,), field) for name in profiles.serving for field in _ENGINE
    ]
    front = [
        Constant("serving", (name,), "front_end_ms")
        for name in profiles.serving
        if name.startswith("vllm")
    ]
    experts = [
        Constant("models", (name,), f"experts.{field}")
        for name, model in profiles.models.items()
        if model.experts is not None
        for field in _EXPERTS
    ]
    stiffness = (
        dict.fromkeys(loose, _LOOSE)
        | dict.fromkeys(firm, _GPU_STIFFNESS)
        | {each: _ENGINE_STIFFNESS for each in engines if each.field in _FIRM_SHARES}
    )
    rows = [each for each in loops if _tells(each)]
    rows = [
        replace(each, weight=_TTFT_WEIGHT) if each.work.measures == "ttft" else each  # type: ignore[union-attr]
        for each in rows
    ]
    rows += [
        replace(each, weight=_STEP_WEIGHT)
        for each in observations
        if isinstance(each.work, Step)
        and each.gpu in LOOPED
        and each.layout.quantization in ("bf16", "fp8")
    ]
    return fit(profiles, rows, loose + firm + engines + experts + front, stiffness=stiffness)


def _tells(each: Observation) -> bool:
    # Other engines' first tokens come with their stream interval, which the rows do not tell.
    is_first = each.work.measures == "ttft"  # type: ignore[union-attr]
    return (
        not each.drafted
        and each.gpu in LOOPED
        and (each.serving.startswith("vllm") or not is_first)
    )


def sampled(each: Observation, every: int = 2) -> bool:
    """Whether a loop, with all that was measured of it, is among those that are fitted: they have many
    likenesses, and each is simulated several times."""
    work = each.work
    assert not isinstance(work, Step)
    name = f"{each.configuration} {work.concurrency} {work.prompt_tokens} {work.output_tokens}"
    return hashlib.sha256(name.encode()).digest()[0] % every == 0


def fit_streams(profiles: Profiles, loops: Sequence[Observation]) -> Profiles:
    """What stands between engine and client, from times to the first token."""
    constants = [
        Constant("serving", (name,), field)
        for name in profiles.serving
        for field in (
            "front_end_ms",
            "front_end_us_per_token" if name.startswith("vllm") else "stream_interval",
        )
        if not (field == "stream_interval" and name in _INTERVALS)
    ]
    rows = [
        each
        for each in loops
        if each.work.measures == "ttft" and not each.drafted  # type: ignore[union-attr]
    ]
    return fit(profiles, rows, constants)


def fit_all(
    observations: Sequence[Observation],
    told: Callable[[str], Callable[[int, int], None]],
    rounds: int = 2,
) -> Profiles:
    loops = [each for each in observations if not isinstance(each.work, Step) and sampled(each)]
    told("fitting steps")
    begin = fit_steps(start(observations), observations)
    told("fitting loops")
    profiles = fit_loops(begin, observations, loops)
    for _ in range(1, rounds):
        said_s = predicted_s(profiles, loops, told("simulating what is fitted"))
        told("fitting loops")
        profiles = fit_loops(begin, observations, with_surrogates(profiles, loops, said_s))
    said_s = predicted_s(profiles, loops, told("simulating what is fitted"))
    profiles = fit_streams(profiles, with_surrogates(profiles, loops, said_s))
    others = [each for each in observations if isinstance(each.work, Step) and each.gpu in STEPPED]
    constants = [
        constant
        for gpu in STEPPED
        if gpu in profiles.gpus
        for constant in _efficiency((gpu,), (*_MEMORY, *_COMMON))
    ]
    # Once more, with the engine's own share as loops have it.
    return fit(profiles, [e for e in others if _usable(profiles, e)], constants, stiffness=0.3)
