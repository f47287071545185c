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
from fakeai_proxy.profiles.hosted_check import check, samples_of
from fakeai_proxy.profiles.hosted_fit import fit_hosted
from fakeai_proxy.profiles.hosted_sample import GAPS_KEPT, STREAMS_KEPT, Sample, Timing
from fakeai_proxy.profiles.hosted_toml import hosted_toml
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


def test_what_is_drawn_from_the_fit_is_what_was_measured() -> None:
    (fit,) = fit_hosted(timings(600))
    latency = fit.latency
    for share in (0.1, 0.5, 0.9):
        for prompt in (500, 4000, 7500):
            assert latency.ttft_ms(share, prompt) == pytest.approx(
                TRUE.ttft_ms(share, prompt), rel=0.12
            )
        assert latency.itl_ms(share) == pytest.approx(TRUE.itl_ms(share), rel=0.05)
    assert fit.held_out > 80
    assert fit.ttft_error is not None
    assert fit.ttft_error < 0.15
    assert fit.tpot_error is not None
    assert fit.tpot_error < 0.05
    rows = check("m", *samples_of(fit, lambda name: Dice(1).roll(name)))
    assert [row.what for row in rows] == ["TTFT, ms", "gap, ms", "tokens a read"]
    assert all(row.passes for row in rows), rows


def test_another_back_end_fails_the_same_test() -> None:
    (fit,) = fit_hosted(timings(600))
    slower = Latency.model_validate({**TRUE.model_dump(), "ttft_p50_ms": 900.0, "itl_p50_ms": 20.0})
    other = fit._replace(judged=timings(120, latency=slower))
    rows = check("m", *samples_of(other, lambda name: Dice(1).roll(name)))
    assert [row.passes for row in rows] == [False, False, True]


def test_few_streams_are_told_by_log_normals() -> None:
    (fit,) = fit_hosted(timings(30))
    assert fit.latency.ttft_p50_ms == pytest.approx(300, rel=0.3)
    assert fit.latency.itl_p50_ms == pytest.approx(12, rel=0.1)
    assert fit.latency.itl_sigma == pytest.approx(0.15, rel=0.2)
    assert not fit.latency.gap_ms


def test_of_any_number_of_streams_the_same_few_are_kept_in_whatever_order_they_come() -> None:
    found = [Timing(f"s{k}", "m", 10, 0.1 + k / 1e5, (0.01,) * 600) for k in range(3000)]
    samples = [Sample(), Sample()]
    for each in found:
        samples[0].add(each)
    for each in reversed(found):
        samples[1].add(each)
    kept = [{each.id for each in sample.kept} for sample in samples]
    assert kept[0] == kept[1]
    assert len(kept[0]) == STREAMS_KEPT
    assert all(len(each.gaps_s) == GAPS_KEPT for each in samples[0].kept)
    assert samples[0].seen == 3000


def test_each_model_has_its_row_and_the_most_measured_stands_for_all_others() -> None:
    slow = Latency.model_validate({**TRUE.model_dump(), "itl_p50_ms": 80.0})
    fits = fit_hosted([*timings(60), *timings(20, "slow", slow), *timings(2, "rare")])
    profile = shaped(HostedProfile, "fitted", {"name": "fitted", **_values(hosted_toml(
        fits, 'what "was" measured', "streams of a test",
    ))})  # fmt: skip
    assert profile.for_model("slow").itl_ms(0.5) == pytest.approx(80, rel=0.1)
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
    assert stream.gaps_s == pytest.approx((0.04,))
    assert stream.tokens == (1, 2)


def test_a_read_has_the_tokens_of_the_frames_that_it_ends() -> None:
    """Frames without words bring no tokens, pieces that the network cut are one read, and what is
    said again at the end does not count."""
    delta = b'data: {"type":"response.output_text.delta","delta":"one"}\n\n'
    done = b'data: {"type":"response.output_text.done","text":"oneoneone"}\n\n'
    pieces = [b'data: {"type":"response.created"}\n\n', delta + delta[:20], delta[20:], delta, done]
    response = RecordedResponse(
        200, ((b"content-type", b"text/event-stream"),), b"".join(pieces),
        tuple(map(len, pieces)), (100_000, 50_000, 200, 30_000, 10_000),
    )  # fmt: skip
    interaction = Interaction(
        "1", 0.0, "u", RecordedRequest("POST", "/v1/responses", (), b"x" * 400), response,
        b"", b"", view={"model": "m"},
    )  # fmt: skip
    stream = recorded_stream(interaction)
    assert stream is not None
    assert (stream.prompt_tokens, stream.ttft_s) == (100, pytest.approx(0.15))
    assert stream.tokens == (2, 1)
    assert stream.gaps_s == pytest.approx((0.0302,))


def _values(text: str) -> dict[str, object]:

    return tomllib.loads(text)
