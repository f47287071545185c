"""Fleets whose steps take round times, for tests that say when a token is due."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.dice import Dice
from fakeai_proxy.fleet.cluster import Cluster
from fakeai_proxy.fleet.cost import Chunk, Cost
from fakeai_proxy.fleet.driver import FleetDriver
from fakeai_proxy.profiles.fleet import FleetProfile, Frontend, Pool
from fakeai_proxy.profiles.serving import Server

#: What a step of `Metronome` takes: always, and for each prompt token.
STEP_S, PROMPT_S = 0.010, 0.0001
#: What a request spends in the front end of `fleet`.
FRONT_S = 0.005


class Metronome:
    """A step model: 10 ms a step, 0.1 ms more for each prompt token."""

    kv_bytes_per_token = 1024.0
    kv_capacity_tokens = 16 * 1000
    context_tokens = 131_072

    def cost(self, chunks: Sequence[Chunk], decodes: int, kv_tokens: int) -> Cost:
        seconds = STEP_S + PROMPT_S * sum(chunk.tokens for chunk in chunks)
        return Cost(seconds, seconds)


def profile(**pool: Any) -> FleetProfile:
    """One pool of workers without jitter and stalls."""
    steady = {"jitter_sigma": 0.0, "stall_p": 0.0}
    return FleetProfile(
        name="test",
        description="For tests",
        source="A test's own invention",
        frontend=Frontend(),
        pool=(Pool(model="llama-3.1-8b", gpu="h100", **{**steady, **pool}),),
    )


def fleet(clock: VirtualClock, speed: float = 1.0, **pool: Any) -> FleetDriver:
    def model(pool: Pool, server: Server) -> Metronome:
        return Metronome()

    return FleetDriver(Cluster(profile(**pool), Dice(0), model=model), clock, speed)


def toml(folder: Path, top: str = "", **pool: object) -> str:
    """A profile file of a real model and GPU, without chance. `top` goes before the pool."""
    rows = {"model": '"llama-3.1-8b"', "gpu": '"h100"', "jitter_sigma": 0.0, "stall_p": 0.0, **pool}
    front = "" if "[frontend]" in top else f"[frontend]\nlatency_ms = {FRONT_S * 1e3}\n"
    file = folder / "fleet.toml"
    file.write_text(
        'description = "For tests"\nsource = "A test\'s own invention"\n'
        + f"{top}\n{front}[[pool]]\n"
        + "".join(f"{key} = {value}\n" for key, value in rows.items())
    )
    return str(file)
