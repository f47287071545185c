"""Traces of every form read alike; synthetic loads have the rates they state."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.simulate.arrivals import (
    Arrival,
    Lengths,
    constant,
    poisson,
    ramp,
    read_trace,
    spaced,
)
from fakeai_proxy.simulate.load import Load, parse_load

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9799600,4808,10
2023-11-16 18:17:04.4799600,3180,8
"""
BURST_GPT = """Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type
5,a,1.0,ChatGPT,4808,10,4818,Conversation log
5.25,b,1.0,ChatGPT,17,0,17,Conversation log
5.5,c,1.0,GPT-4,3180,8,3188,API log
"""
VIDUR = """num_prefill_tokens,num_decode_tokens,arrived_at
4808,10,0
3180,8,0.5
"""
MOONCAKE = """{"timestamp": 1000, "input_length": 4808, "output_length": 10}
{"timestamp": 1500, "input_length": 3180, "output_length": 8}
"""


@pytest.mark.parametrize("text", [AZURE, BURST_GPT, VIDUR, MOONCAKE])
def test_a_trace_is_read_by_its_form(tmp_path: Path, text: str) -> None:
    file = tmp_path / "trace"
    file.write_text(text)
    first, second = read_trace(file)
    assert first == (0.0, 4808, 10, (), 512)
    assert second.at == pytest.approx(0.5)
    assert second[1:3] == (3180, 8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "no trace that is known"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,1,2\n", "row 1 is no request"),
        ('{"timestamp": 1}\n', "row 1 is no request"),
        (
            MOONCAKE + '{"timestamp": 1, "input_length": 1, "output_length": 1}\n',
            "row 3 is earlier",
        ),
    ],
)
def test_what_is_no_trace_says_so(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "trace"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        list(read_trace(file))


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=6),
    st.lists(st.integers(0, 3), min_size=1, max_size=6),
    st.sampled_from([16, 64, 128, 512]),
)
def test_blocks_have_equal_names_as_far_as_the_prompts_are_equal(
    one: list[int], other: list[int], block_tokens: int
) -> None:
    # A hash id stands for all before it, too, so make them chains.
    chains = [
        tuple(hash(tuple(ids[: k + 1])) & 0xFFFFFFFF for k in range(len(ids)))
        for ids in (one, other)
    ]
    a, b = (Arrival(0.0, 512 * len(c), 1, c).hashes(block_tokens) for c in chains)
    equal = len(
        list(itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
    )
    shared = len(
        list(itertools.takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))
    )
    assert shared == equal * 512 // block_tokens
    assert len(a) == 512 * len(one) // block_tokens


def test_rates_are_what_they_state() -> None:
    rng, lengths = Dice(1).roll("x"), Lengths(100, 10, low=0.5, shared=30)
    arrivals = list(itertools.islice(spaced(poisson(20.0, rng), lengths, rng), 4000))
    assert arrivals[-1].at == pytest.approx(200, rel=0.1)
    assert {arrival.prompt_tokens for arrival in arrivals} == set(range(50, 101))
    assert arrivals[0].hashes(10) == arrivals[1].hashes(10)[:3]
    steady = list(itertools.islice(spaced(constant(4.0), lengths, rng), 8))
    assert [arrival.at for arrival in steady] == [k / 4 for k in range(1, 9)]
    growing = list(
        itertools.takewhile(lambda a: a.at < 100, spaced(ramp(1, 21, 100, rng), lengths, rng))
    )
    assert len(growing) == pytest.approx(1100, rel=0.1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wave:rate=1", "there is no 'wave'. Known: poisson"),
        ("poisson:speed=1", "poisson has no 'speed'. It has: rate"),
        ("poisson:rate=0", "rate must be a number above 0, not '0'"),
        ("closed:concurrency=nan", "must be a number above 0"),
    ],
)
def test_a_bad_load_says_what_would_be_good(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_load(text)


def test_a_trace_can_be_played_faster_and_cut_short(tmp_path: Path) -> None:
    file = tmp_path / "trace"
    file.write_text(VIDUR)
    load = Load("trace", trace=file, speedup=2.0)
    assert [arrival.at for arrival in load.open_loop(Dice().roll())] == [0.0, 0.25]
    short = Load("trace", trace=file, duration_s=0.4)
    assert len(list(short.open_loop(Dice().roll()))) == 1
