"""What is fitted to draws from a profile is that profile."""

from __future__ import annotations

import tomllib
from itertools import pairwise

import pytest

from fakeai_proxy.cassette.format import Interaction, RecordedRequest, RecordedResponse
from fakeai_proxy.cassette.timings import recorded_stream
from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.profiles import HostedProfile, Latency
from fakeai_proxy.profiles.hosted_fit import Timing, fit_hosted, hosted_toml
from fakeai_proxy.profiles.reading import shaped

TRUE = Latency(
    model="m", ttft_p50_ms=300, ttft_sigma=0.2, prompt_ms_per_token=0.1, itl_p50_ms=12,
    itl_sigma=0.15, stream_sigma=0.1,
)  # fmt: skip


def timings(count: int, model: str = "m", latency: Latency = TRUE) -> list[Timing]:
    found = []
    for k in range(count):
        rng = Dice(3).roll(model, k)
        prompt = rng.randrange(50, 8000)
        offsets = latency.draw(rng, prompt).offsets_s([1] * 80)
        gaps = tuple(late - early for early, late in pairwise(offsets))
        found.append(Timing(f"{model}{k}", model, prompt, offsets[0], gaps))
    return found


def test_the_constants_come_back_and_unused_streams_agree() -> None:
    (fit,) = fit_hosted(timings(400))
    latency = fit.latency
    assert latency.ttft_p50_ms == pytest.approx(300, rel=0.1)
    assert latency.prompt_ms_per_token == pytest.approx(0.1, rel=0.15)
    assert latency.ttft_sigma == pytest.approx(0.2, rel=0.25)
    assert latency.itl_p50_ms == pytest.approx(12, rel=0.05)
    assert latency.itl_sigma == pytest.approx(0.15, rel=0.15)
    assert latency.stream_sigma == pytest.approx(0.1, rel=0.25)
    assert fit.held_out > 40
    assert fit.ttft_error is not None
    assert fit.ttft_error < 0.15
    assert fit.tpot_error is not None
    assert fit.tpot_error < 0.10


def test_each_model_has_its_row_and_the_most_measured_stands_for_all_others() -> None:
    slow = Latency.model_validate({**TRUE.model_dump(), "itl_p50_ms": 80.0})
    fits = fit_hosted([*timings(60), *timings(20, "slow", slow), *timings(2, "rare")])
    profile = shaped(HostedProfile, "fitted", {"name": "fitted", **_values(hosted_toml(
        fits, 'what "was" measured', "streams of a test",
    ))})  # fmt: skip
    assert profile.for_model("slow").itl_p50_ms == pytest.approx(80, rel=0.1)
    assert profile.for_model("m") == profile.for_model("anything")


def test_too_few_streams_are_said() -> None:
    with pytest.raises(ConfigError, match="2 streams of one model"):
        fit_hosted(timings(2))


def test_a_recorded_stream_gives_an_instant_for_each_frame() -> None:
    pieces = [b'data: {"a":1}\n\n', b'data: {"a":2}\n\ndata: {"a":3}\n\n', b"data: [DONE]\n\n"]
    response = RecordedResponse(
        200, ((b"content-type", b"text/event-stream"),), b"".join(pieces),
        tuple(map(len, pieces)), (250_000, 40_000, 10_000),
    )  # fmt: skip
    interaction = Interaction(
        "1", 0.0, "u", RecordedRequest("POST", "/v1/chat/completions", (), b"x" * 400), response,
        b"", b"", view={"model": "m", "usage": {"prompt_tokens": 90}},
    )  # fmt: skip
    stream = recorded_stream(interaction)
    assert stream is not None
    assert stream[1:4] == ("m", 90, 0.25)
    assert stream.gaps_s == pytest.approx((0.02, 0.02))


def _values(text: str) -> dict[str, object]:

    return tomllib.loads(text)
