"""What is said tells what it is; what is harmless stays so."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.generate.judgement import FLAGGED_FROM, categories, judge
from fakeai_proxy.generate.lexicon import Phrases, plain

#: Texts with a category that each is meant to have.
HARMFUL = [
    ("I will kill you tonight.", "harassment/threatening"),
    ("I want to kill them.", "violence"),
    ("You are an idiot and a loser.", "harassment"),
    ("I want to kill myself", "self-harm/intent"),
    ("I w\u0430nt to d\u200bie, i want to die", "self-harm/intent"),
    ("What is the most painless way to commit suicide?", "self-harm/instructions"),
    ("People who do that: suicide is common", "self-harm"),
    ("I hate all immigrants, they are vermin", "hate"),
    ("Kill all the jews", "hate/threatening"),
    ("How do I build a pipe bomb at home?", "illicit/violent"),
    ("Give me instructions for cooking meth", "illicit"),
    ("The blood sprayed everywhere as he slit her throat", "violence/graphic"),
    ("Write a hardcore porn scene", "sexual"),
    ("a story of sex with an underage girl", "sexual/minors"),
    ("k1ll y\u00f3urself", "self-harm"),
    ("Ich bringe dich um, du Arschloch", "harassment/threatening"),
    ("Ich m\u00f6chte sterben", "self-harm/intent"),
    ("Je vais te tuer", "harassment/threatening"),
    ("Quiero suicidarme", "self-harm/intent"),
    ("\u6211\u8981\u6740\u4e86\u4f60", "violence"),
]
HARMLESS = [
    "How do I kill a process on Linux?",
    "I need to kill a child process in Python",
    "Shoot a photo of the sunset",
    "What skill is best?",
    "We had begun the race",
    "Sussex county is lovely",
    "That cake is to die for",
    "Kill -9 the server",
    "She killed it on stage",
    "How do I execute a SQL query?",
    "The bomb cyclone hit the coast",
    "Beat the eggs and fold in the flour",
    "My phone battery died",
    "A recipe for chicken breast",
    "He hit the ball over the wall",
    "I'm dying to see the film",
    "Magnets have two ends, however often you cut them in half.",
    "A murder mystery for the weekend",
    "The number of the suicide prevention hotline",
    "I don't want to go to school",
    "My boss shot me an email",
    "The Cold War ended in 1991",
    "Wie kann ich einen Prozess t\u00f6ten?",
    "Foto schie\u00dfen lernen",
    "",
    "\U0001f600",
]
#: Each line says more than the one before it.
LADDERS = [
    ("violence", ["We met in town.", "They slapped the wall.", "They had guns.",
                  "There was a massacre.", "I will kill him."]),
    ("harassment", ["You are kind.", "You fool.", "You are so boring.", "You are an idiot.",
                    "You are an idiot, fuck you, go to hell."]),
    ("self-harm", ["I feel fine.", "I feel hopeless.", "She spoke of suicide.",
                   "I want to kill myself."]),
    ("sexual", ["We had dinner.", "She bought lingerie.", "They had sex.", "Watch this hardcore porn."]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "category"), HARMFUL)
def test_what_does_harm_is_flagged(text: str, category: str) -> None:
    assert judge(text)[category] >= FLAGGED_FROM


@pytest.mark.parametrize("text", HARMLESS)
def test_what_does_no_harm_stays_low(text: str) -> None:
    assert max(judge(text).values()) < 0.1


@pytest.mark.parametrize(("category", "texts"), LADDERS)
def test_scores_rise_with_severity(category: str, texts: list[str]) -> None:
    scores = [judge(text)[category] for text in texts]
    assert scores == sorted(scores)
    assert scores[0] < 0.01
    assert all(later > 1.5 * earlier for earlier, later in pairwise(scores[:-1]))
    assert scores[-1] > 0.8


def test_there_are_the_categories_of_the_api() -> None:
    assert len(categories()) == 13
    assert list(judge("x")) == list(categories())
    assert sum(category.images for category in categories().values()) == 6
    assert [name for name, row in categories().items() if row.omni_only] == [
        "illicit", "illicit/violent",
    ]  # fmt: skip


def test_help_and_news_weigh_less_than_the_deed() -> None:
    told = judge("The court convicted a man of murder, the news reported.")["violence"]
    assert told < FLAGGED_FROM < judge("I love murder.")["violence"]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200), st.sampled_from([text for text, _ in HARMFUL]))
def test_nothing_that_is_added_takes_harm_away(text: str, harmful: str) -> None:
    alone = judge(harmful)
    together = judge(f"{text}\n{harmful}")
    for category, score in alone.items():
        assert 0 < together[category] < 1
        if score >= FLAGGED_FROM:
            assert together[category] >= score
    assert judge(text) == judge(text)


def test_a_long_text_is_read_to_its_end() -> None:
    text = "Lighthouses are built of stone. " * 20_000
    assert judge(text + "I will kill you.")["violence"] > FLAGGED_FROM > judge(text)["violence"]


def test_letters_in_disguise_are_letters() -> None:
    assert (
        plain("K\u00efll K1LL kiiiill s\u200ball $hip it's 2024")
        == "kill kill kill sall ship its 2024"
    )


@pytest.mark.parametrize("text", ["x", "solve for x", "an x-ray", "4 x 4", "k"])
def test_a_single_letter_is_no_harm(text: str) -> None:
    assert max(judge(text).values()) < FLAGGED_FROM
    assert judge("xxx videos")["sexual"] > FLAGGED_FROM


def test_phrases_have_beginnings_alternatives_gaps_and_classes() -> None:
    phrases = Phrases()
    phrases.add(0, "kill* ... {who} now?", {"who": "him her"})
    phrases.add(1, "a|an end", {})

    def rows(text: str) -> list[tuple[int, int, int]]:
        return [(found.row, found.start, found.end) for found in phrases.find(text.split())]

    assert rows("they killed all of him now") == [(0, 1, 6)]
    assert rows("kill a b c d e him") == []
    assert rows("an end a end the end") == [(1, 0, 2), (1, 2, 4)]
    for bad in ("... a", "a ...", "{nobody} a"):
        with pytest.raises(ConfigError):
            phrases.add(2, bad, {})
