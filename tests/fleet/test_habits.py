"""What a fleet's file leaves unsaid is as its serving engine does it."""

from __future__ import annotations

import pytest

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.fleet.step_model import step_model
from fakeai_proxy.profiles.engine import EngineLimits
from fakeai_proxy.profiles.fleet import FleetProfile, Pool
from fakeai_proxy.profiles.serving import load_serving


def a_profile(
    server: str = "vllm", pool: dict[str, object] | None = None, **more: object
) -> FleetProfile:
    values = {
        "name": "t", "description": "t", "source": "of the tests", "server": server,
        "pool": [{"model": "llama-3.1-8b", "gpu": "h100", **(pool or {})}], **more,
    }  # fmt: skip
    return FleetProfile.model_validate(values)


@pytest.mark.parametrize("server", ["vllm", "sglang", "trtllm"])
def test_a_server_brings_its_own_habits(server: str) -> None:
    profile, serving = a_profile(server), load_serving(server)
    engine = profile.pool[0].engine
    assert engine.admission == serving.admission
    assert engine.mixed == serving.mixed
    assert engine.stream_interval == round(serving.stream_interval)
    assert profile.frontend.latency_ms == serving.front_end_ms
    at_8000 = profile.frontend.latency_s(8000)
    assert at_8000 == pytest.approx(serving.front_end_s(8000))


def test_servers_differ() -> None:
    limits = {name: a_profile(name).pool[0].engine for name in ("vllm", "sglang", "trtllm")}
    assert len(set(limits.values())) == 3
    assert a_profile("dynamo").pool[0].engine == limits["vllm"]


def test_what_a_file_says_stands() -> None:
    profile = a_profile(
        "sglang", {"engine": {"mixed": True, "stream_interval": 2}}, frontend={"latency_ms": 3}
    )
    engine = profile.pool[0].engine
    assert (engine.mixed, engine.stream_interval) == (True, 2)
    assert engine.admission == load_serving("sglang").admission
    assert profile.frontend.latency_s(8000) == pytest.approx(0.003)


def test_a_profile_made_in_code_is_settled_too() -> None:
    pool = Pool(model="llama-3.1-8b", gpu="h100", engine=EngineLimits(mixed=True, max_num_seqs=7))
    profile = FleetProfile(name="t", description="t", source="of the tests", server="sglang",
                           pool=(pool,))  # fmt: skip
    engine = profile.pool[0].engine
    assert (engine.mixed, engine.max_num_seqs) == (True, 7)
    assert engine.stream_interval == round(load_serving("sglang").stream_interval)


def test_a_pool_may_run_another_engine_than_its_fleets_server() -> None:
    profile = a_profile("vllm", {"serving": "trtllm"})
    assert profile.pool[0].engine.admission == "reserve_total"
    steps = {
        name: step_model(a_profile("vllm", {"serving": name}).pool[0], "vllm").cost((), 8, 8000)
        for name in ("vllm", "trtllm")
    }
    assert steps["vllm"] != steps["trtllm"]
    assert step_model(a_profile("trtllm").pool[0], "trtllm").cost((), 8, 8000) == steps["trtllm"]


def test_an_engine_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigError, match="there is no 'tgi'"):
        a_profile("vllm", {"serving": "tgi"})
