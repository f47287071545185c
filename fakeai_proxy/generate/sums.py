"""What code that was written for a prompt computes: the expression that is in it, else the sum and the mean
of its numbers, or a chart of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from fakeai_proxy.generate.arithmetic import evaluated

_NUMBERS = re.compile(r"(?<![\w.])\d{1,9}(?:\.\d{1,4})?(?!\w|\.\d)", re.ASCII)
#: Numbers with signs between them, in brackets or not; a date is none, nor is the number of a telephone.
_EXPRESSION = re.compile(
    r"(?<![\w.-])\(*-?\d[\d,.]*(?:\s*\)*\s*(?:\*\*|[-+*/×÷^%]|(?<=\s)x(?=\s))\s*\(*\s*\d[\d,.]*)+\)*"
)
_DATE = re.compile(r"\d+(?:-\d+){2,}|\d\d?/\d\d?/\d{2,4}")
_CHART = re.compile(
    r"\b(?:plot|chart|graph|histogram|diagram|visuali[sz]e)(?:s|ted|ting|d)?\b", re.IGNORECASE
)
_READ_CHARS, _NUMBERS_MAX = 2000, 12
#: Where the prompt has none.
_NUMBERS_ELSE = ("1", "2", "3")


class Computed(NamedTuple):
    """Python and what it prints."""

    code: str
    output: str


class Charted(NamedTuple):
    """Python that draws a chart, and what the chart shows."""

    code: str
    values: Sequence[float]


def computed(prompt: str) -> Computed:
    for match in reversed(list(_EXPRESSION.finditer(prompt[-_READ_CHARS:]))):
        found = None if _DATE.fullmatch(match[0].strip()) else evaluated(match[0])
        if found is not None:
            return Computed(f"print({found[0]})\n", f"{found[1]}\n")
    texts = _numbers(prompt)
    values = [float(text) if "." in text else int(text) for text in texts]
    code = f"values = [{', '.join(texts)}]\nprint(sum(values), sum(values) / len(values))\n"
    return Computed(code, f"{sum(values)} {sum(values) / len(values)}\n")


def charted(prompt: str) -> Charted | None:
    """None where nobody asks for a chart."""
    if _CHART.search(prompt[-_READ_CHARS:]) is None:
        return None
    texts = _numbers(prompt)
    code = (
        f"import matplotlib.pyplot as plt\n\nvalues = [{', '.join(texts)}]\n"
        "plt.bar(range(1, len(values) + 1), values)\nplt.savefig('/mnt/data/chart.png')\n"
    )
    return Charted(code, [float(text) for text in texts])


def _numbers(prompt: str) -> list[str]:
    """As Python has them."""
    numbers = _NUMBERS.findall(prompt[-_READ_CHARS:])[:_NUMBERS_MAX] or _NUMBERS_ELSE
    # Numbers with leading zeros are none in Python.
    texts = [number.lstrip("0") or "0" for number in numbers]
    return [f"0{text}" if text.startswith(".") else text for text in texts]
