from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy import dice as dice_module
from fakeai_proxy.dice import Dice

keys = st.lists(st.one_of(st.text(), st.binary(), st.integers()), min_size=1, max_size=4)


@given(st.integers(-(2**63), 2**63 - 1), keys, keys)
def test_a_draw_depends_on_seed_and_key_alone(seed: int, key: list, other: list) -> None:
    dice, again = Dice(seed), Dice(seed)
    again.roll(*other).random()
    assert dice.roll(*key).random() == again.roll(*key).random()
    assert dice.text_id(*key) == again.text_id(*key)


def test_cheap_draws_are_keyed_as_the_others_are() -> None:
    draw, same, other = Dice(1).numbers("a"), Dice(1).numbers("a"), Dice(1).numbers("b")
    drawn = [draw(b"%d" % k) for k in range(100)]
    assert drawn == [same(b"%d" % k) for k in range(100)]
    assert not {*drawn} & {other(b"%d" % k) for k in range(100)}
    assert drawn != [Dice(2).numbers("a")(b"%d" % k) for k in range(100)]
    assert 0.35 < sum(number < 2**127 for number in drawn) / 100 < 0.65


def test_another_seed_or_another_key_is_another_draw() -> None:
    draws = {
        Dice(seed).number(*key) for seed in (0, 1) for key in (("a",), ("b",), ("a", "b"), ("ab",))
    }
    assert len(draws) == 8


@given(st.integers(1, 80))
def test_an_id_has_the_length_that_was_asked_for(length: int) -> None:
    made = Dice(0).text_id("x", length=length)
    assert len(made) == length
    assert made.isalnum()


def test_occurrences_count_up_for_each_fingerprint_apart() -> None:
    dice = Dice()
    assert [dice.occurrence(mark) for mark in (b"a", b"b", b"a", b"a")] == [0, 0, 1, 2]


def test_a_forgotten_fingerprint_does_not_get_an_old_number_again(monkeypatch) -> None:
    monkeypatch.setattr(dice_module, "_SEEN_MAX", 2)
    dice = Dice()
    seen = [dice.occurrence(b"a") for _ in range(3)]
    for mark in (b"b", b"c", b"d"):
        dice.occurrence(mark)
    assert dice.occurrence(b"a") not in seen
