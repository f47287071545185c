"""What the control API answers of the fleet, as shapes."""

from __future__ import annotations

from typing import Any, Literal

from fakeai_proxy.observe.shapes import Shape


class Pool(Shape):
    name: str
    model: str
    role: str
    gpu: str
    gpus_per_worker: int
    workers: list[str]


class Gpus(Shape):
    """Of one worker, together."""

    nodes: list[str]
    utilization: float
    power_w: float
    energy_j: float
    temperature_c: float
    xid: int
    lost: int


class Worker(Shape):
    name: str
    number: int
    pool: str
    life: str
    died_of: str | None
    ready_in_s: float | None
    running: int
    waiting: int
    kv_usage: float
    kv_blocks: int
    cached_blocks: int
    hit_rate: float
    preemptions: int
    tokens_per_second: float
    prompt_tokens_per_second: float
    generation_tokens: int
    prompt_tokens: int
    ended: dict[str, int]
    slowdown: float
    gpu: Gpus | None


class Fleet(Shape):
    profile: str
    server: str
    router: str
    now_s: float
    pools: list[Pool]
    workers: list[Worker]


class Life(Shape):
    """A worker after something was done to it."""

    worker: str
    life: str
    died_of: str | None


class Scaled(Shape):
    pool: str
    workers: dict[str, str]


class KvEvents(Shape):
    object: Literal["list"]
    workers: dict[str, dict[str, Any]]
