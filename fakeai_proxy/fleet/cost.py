"""What one step of an engine costs, as the engine and the telemetry see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Cost(NamedTuple):
    """Of one step, for each GPU of the worker. `busy_s` of the `seconds` a kernel is running, the
    rest the host works alone; the traffic is what the step moves and computes."""

    seconds: float
    busy_s: float
    flops: float = 0.0
    hbm_bytes: float = 0.0
    link_bytes: float = 0.0


class Chunk(NamedTuple):
    """Prompt tokens that one sequence computes in a step, after `context` tokens before them."""

    tokens: int
    context: int


class StepModel(Protocol):
    """How long a model on some GPUs takes for a step."""

    def cost(self, chunks: Sequence[Chunk], decodes: int, kv_tokens: int) -> Cost:
        """Of a step that computes `chunks` and gives each of `decodes` sequences one token;
        `kv_tokens` is the sum of these sequences' contexts. Without jitter."""

    @property
    def kv_bytes_per_token(self) -> float:
        """Of one token's KV cache, over all GPUs of the worker."""

    @property
    def kv_capacity_tokens(self) -> int:
        """What fits beside the weights."""

    @property
    def context_tokens(self) -> int:
        """The longest sequence the model was made for; 0 where that is not known."""
