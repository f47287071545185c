"""Answers in the form, the language and the length that a prompt asks for."""

from __future__ import annotations

import json
import re
import sys
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.dice import Dice
from fakeai_proxy.generate import code
from fakeai_proxy.generate.arithmetic import result_of
from fakeai_proxy.generate.compose import WRITERS, compose, passages_about
from fakeai_proxy.generate.language import CODES, ENGLISH, language, language_of
from fakeai_proxy.generate.tokens import VOCABULARIES, Tokens
from fakeai_proxy.generate.wish import Wish, wish_of

_DICE = Dice(7)
_TOKENS = Tokens.load("o200k_base")


def answer(prompt: str, limit: int = 10**6, seed: int = 0) -> str:
    return compose(_TOKENS, _DICE.roll(prompt, seed), prompt, limit)[0].text


SPOKEN = {
    "en": "Tell me about the history of sailing ships, please.",
    "de": "Erzähl mir etwas über die Geschichte der Segelschiffe.",
    "fr": "Explique-moi l'histoire des bateaux à voile.",
    "es": "Cuéntame algo sobre la historia de los barcos de vela.",
    "pt": "Explique a história dos barcos à vela, por favor.",
    "it": "Raccontami la storia delle barche a vela.",
    "nl": "Vertel me iets over de geschiedenis van zeilschepen.",
    "ru": "Расскажи об истории парусных кораблей.",
    "zh": "请介绍一下帆船的历史。",
    "ja": "帆船の歴史について教えてください。",
    "ko": "범선의 역사에 대해 알려줘.",
}


@pytest.mark.parametrize("spoken", CODES)
def test_a_prompt_is_answered_in_its_language(spoken: str) -> None:
    prompt = SPOKEN[spoken]
    assert language_of(prompt) == spoken
    pack = language(spoken)
    sentences = [line for topic in pack.topics for line in topic]
    said = answer(prompt)
    assert any(line in said for line in sentences)
    for other in CODES:
        if other != spoken:
            foreign = [line for topic in language(other).topics for line in topic]
            assert not any(line in said for line in foreign)


@pytest.mark.parametrize(
    ("prompt", "spoken"),
    [
        ("Tell me about owls in Spanish", "es"),
        ("Translate this to French: good morning", "fr"),
        ("Erzähl mir etwas über Berlin auf Englisch", "en"),
        ("Describe Tokyo in Japanese", "ja"),
        ("What is a closure in JavaScript?", "en"),
        ("pizza", "en"),
        ("", "en"),
    ],
)
def test_a_language_that_is_named_is_the_one_to_answer_in(prompt: str, spoken: str) -> None:
    assert wish_of(prompt).language == spoken


ASKED = st.sampled_from([*SPOKEN.values(), "Give me 4 tips", "Write a SQL query", "Say hi"])


@pytest.mark.parametrize(
    ("prompt", "subject"),
    [("请用中文介绍长城", "长城"), ("Wie funktioniert ein Leuchtturm?", "Leuchtturm"),
     ("¿Por qué es importante dormir bien?", "dormir")],
)  # fmt: skip
def test_a_subject_is_what_a_prompt_is_about_in_every_language(prompt: str, subject: str) -> None:
    assert wish_of(prompt).subject == subject


@given(prompt=ASKED | st.text(), limit=st.integers(1, 600), seed=st.integers(0, 99))
def test_whatever_is_asked_the_tokens_are_the_encoding(prompt: str, limit: int, seed: int) -> None:
    whole, _ = compose(_TOKENS, _DICE.roll(seed), prompt, 10**6)
    assert whole.ids == list(_TOKENS.encode(whole.text))
    cut, ended = compose(_TOKENS, _DICE.roll(seed), prompt, limit)
    assert ended == (whole.tokens <= limit)
    assert cut.tokens == min(limit, whole.tokens)
    assert compose(_TOKENS, _DICE.roll(seed), prompt, limit)[0].text == cut.text


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("spoken", CODES)
def test_every_language_is_encoded_rightly_in_every_vocabulary(
    vocabulary: str, spoken: str
) -> None:
    tokens = Tokens.load(vocabulary)
    passage, ended = compose(tokens, _DICE.roll(spoken), SPOKEN[spoken], 10**6, 300)
    assert ended
    assert passage.tokens >= 290
    assert passage.ids == list(tokens.encode(passage.text))


@pytest.mark.parametrize("spoken", CODES)
def test_what_is_endless_fills_its_limit_in_every_language(spoken: str) -> None:
    passage, ended = compose(_TOKENS, _DICE.roll(1), SPOKEN[spoken], 700, endless=True)
    assert (passage.tokens, ended) == (700, False)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("Say this is a test", "This is a test"),
        ("Say 'hi'", "hi"),
        ('Reply with exactly "pong"', "pong"),
        ("Respond with only the word OK", "OK"),
        ("Repeat after me: the rain in Spain", "The rain in Spain"),
        ("What is 17 * 3?", "17 * 3 = 51"),
        ("2+2", "2+2 = 4"),
        ("Calculate (3 + 4) ^ 2 / 7", "(3 + 4) ^ 2 / 7 = 7"),
        ("What is the capital of France?", "The capital of France is Paris."),
        ("Reply with exactly one word: yes", "yes"),
        ("Translate 'good morning' to German", "Guten Morgen"),
        ("Translate to French: Thank you!", "Merci"),
        ("How do you say hello in Japanese?", "こんにちは"),
        ("Hello!", "Hello! How can I help you today?"),
        ("Guten Tag", "Hallo! Wobei kann ich helfen?"),
        ("Classify the sentiment as positive, negative or neutral: I love this phone", "positive"),
        (
            "Classify the sentiment (one of: positive, negative, neutral): It broke. Terrible!",
            "negative",
        ),
        (
            "Which category, one of billing, shipping or returns? My shipping label is torn",
            "shipping",
        ),
    ],
)
def test_a_question_with_one_answer_gets_it(prompt: str, said: str) -> None:
    assert answer(prompt) == said


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("Say something nice about Oslo", "prose"),
        ("What happened in 1969?", "prose"),
        ("Write a short story about a class of children", "prose"),
        ("Tell me about the one of a kind orchid", "prose"),
        ("Why is 10/0 undefined, and what does that mean for computers?", "prose"),
    ],
)
def test_what_only_looks_like_a_form_is_prose(prompt: str, kind: str) -> None:
    assert wish_of(prompt).kind == kind


@pytest.mark.parametrize(
    ("prompt", "count"),
    [("Give me 3 ideas for a party", 3), ("List seven reasons to walk", 7), ("List the planets", 5),
     ("Nenne 4 Gründe für Radwege", 4), ("99 tips for bakers", 50)],
)  # fmt: skip
def test_a_list_has_as_many_items_as_it_should(prompt: str, count: int) -> None:
    items = re.findall(r"^(\d+)\. \S", answer(prompt), re.MULTILINE)
    assert items == [str(place) for place in range(1, count + 1)]


@given(count=st.integers(2, 300))
def test_so_many_words_are_so_many(count: int) -> None:
    assert len(answer(f"Explain tides in {count} words").split()) == count


def test_a_haiku_has_three_lines_and_other_poems_have_stanzas() -> None:
    assert len(answer("Write a haiku about autumn").splitlines()) == 3
    assert len(answer("Write a poem about autumn").split("\n\n")) == 2


@given(count=st.integers(1, 12))
def test_so_many_sentences_and_paragraphs_are_so_many(count: int) -> None:
    assert len(re.findall(r"[.!?](?: |$)", answer(f"Explain tides in {count} sentences"))) == count
    assert len(answer(f"Explain tides in {count} paragraphs").split("\n\n")) == count


def test_brief_answers_are_shorter_than_detailed_ones() -> None:
    def words(how: str) -> int:
        return sum(
            len(answer(f"Write a {how} explanation of tides", seed=k).split()) for k in range(40)
        )

    assert words("brief") * 2 < words("usual") < words("detailed") / 2


def test_json_is_json_with_the_keys_that_are_named() -> None:
    one = json.loads(answer("Respond in JSON with keys name, age and is_member about a visitor"))
    assert list(one) == ["name", "age", "is_member"]
    assert isinstance(one["age"], int)
    assert isinstance(one["is_member"], bool)
    listed = json.loads(answer("Give me JSON with name, age and email of a person"))
    assert list(listed) == ["name", "age", "email"]
    by_example = json.loads(answer('Answer as JSON: {"city": "...", "temperature": 0.0}'))
    assert set(by_example) == {"city", "temperature"}
    several = json.loads(answer("Return a JSON array of objects with fields title, price"))
    assert [set(row) for row in several] == [{"title", "price"}] * 3


TASKS = (
    "fibonacci, factorial, fizzbuzz, primes, a palindrome, binary search, reverses a linked list, reverses a "
    "string, sorting a list, the gcd, anagrams, hello world, group invoices by customer, parse dates"
)


@pytest.mark.parametrize("task", TASKS.split(", "))
@pytest.mark.parametrize("seed", range(3))
def test_python_code_runs_and_keeps_its_promises(
    task: str, seed: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = answer(f"Write a Python function for {task}", seed=seed)
    source = re.search(r"```python\n(.*?)\n```", said, re.DOTALL)
    assert source
    module = ModuleType("answer")
    monkeypatch.setitem(sys.modules, "answer", module)  # where dataclasses look for their types
    exec(compile(source[1], "answer", "exec"), module.__dict__)
    promised = re.search(r"print\(.*\)  # (.+)\Z", source[1])
    if promised:
        assert capsys.readouterr().out.strip().splitlines()[-1] == promised[1]


@pytest.mark.parametrize(
    "name",
    [
        "python",
        "javascript",
        "typescript",
        "java",
        "go",
        "rust",
        "c++",
        "c#",
        "sql",
        "bash",
        "html",
    ],
)
def test_code_is_in_the_language_that_is_named(name: str) -> None:
    block = code.language_in(
        f"write a {'golang' if name == 'go' else name} function that sorts names"
    )
    assert block == {"c++": "cpp", "c#": "csharp"}.get(name, name)
    said = code.written(_DICE.roll(name), block, "a function that totals invoices", "invoices")
    assert said.startswith(f"```{block}\n")
    assert "$" not in said.replace("${", "").replace('"$folder"', "")


SOURCE = (
    "Context:\nThe Eiffel tower was finished in 1889. It is 330 metres tall. Paris has two million people. "
    "The tower was built by the company of Gustave Eiffel.\n\nQuestion: {}"
)


@pytest.mark.parametrize(
    ("question", "fact"),
    [("How tall is the tower?", "330 metres"), ("Who built the tower?", "Gustave Eiffel"),
     ("How many people live in Paris?", "two million")],
)  # fmt: skip
def test_what_a_source_says_is_answered_from_it(question: str, fact: str) -> None:
    assert fact in answer(SOURCE.format(question))


def test_a_source_of_which_the_middle_matters_is_read_whole() -> None:
    filler = "Nothing of interest happened on that particular day either. " * 200
    source = f"{filler}The password of the vault is swordfish. {filler}"
    assert "swordfish" in answer(f"Context:\n{source}\n\nQuestion: What is the vault's password?")


def test_a_summary_is_made_of_its_source_and_is_shorter() -> None:
    source = SOURCE.format("").split("\n")[1]
    said = answer(f"Summarize the following text:\n{source}")
    assert said.startswith("In short: ")
    chosen = re.split(r"(?<=\.) ", said.removeprefix("In short: "))
    assert 0 < len(chosen) < 4
    assert all(sentence in source for sentence in chosen)


def test_passages_are_ordered_by_what_they_share_with_the_question() -> None:
    assert passages_about("purple elephants", "Grey cats sleep a lot in the sun.") == []


@given(a=st.integers(-999, 999), b=st.integers(1, 999), sign=st.sampled_from("+-*/"))
def test_sums_are_right(a: int, b: int, sign: str) -> None:
    exact = {"+": a + b, "-": a - b, "*": a * b, "/": a / b}[sign]
    found = result_of(f"{a} {sign} {b}")
    assert found is not None
    assert abs(float(found) - exact) < 1e-6


@pytest.mark.parametrize(
    "text", ["", "7", "1/0", "9**9**9", "2**-0.5**", "(" * 50, "__import__('os')"]
)
def test_what_is_no_sum_is_none(text: str) -> None:
    assert result_of(text) is None


@pytest.mark.parametrize("spoken", CODES)
def test_nothing_is_said_twice_before_everything_is_said(spoken: str) -> None:
    pack = language(spoken).topics[0]
    wish = Wish("sentences", spoken, count=len(pack))
    for seed in range(40):
        said = WRITERS["sentences"](_DICE.roll("stride", seed), wish, language(spoken))
        assert [line for line in pack if line.strip() not in said] == []


def test_every_form_is_reached_by_some_prompt() -> None:
    prompts = ("Hello", "Say ok", "Summarize:\n" + "A long text about bees. " * 20, SOURCE.format("Why?"),
               "Write code", "yes or no?", "one of: a, b", "json", "5 tips", "as a table", "a poem",
               "in 5 words", "in 2 sentences", "in 2 paragraphs")  # fmt: skip
    assert {wish_of(prompt).kind for prompt in prompts} - {"prose"} == set(WRITERS)


def test_english_is_the_fallback() -> None:
    assert wish_of("qwertz").language == ENGLISH
