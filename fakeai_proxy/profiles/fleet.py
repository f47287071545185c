"""Fleets: which models run on which GPUs, behind which router."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, Field, model_validator

from fakeai_proxy.profiles import reading
from fakeai_proxy.profiles.engine import EngineLimits
from fakeai_proxy.profiles.quantization import Quantization
from fakeai_proxy.profiles.serving import Server, serving_of

Policy = Literal[
    "kv", "cache_aware", "scorers", "round_robin", "random", "least_loaded", "power_of_two"
]


class Frontend(reading.Data):
    """What happens to a request before an engine sees it: HTTP, templates, tokens. A fleet that says
    nothing of it has that of its serving engine."""

    latency_ms: float = Field(5.0, ge=0, le=60_000, description="For each request, side by side.")
    latency_us_per_token: float = Field(
        0.0, ge=0, le=10_000, description="The same, per prompt token."
    )
    service_ms: float = Field(
        0.0, ge=0, le=60_000, description="For each request of a replica, one by one."
    )
    service_us_per_token: float = Field(
        0.0, ge=0, le=10_000, description="The same, per prompt token."
    )

    def latency_s(self, prompt_tokens: int) -> float:
        """Without what stands in line before it."""
        return (self.latency_ms + self.latency_us_per_token * prompt_tokens / 1e3) / 1e3


class Router(reading.Data):
    """How a worker is picked. Weights and thresholds belong to the policy named with them."""

    policy: Policy = "kv"
    overlap_weight: float = Field(1.0, ge=0, le=100, description="kv: blocks to prefill against "
                                  "blocks that decode.")  # fmt: skip
    overlap_credit: float = Field(1.0, ge=0, le=100, description="kv: what a cached block takes off "
                                  "those to prefill.")  # fmt: skip
    overlap_credit_decay: float = Field(0.0, ge=0, le=100, description="kv: how fast that shrinks "
                                        "with a backlog of prompts.")  # fmt: skip
    request_weight: float = Field(0.0, ge=0, le=10_000, description="kv: of each request there, in "
                                  "blocks.")  # fmt: skip
    temperature: float = Field(0.0, ge=0, le=100, description="kv: 0 takes the cheapest worker, "
                               "more draws among them by cost.")  # fmt: skip
    cache_threshold: float = Field(0.3, ge=0, le=1, description="cache_aware: share of a prompt that "
                                   "must be cached to follow the cache.")  # fmt: skip
    balance_abs_threshold: int = Field(64, ge=0, description="cache_aware: difference of load above "
                                       "which the least loaded worker is taken.")  # fmt: skip
    balance_rel_threshold: float = Field(1.5, ge=1, description="cache_aware: and this ratio.")
    prefix_weight: float = Field(3.0, ge=0, description="scorers: of the cached share.")
    queue_weight: float = Field(2.0, ge=0, description="scorers: of a short queue.")
    kv_weight: float = Field(2.0, ge=0, description="scorers: of free KV blocks.")
    busy_blocks_share: float = Field(
        0.0, ge=0, le=1, description="Share of KV blocks in use above which a worker counts as busy; "
        "where all are, requests are refused. 0 never refuses.",
    )  # fmt: skip


class Transfer(reading.Data):
    """KV blocks on their way from a prefill worker to a decode worker."""

    gb_s: float = Field(64.0, gt=0, le=10_000)
    latency_ms: float = Field(1.0, ge=0, le=60_000)


class Pool(reading.Data):
    """Equal workers: replicas of one model, each on `tp` GPUs."""

    name: str = Field("pool", min_length=1, pattern=r"[\w.-]+")
    model: str = Field(min_length=1, description="A profile of profiles/models, or a file.")
    gpu: str = Field(min_length=1, description="A profile of profiles/gpus, or a file.")
    serves: tuple[str, ...] = Field(
        ("*",), description="Patterns of the names it answers to, besides the model's own."
    )
    serving: str | None = Field(None, description="A profile of profiles/serving, or a file, "
                                "instead of the server's.")  # fmt: skip
    role: Literal["both", "prefill", "decode"] = "both"
    replicas: int = Field(1, ge=1, le=4096)
    tp: int = Field(1, ge=1, le=64, description="GPUs of one replica: tensor parallelism.")
    ep: int = Field(1, ge=1, le=1024, description="Of these, how many share the experts whole.")
    attention_dp: int = Field(
        1, ge=1, le=64, description="Groups of `tp` GPUs in a replica that take sequences of their "
        "own for attention and share the experts.",
    )  # fmt: skip
    quantization: Quantization | None = Field(None, description="Instead of as published.")
    kv_cache_dtype: Literal["bf16", "fp8"] = "bf16"
    gpu_memory_utilization: float = Field(0.9, gt=0, le=1)
    num_gpu_blocks: int | None = Field(None, ge=1, description="Instead of what would fit.")
    max_model_len: int | None = Field(None, ge=1, description="Instead of the model's own.")
    max_queue: int = Field(
        0, ge=0, description="Requests that may wait in one worker; 0 is no limit."
    )
    cold_start_s: float = Field(60.0, ge=0, le=86_400, description="Until another replica serves.")
    calibration_scale: float = Field(1.0, gt=0, le=10, description="Factor on every step's time.")
    step_table: str | None = Field(None, description="A CSV or npz of measured steps instead of the "
                                   "closed form.")  # fmt: skip
    jitter_sigma: float = Field(0.03, ge=0, le=1, description="Log-normal, on each step's time.")
    stall_p: float = Field(1e-4, ge=0, le=1, description="Share of steps with a stall.")
    stall_ms: tuple[float, float] = Field(
        (50.0, 300.0), description="Shortest and longest of these."
    )
    lora: tuple[str, ...] = Field((), description="Adapters it serves, by name.")
    lora_load_s: float = Field(0.0, ge=0, le=3600, description="What an adapter takes when a worker "
                               "first uses it; 0 where all are loaded at the start. A vLLM that "
                               "loaded on demand took 2 s (vllm-project/vllm#11092).")  # fmt: skip
    engine: EngineLimits = EngineLimits()

    @property
    def gpus(self) -> int:
        """Of one replica."""
        return self.tp * self.attention_dp

    def answers(self, name: str) -> bool:
        own = name == self.model or name in self.lora
        return own or any(fnmatch.fnmatchcase(name, pattern) for pattern in self.serves)


class FleetProfile(reading.Data):
    """`profiles/fleets/*.toml`."""

    name: str = Field(min_length=1)
    description: str = Field(min_length=1)
    source: str = Field(min_length=8)
    server: Server = Field("vllm", description="Whose manners it has when it refuses.")
    gpus_per_node: int = Field(8, ge=1, le=72)
    on_death: Literal["migrate", "fail"] = Field(
        "migrate", description="What becomes of the requests of a worker that dies."
    )
    migration_limit: int = Field(
        3, ge=0, le=100, description="How often one request may lose its worker before it fails."
    )
    kv_event_blocks: int = Field(
        4096, ge=0, le=1 << 20, description="Stored blocks that each worker's log of KV events "
        "remembers; 0 keeps none.",
    )  # fmt: skip
    frontend: Frontend = Frontend()
    router: Router = Router()
    transfer: Transfer = Transfer()
    pool: tuple[Pool, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _habits_are_the_engines(cls, given: Any) -> Any:
        return _settled(given) if isinstance(given, Mapping) else given

    @model_validator(mode="after")
    def _pools_make_a_whole(self) -> Self:
        names = [pool.name for pool in self.pool]
        if len(set(names)) < len(names):
            raise ValueError(f"pool: two are called {max(names, key=names.count)}")
        for pool in self.pool:
            partner = {"prefill": "decode", "decode": "prefill"}.get(pool.role)
            if partner and not any(
                other.role == partner and other.model == pool.model for other in self.pool
            ):
                raise ValueError(f"pool: {pool.name} needs one of role {partner} for {pool.model}")
            peers = [other for other in self.pool if other.model == pool.model]
            if any(peer.engine.block_size != pool.engine.block_size for peer in peers):
                raise ValueError(
                    f"engine.block_size: pools of {pool.model} share their blocks' names"
                )
        return self

    def pools_for(self, model: str) -> list[Pool]:
        """Those of one model that answers to the name: by its own name if any does, else the first
        by pattern. Empty where none does."""
        named = [pool for pool in self.pool if model == pool.model or model in pool.lora]
        matching = named or [pool for pool in self.pool if pool.answers(model)]
        return [pool for pool in matching if pool.model == matching[0].model]

    def served_names(self) -> list[str]:
        """Models and adapters, as clients may name them."""
        own = [name for pool in self.pool for name in (pool.model, *pool.lora)]
        return list(dict.fromkeys(own))


def _settled(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a fleet leaves unsaid is as its serving engines have it: the habits of each pool's
    engine, and the front end as a whole. What is not well-formed is left for validation."""
    server, pools = given.get("server", "vllm"), given.get("pool")
    if server not in get_args(Server) or not isinstance(pools, Sequence) or not pools:
        return given
    settled: list[Any] = []
    frontend: dict[str, Any] = {}
    for pool in pools:
        said = _said(pool)
        limits = _said(said.get("engine", {})) if said is not None else None
        if said is None or limits is None:
            return given
        serving = serving_of(server, said.get("serving"))
        settled.append({**said, "engine": {**serving.habits, **limits}})
        frontend = frontend or {
            "latency_ms": serving.front_end_ms,
            "latency_us_per_token": serving.front_end_us_per_token,
        }
    return {"frontend": frontend, **given, "pool": settled}


def _said(given: Any) -> dict[str, Any] | None:
    """The fields that were set, where it has any."""
    if isinstance(given, BaseModel):
        return {name: getattr(given, name) for name in given.model_fields_set}
    return dict(given) if isinstance(given, Mapping) else None


def fleet_names() -> list[str]:
    return reading.names("fleets")


def load_fleet(name: str) -> FleetProfile:
    """By the name it is shipped under, or a file. Raises ConfigError."""
    return reading.load(FleetProfile, "fleets", name)
