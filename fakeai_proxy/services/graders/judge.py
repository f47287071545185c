"""What a model would say of an answer: a score or a label. Made up, but not at random: an answer is good
that is like what stands in the data, and equal questions are judged alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fakeai_proxy.dice import Dice
from fakeai_proxy.services.graders.similarity import fuzzy, rouge_l
from fakeai_proxy.services.graders.template import NoSuchNameError, as_text, value_of

#: How an answer is judged that nothing in the data says anything about.
_UNKNOWN = (0.4, 0.95)
_LABEL_EDGE = r"(?<!\w){}(?!\w)"


def score(
    dice: Dice, question: str, names: set[str], values: Mapping[str, Any], low: float, high: float
) -> float:
    """`names` are what the grader's templates speak of, `question` is what they come to."""
    said = _said(values)
    references = list(_references(names, values))
    if not references:
        share = dice.roll("score model", question).uniform(*_UNKNOWN)
    elif not said.strip():
        share = 0.0
    else:
        share = max(max(fuzzy(said, one), rouge_l(said, one)) for one in references)
    return round(low + share * (high - low), 3)


def label(
    dice: Dice, question: str, names: set[str], values: Mapping[str, Any], labels: Sequence[str]
) -> str:
    """The one that the answer names; else the one that the data name; else any."""
    for text in (_said(values), *_references(names, values)):
        for one in labels:
            if re.search(_LABEL_EDGE.format(re.escape(one)), text, re.IGNORECASE):
                return one
    return dice.roll("label model", question).choice(list(labels))


def _said(values: Mapping[str, Any]) -> str:
    sample = values.get("sample")
    return str(sample.get("output_text") or "") if isinstance(sample, Mapping) else ""


def _references(names: set[str], values: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(names):
        if name.startswith("item."):
            try:
                text = as_text(value_of(name, values))
            except NoSuchNameError:
                continue
            if text.strip():
                yield text
