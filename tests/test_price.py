"""Cards of models and what they cost."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.profiles.model_card import ModelCard, cost
from fakeai_proxy.profiles.model_files import cards_in, shipped_cards
from fakeai_proxy.profiles.price import Price, Usage

CARDS = {card.id: card for card in shipped_cards()}
PRICED = [card for card in CARDS.values() if card.price is not None]
_COUNT = st.integers(0, 10_000_000)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    total = draw(_COUNT)
    cached = draw(st.integers(0, total))
    spoken = draw(st.integers(0, total - cached))
    seen = draw(st.integers(0, total - cached - spoken))
    output = draw(_COUNT)
    return Usage(
        input_tokens=total,
        cached_tokens=cached,
        audio_input_tokens=spoken,
        image_input_tokens=seen,
        output_tokens=output,
        audio_output_tokens=draw(st.integers(0, output)),
        audio_seconds=draw(st.integers(0, 10_000)),
        characters=draw(_COUNT),
        images={"high/1024x1024": draw(st.integers(0, 10))},
        searches=draw(st.integers(0, 10)),
    )


@given(st.sampled_from(PRICED), usages())
def test_nothing_costs_nothing_and_more_never_costs_less(card: ModelCard, usage: Usage) -> None:
    assert cost(card, Usage()) == 0
    paid = cost(card, usage)
    assert paid >= 0
    assert cost(card, replace(usage, output_tokens=usage.output_tokens + 1)) >= paid
    assert cost(card, replace(usage, searches=usage.searches + 1)) >= paid
    assert cost(card, replace(usage, characters=usage.characters + 1)) >= paid


@given(st.sampled_from(PRICED), _COUNT, _COUNT, st.data())
def test_what_is_cached_is_never_dearer(
    card: ModelCard, total: int, output: int, data: st.DataObject
) -> None:
    cached = data.draw(st.integers(0, total))
    plain = Usage(input_tokens=total, output_tokens=output)
    assert cost(card, replace(plain, cached_tokens=cached)) <= cost(card, plain)


@given(st.sampled_from(PRICED), usages())
def test_a_tier_costs_its_share_of_the_same_bill(card: ModelCard, usage: Usage) -> None:
    assert card.price is not None
    plain = cost(card, usage)
    assert cost(card, replace(usage, tier="batch")) == plain * (card.price.batch or 1)
    assert cost(card, replace(usage, tier="priority")) == plain * (card.price.priority or 1)


@given(_COUNT, _COUNT)
def test_below_the_long_price_two_requests_cost_what_they_cost_together(one: int, two: int) -> None:
    card = CARDS["gpt-4o-mini"]
    bills = [cost(card, Usage(input_tokens=n, output_tokens=n)) for n in (one, two, one + two)]
    assert bills[0] + bills[1] == bills[2]


@pytest.mark.parametrize(
    ("model", "usage", "usd"),
    [
        ("gpt-4o", Usage(input_tokens=1_000_000, output_tokens=1_000_000), "12.5"),
        ("gpt-4o", Usage(input_tokens=1_000_000, cached_tokens=600_000), "1.75"),
        ("gpt-4o", Usage(input_tokens=1_000_000, tier="batch"), "1.25"),
        ("gpt-6-sol", Usage(input_tokens=272_000, output_tokens=1_000), "0.554"),
        ("gpt-6-sol", Usage(input_tokens=272_001, output_tokens=1_000), "1.103004"),
        (
            "claude-opus-5-5",
            Usage(input_tokens=30_000, cached_tokens=10_000, cache_write_1h_tokens=10_000),
            "0.122",
        ),
        ("gpt-audio", Usage(input_tokens=1000, audio_input_tokens=1000), "0.032"),
        ("tts-1", Usage(characters=2_000_000), "30"),
        ("whisper-1", Usage(audio_seconds=90), "0.009"),
        ("dall-e-3", Usage(images={"hd/1792x1024": 2}), "0.24"),
        ("gpt-image-1", Usage(images={"low/1024x1024": 1}), "0.011"),
        ("sora-2-pro", Usage(video_seconds={"1024x1792": 4}), "2"),
        ("omni-moderation-latest", Usage(input_tokens=10_000), "0"),
        ("Qwen/Qwen3-8B", Usage(input_tokens=10_000), "0"),
    ],
)
def test_the_bill_is_the_vendors(model: str, usage: Usage, usd: str) -> None:
    assert cost(CARDS[model], usage) == Decimal(usd)


def test_a_fine_tuned_model_costs_more_than_the_one_it_is_made_of() -> None:
    tuned = CARDS["gpt-4o-mini"].tuned("ft:gpt-4o-mini-2024-07-18:acme::x")
    usage = Usage(input_tokens=1_000_000, output_tokens=1_000_000)
    assert cost(tuned, usage) == Decimal("1.5")
    assert cost(tuned, Usage(training_tokens=2_000_000)) == 6


def test_every_model_that_is_sold_has_a_price_and_every_price_a_source() -> None:
    for card in CARDS.values():
        hosted = card.vendor in ("openai", "anthropic") or card.owned_by in (
            "mistralai",
            "deepseek",
        )
        if hosted and card.kind != "moderation":
            assert card.price is not None, card.id
            assert not card.price.is_free, card.id
        assert card.source, card.id
    with pytest.raises(ValueError, match="source"):
        ModelCard(id="x", price=Price(input=Decimal(1)))


def test_a_dated_name_is_its_aliass_twin() -> None:
    for card in CARDS.values():
        if card.snapshot:
            dated = CARDS[card.snapshot]
            own = {"id", "created", "snapshot", "owned_by", "retires_at", "deprecated_at"}
            assert dated.model_dump(exclude=own) == card.model_dump(exclude=own)


def test_what_a_model_can_is_asked_of_its_card() -> None:
    assert CARDS["gpt-4o"].takes("image")
    assert not CARDS["gpt-4"].takes("image")
    assert CARDS["gpt-audio"].gives("audio")
    assert CARDS["gpt-5"].can("custom_tools")
    assert not CARDS["gpt-5"].can("sampling")
    assert not CARDS["gpt-3.5-turbo"].can("structured_outputs")
    assert not CARDS["text-embedding-3-small"].can("tools")
    assert CARDS["tts-1"].can("speech")
    assert not CARDS["tts-1"].can("instructions")
    assert CARDS["whisper-1"].takes("audio")
    assert CARDS["gpt-5.2"].efforts == ("none", "low", "medium", "high", "xhigh")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[[model]]\nid = "a"\nlike = "none"', "like: there is no model 'none' before"),
        ('[[model]]\nid = "a"\ncolour = "red"', "model a: colour"),
        ('[defaults]\ncolour = "red"\n[[model]]\nid = "a"', "defaults: colour"),
        ('[[models]]\nid = "a"', r"there are \[defaults\] and \[\[model\]\]"),
        ("model = 3", r"each model is a table of its own"),
        ("", r"each model is a table of its own"),
        ("[[model]", "mine.toml"),
        ('[[model]]\nid = "a"\nprice.input = -1', "price.input"),
    ],
)
def test_a_file_that_cannot_be_used_says_where(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=complaint):
        cards_in([file])


def test_a_model_of_the_users_own_is_like_a_shipped_one(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        '[defaults]\nvendor = "acme"\nowned_by = "acme"\n'
        '[[model]]\nid = "a"\nlike = "gpt-4o"\ncontext_tokens = 99\noutput_tokens_max = 9\n'
        '[[model]]\nid = "b"\nlike = "a"\nprice.input = 1\n'
        '[[model]]\nid = "c"\n',
        "utf-8",
    )
    one, two, three = cards_in([file], CARDS.values())
    assert (one.context_tokens, one.price) == (99, CARDS["gpt-4o"].price)
    assert two.takes("image")
    assert two.price == Price(input=Decimal(1))
    assert (three.vendor, three.context_tokens, three.price) == ("acme", 128_000, None)
