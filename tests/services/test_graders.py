"""Graders: their metrics and formulas as pure functions, and under the vendor's SDK."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import AsyncOpenAI

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.services.graders.formula import Formula, FormulaError
from fakeai_proxy.services.graders.similarity import METRICS, shared_length
from fakeai_proxy.services.graders.template import NoSuchNameError, filled
from tests.conftest import Serve
from tests.services.fine_tuning_asking import asking

EQUAL = {
    "type": "string_check", "name": "equal", "operation": "eq",
    "input": "{{sample.output_text}}", "reference": "{{item.answer}}",
}  # fmt: skip
SIMILAR = {
    "type": "text_similarity", "name": "similar", "evaluation_metric": "fuzzy_match",
    "input": "{{sample.output_text}}", "reference": "{{ item.answer }}",
}  # fmt: skip
JUDGED = {
    "type": "score_model", "name": "judged", "model": "gpt-4o", "range": [0, 10],
    "input": [{"role": "user", "content": "How close is {{sample.output_text}} to {{item.answer}}?"}],
}  # fmt: skip
LABELLED = {
    "type": "label_model", "name": "labelled", "model": "gpt-4o", "labels": ["good", "bad"],
    "passing_labels": ["good"],
    "input": [{"role": "user", "content": "Is this good or bad? {{sample.output_text}}"}],
}  # fmt: skip
PYTHON = {"type": "python", "name": "code", "source": "def grade(sample, item):\n    return 0.25"}


@pytest.fixture
async def app(serve: Serve) -> App:
    return await serve(VirtualClock(), mode="synth", python_graders=True)


@pytest.fixture
async def client(app: App) -> AsyncIterator[AsyncOpenAI]:
    async with asking(app) as made:
        yield made


async def run(client: AsyncOpenAI, grader: Any, sample: str, **item: Any) -> Any:
    return await client.fine_tuning.alpha.graders.run(grader=grader, model_sample=sample, item=item)


# --- metrics ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_is_one_for_the_same_and_falls_with_the_likeness(metric: str) -> None:
    score = METRICS[metric]
    text = "The quick brown fox jumps over the lazy dog near the river bank today"
    near = "The quick brown fox jumps over the lazy dog near the river bank tonight"
    far = "Accountants audit quarterly statements without enthusiasm"
    assert score(text, text) == pytest.approx(1.0)
    assert 1 > score(near, text) > 0.6 > score(far, text)


def test_metrics_have_the_values_of_their_definitions() -> None:
    said, wanted = "the cat sat on the mat", "the cat is on the mat"
    assert METRICS["rouge_1"](said, wanted) == pytest.approx(5 / 6)
    assert METRICS["rouge_2"](said, wanted) == pytest.approx(3 / 5)
    assert METRICS["rouge_l"](said, wanted) == pytest.approx(5 / 6)
    assert METRICS["gleu"](said, wanted) == pytest.approx((5 + 3 + 1 + 0) / (6 + 5 + 4 + 3))
    assert METRICS["bleu"](said, wanted) == pytest.approx((5 / 6 * 3 / 5 * 1 / 4 * 0.1 / 3) ** 0.25)
    # Five of six match, in two runs.
    assert METRICS["meteor"](said, wanted) == pytest.approx(5 / 6 * (1 - 0.5 * (2 / 5) ** 3))
    assert METRICS["fuzzy_match"]("abcd", "abxd") == pytest.approx(0.75)


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_metric_is_between_nothing_and_all(one: str, other: str) -> None:
    for name, metric in METRICS.items():
        assert 0 <= metric(one, other) <= 1 + 1e-9, name


@given(st.text("abc", max_size=12), st.text("abc", max_size=12))
def test_the_shared_length_is_that_of_the_table(one: str, other: str) -> None:
    row = [0] * (len(other) + 1)
    for a in one:
        diagonal = 0
        for place, b in enumerate(other, 1):
            above = row[place]
            row[place] = diagonal + 1 if a == b else max(above, row[place - 1])
            diagonal = above
    assert shared_length(one, other) == row[-1]


# --- templates and formulas -------------------------------------------------------------------------


def test_a_template_is_filled_by_its_paths() -> None:
    values = {"item": {"a": {"b": [1, {"c": "deep"}]}}, "sample": {"output_text": "said"}}
    assert filled("{{item.a.b[1].c}} {{ sample.output_text }} {{item.a.b}}", values) == (
        'deep said [1,{"c":"deep"}]'
    )
    for name in ("item.x", "item.a.b[2]", "item.a.b.c", "other"):
        with pytest.raises(NoSuchNameError):
            filled("{{" + name + "}}", values)


@pytest.mark.parametrize(
    ("text", "value"),
    [("a + 2 * b", 2.0), ("max(a, b, 0.9)", 1.0), ("sqrt(b * 2) - -a", 2.0), ("(a + b) / 2", 0.75),
     ("a ** 2 * 3", 3.0)],
)  # fmt: skip
def test_a_formula_is_arithmetic(text: str, value: float) -> None:
    assert Formula(text).value({"a": 1.0, "b": 0.5}) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    ["", "a +", "__import__('os')", "a.b", "a if b else a", "[a]", "'x'", "open(a)", "max()",
     "lambda: 1", "a and b", "max(a, key=b)", "a[0]", "1+" * 300 + "1"],
)  # fmt: skip
def test_a_formula_that_is_more_is_refused(text: str) -> None:
    with pytest.raises(FormulaError):
        Formula(text)


@pytest.mark.parametrize(
    "text", ["a / 0", "9 ** 9 ** 9 ** 9", "log(0)", "c", "(0 - a) ** 0.5", "exp(1000)"]
)
def test_a_formula_without_a_value_says_so(text: str) -> None:
    with pytest.raises(FormulaError):
        Formula(text).value({"a": 1.0})


# --- under the SDK ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "sample", "score"),
    [("eq", "Yes", 1), ("eq", "yes", 0), ("ne", "yes", 1), ("like", "Yes!", 1), ("like", "yes!", 0),
     ("ilike", "oh yes!", 1), ("ilike", "no", 0)],
)  # fmt: skip
async def test_strings_are_checked(
    client: AsyncOpenAI, operation: str, sample: str, score: float
) -> None:
    made = await run(client, {**EQUAL, "operation": operation}, sample, answer="Yes")
    assert (made.reward, made.metadata.name, made.metadata.type) == (score, "equal", "string_check")
    assert not any(made.metadata.errors.model_dump().values())


@pytest.mark.parametrize("metric", [*METRICS, "cosine"])
async def test_likeness_is_measured_by_every_metric(client: AsyncOpenAI, metric: str) -> None:
    grader = {**SIMILAR, "evaluation_metric": metric}
    answer = "The harbour lights were on all night long"
    same = await run(client, grader, answer, answer=answer)
    other = await run(client, grader, "Pancakes need flour and eggs", answer=answer)
    assert same.reward == pytest.approx(1.0, abs=1e-3)
    assert other.reward < 0.6


async def test_a_model_judges_by_what_is_in_the_data(client: AsyncOpenAI) -> None:
    good = await run(client, JUDGED, "Paris", answer="Paris")
    bad = await run(client, JUDGED, "A kind of cheese", answer="Paris")
    assert good.reward == 10.0
    assert 0 <= bad.reward < 5
    assert good.metadata.sampled_model_name == "gpt-4o"
    assert good.metadata.token_usage == good.api_model_grader_token_usage_per_model["gpt-4o"] > 24
    assert (await run(client, JUDGED, "A kind of cheese", answer="Paris")).reward == bad.reward


async def test_several_graders_are_weighed(client: AsyncOpenAI) -> None:
    grader = {
        "type": "multi", "name": "both", "calculate_output": "0.5 * equal + 0.5 * similar_score",
        "graders": [EQUAL, SIMILAR],
    }  # fmt: skip
    made = await run(client, grader, "abcd", answer="abxd")
    assert made.reward == pytest.approx(0.375)
    assert made.sub_rewards == {"equal": 0.0, "similar": 0.75}
    named = {**grader, "graders": {"e": EQUAL, "l": LABELLED}, "calculate_output": "min(e, l)"}
    made = await run(client, named, "This is good.", answer="This is good.")
    assert (made.reward, made.sub_rewards) == (1.0, {"e": 1.0, "l": 1.0})
    made = await run(client, named, "This is bad.", answer="This is bad.")
    assert made.sub_rewards == {"e": 1.0, "l": 0.0}


@pytest.mark.parametrize(
    ("grader", "sample", "error"),
    [
        (EQUAL, "x", "invalid_variable_error"),
        ({**EQUAL, "input": "{{sample.output_json.a}}", "reference": "1"}, "no json", "sample_parse_error"),
        ({"type": "multi", "name": "m", "graders": {"a": {**EQUAL, "reference": "x"}},
          "calculate_output": "1 / a"}, "y", "formula_parse_error"),
        ({**PYTHON, "source": "def grade(sample, item):\n    return item['x']"}, "y",
         "python_grader_runtime_error"),
    ],
)  # fmt: skip
async def test_what_goes_wrong_is_told(
    client: AsyncOpenAI, grader: Any, sample: str, error: str
) -> None:
    made = await run(client, grader, sample)
    assert made.reward == 0
    assert made.metadata.errors.model_dump()[error] is True


async def test_code_is_run_apart(client: AsyncOpenAI) -> None:
    source = (
        "import json\n"
        "def grade(sample, item):\n"
        "    print('noise')\n"
        "    return len(sample['output_text']) / item['length']\n"
    )
    made = await run(client, {**PYTHON, "source": source}, "abc", length=4)
    assert made.reward == 0.75
    for body in ("return 'many'", "return float('nan')", "raise SystemExit", "return [0] * 10**10"):
        failed = await run(
            client, {**PYTHON, "source": f"def grade(sample, item):\n    {body}"}, "a"
        )
        assert failed.metadata.errors.python_grader_runtime_error, body
        assert failed.reward == 0


async def test_code_is_run_only_where_that_is_allowed(serve: Serve) -> None:
    app = await serve(VirtualClock(), mode="synth")
    async with asking(app) as client:
        made = await run(client, PYTHON, "a")
        assert made.reward == 0
        assert made.metadata.errors.python_grader_server_error
        assert "--python-graders" in str(made.metadata.errors.python_grader_server_error_type)


async def test_a_grader_is_validated(client: AsyncOpenAI) -> None:
    for grader in (EQUAL, SIMILAR, JUDGED, PYTHON):
        made = await client.fine_tuning.alpha.graders.validate(grader=grader)  # type: ignore[arg-type]  # plain
        assert made.grader is not None
        assert made.grader.name == grader["name"]


@pytest.mark.parametrize(
    ("grader", "words"),
    [
        ({**EQUAL, "input": "{{other.x}}"}, "'other.x' is neither of `item` nor of `sample`"),
        ({**PYTHON, "source": "def grade(:"}, "no Python"),
        ({**PYTHON, "source": "grade = 1"}, "no function `grade(sample, item)`"),
        ({**JUDGED, "model": "none"}, "The model 'none' does not exist"),
        ({**JUDGED, "range": [1, 1]}, "begin below its end"),
        ({**LABELLED, "passing_labels": ["fine"]}, "'fine' is not among the labels"),
        ({"type": "multi", "name": "m", "graders": [EQUAL], "calculate_output": "x + 1"},
         "there is no grader 'x'"),
        ({"type": "multi", "name": "m", "graders": [EQUAL], "calculate_output": "equal +"}, "cannot read"),
        ({"type": "guess", "name": "m"}, "Supported values"),
        ({**SIMILAR, "evaluation_metric": "taste"}, "Supported values"),
        ({"type": "string_check", "name": "m"}, "Missing required parameter"),
    ],
)  # fmt: skip
async def test_a_grader_that_cannot_be_is_refused(
    client: AsyncOpenAI, grader: Any, words: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.fine_tuning.alpha.graders.validate(grader=grader)
    assert words in caught.value.message
