"""Serving engines: what their host-side work adds to a step and to a request, and their habits."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from fakeai_proxy.profiles import reading
from fakeai_proxy.profiles.engine import Admission

Server = Literal["vllm", "sglang", "trtllm", "dynamo"]

#: Dynamo is a front end; its workers run vLLM unless said otherwise.
_ENGINES: dict[str, str] = {"dynamo": "vllm"}


class ServingEngine(BaseModel):
    """`profiles/serving/*.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False)

    name: str = Field(min_length=1)
    description: str = Field(min_length=1)
    sources: dict[str, str] = Field(min_length=1)
    host_ms: float = Field(ge=0, le=1000, description="Per step, while no kernel runs.")
    sequence_us: float = Field(ge=0, le=10_000, description="Per sequence and step: sampling, "
                               "bookkeeping.")  # fmt: skip
    layer_share: float = Field(1.0, gt=0, le=10, description="Of the GPU's time per layer.")
    time_share: float = Field(
        1.0, gt=0, le=10, description="Of the closed form: how good its kernels are."
    )
    prefill_share: float = Field(
        1.0, gt=0, le=10, description="Of the time of products over many tokens, likewise."
    )
    collective_us: float = Field(ge=0, le=1000, description="Per all-reduce, beside the GPU's.")
    link_share: float = Field(
        1.0, gt=0, le=10, description="Of the time that an all-reduce's bytes take."
    )
    front_end_ms: float = Field(ge=0, le=10_000, description="Before a request is queued.")
    front_end_us_per_token: float = Field(0.0, ge=0, le=1000, description="Of the prompt.")
    launch_us: float = Field(0.0, ge=0, le=100_000, description="Per layer, to launch the kernels "
                             "of a step that is in no CUDA graph.")  # fmt: skip
    stream_interval: float = Field(
        1.0, ge=1, le=1000, description="Tokens that leave for the client together."
    )
    admission: Admission = Field("full_isl", description="When a waiting request is let in.")
    mixed: bool = Field(True, description="Whether one step holds both prompts and decodes.")

    def front_end_s(self, prompt_tokens: int) -> float:
        """From a request's arrival to its place in the engine's queue."""
        return self.front_end_ms * 1e-3 + self.front_end_us_per_token * 1e-6 * prompt_tokens

    @property
    def habits(self) -> dict[str, object]:
        """As `EngineLimits` has them."""
        interval = round(self.stream_interval)
        return {"admission": self.admission, "mixed": self.mixed, "stream_interval": interval}


def serving_of(server: str, serving: str | None = None) -> ServingEngine:
    """Of a pool: the one it names, else that of the fleet's server. Raises ConfigError."""
    return load_serving(serving or _ENGINES.get(server, server))


def load_serving(name: str) -> ServingEngine:
    """By the name it is shipped under, or a file. Raises ConfigError."""
    return reading.load(ServingEngine, "serving", name)
