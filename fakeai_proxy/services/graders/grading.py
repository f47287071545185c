"""What a grader says of a sample: a score, and what went wrong on the way to it.

Takes as long as the comparison or the code does; for a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

from fakeai_proxy.dice import Dice
from fakeai_proxy.generate.embedders import Kind
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.generate.vectors import Embedder
from fakeai_proxy.services.catalogue import Catalogue
from fakeai_proxy.services.graders import judge, python_child
from fakeai_proxy.services.graders.formula import Formula, FormulaError
from fakeai_proxy.services.graders.naming import parts_of, templates_of
from fakeai_proxy.services.graders.similarity import METRICS
from fakeai_proxy.services.graders.template import NoSuchNameError, filled, names_in, texts_in
from fakeai_proxy.services.graders.wire import (
    Grader,
    LabelModel,
    Multi,
    PythonCode,
    ScoreModel,
    StringCheck,
    TextSimilarity,
)

#: The vendor compares meanings by text-embedding-3-large.
_EMBEDDING_MODEL, _DIMENSIONS = "text-embedding-3-large", 3072
#: What a model says to a grader's question: a score and a sentence.
_JUDGEMENT_TOKENS = 24


@dataclass
class Verdict:
    """`errors` are the vendor's names of what went wrong, with their values. `parts` are the verdicts
    within."""

    score: float = 0.0
    errors: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, Verdict] = field(default_factory=dict)
    model: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    label: str | None = None

    def usage(self) -> dict[str, tuple[int, int]]:
        """(prompt, completion) tokens by model."""
        total: dict[str, tuple[int, int]] = {}
        for one in (self, *self.parts.values()):
            if one.model is not None:
                prompt, completion = total.get(one.model, (0, 0))
                total[one.model] = prompt + one.prompt_tokens, completion + one.completion_tokens
        return total


def sample_of(text: str, **more: Any) -> dict[str, Any]:
    """The `sample` of templates, from what a model said."""
    sample: dict[str, Any] = {"output_text": text, **more}
    with suppress(orjson.JSONDecodeError):
        sample["output_json"] = orjson.loads(text)
    return sample


@dataclass(frozen=True)
class Graders:
    """`runs_python` as the user has allowed it."""

    dice: Dice
    catalogue: Catalogue
    embedder: Kind
    runs_python: bool

    def grade(self, grader: Grader, sample: Mapping[str, Any], item: Any) -> Verdict:
        values = {"sample": sample, "item": item}
        try:
            return _GRADE[type(grader)](self, grader, values)
        except NoSuchNameError as error:
            unread = error.name.startswith("sample.output_json") and "output_json" not in sample
            kind = "sample_parse_error" if unread else "invalid_variable_error"
            return Verdict(errors={kind: True})

    def _string(self, grader: StringCheck, values: Mapping[str, Any]) -> Verdict:
        text, reference = filled(grader.input, values), filled(grader.reference, values)
        return Verdict(float(_CHECKS[grader.operation](text, reference)))

    def _similar(self, grader: TextSimilarity, values: Mapping[str, Any]) -> Verdict:
        text, reference = filled(grader.input, values), filled(grader.reference, values)
        metric = METRICS.get(grader.evaluation_metric, self._cosine)
        return Verdict(round(metric(text, reference), 6))

    def _cosine(self, text: str, reference: str) -> float:
        one, other = Embedder(_EMBEDDING_MODEL, _DIMENSIONS, self.embedder).embed([text, reference])
        return max(0.0, min(1.0, float(one @ other)))

    def _python(self, grader: PythonCode, values: Mapping[str, Any]) -> Verdict:
        if not self.runs_python:
            return Verdict(
                errors={
                    "python_grader_server_error": True,
                    "python_grader_server_error_type": "disabled: start the server with --python-graders",
                }
            )
        try:
            return Verdict(python_child.run(grader.source, values["sample"], values["item"]))
        except python_child.GraderFailedError as error:
            return Verdict(
                errors={
                    "python_grader_runtime_error": True,
                    "python_grader_runtime_error_details": str(error),
                }
            )

    def _score(self, grader: ScoreModel, values: Mapping[str, Any]) -> Verdict:
        low, high = grader.range or (0.0, 1.0)
        question, names = _question(grader, values)
        verdict = self._asked(grader.model, question)
        verdict.score = judge.score(self.dice, question, names, values, low, high)
        return verdict

    def _label(self, grader: LabelModel, values: Mapping[str, Any]) -> Verdict:
        question, names = _question(grader, values)
        verdict = self._asked(grader.model, question)
        verdict.label = judge.label(self.dice, question, names, values, grader.labels)
        verdict.score = float(verdict.label in grader.passing_labels)
        return verdict

    def _asked(self, model: str, question: str) -> Verdict:
        card = self.catalogue.find(model)
        tokens = Tokens.load("o200k_base" if card is None else card.vocabulary)
        return Verdict(
            model=model, prompt_tokens=tokens.count(question), completion_tokens=_JUDGEMENT_TOKENS
        )

    def _multi(self, grader: Multi, values: Mapping[str, Any]) -> Verdict:
        parts: dict[str, Verdict] = {}
        scores: dict[str, float] = {}
        errors: dict[str, Any] = {}
        for key, part in parts_of(grader).items():
            made = self.grade(part, values["sample"], values["item"])
            parts[key] = made
            errors |= made.errors
            for name in (key, part.name, f"{part.name}_score", f"{part.type}_score"):
                scores.setdefault(name, made.score)
        verdict = Verdict(parts=parts, errors=errors)
        try:
            verdict.score = Formula(grader.calculate_output).value(scores)
        except FormulaError:
            verdict.errors["formula_parse_error"] = True
        return verdict


def _question(grader: ScoreModel | LabelModel, values: Mapping[str, Any]) -> tuple[str, set[str]]:
    """What the model is asked, and the names that stand in it."""
    texts = [filled(text, values) for message in grader.input for text in texts_in(message.content)]
    names = set().union(*map(names_in, templates_of(grader)))
    return "\n".join(texts), names


_CHECKS: dict[str, Callable[[str, str], bool]] = {
    "eq": lambda text, reference: text == reference,
    "ne": lambda text, reference: text != reference,
    "like": lambda text, reference: reference in text,
    "ilike": lambda text, reference: reference.lower() in text.lower(),
}
_GRADE: dict[type[Any], Callable[[Graders, Any, Mapping[str, Any]], Verdict]] = {
    StringCheck: Graders._string, TextSimilarity: Graders._similar, PythonCode: Graders._python,
    ScoreModel: Graders._score, LabelModel: Graders._label, Multi: Graders._multi,
}  # fmt: skip
