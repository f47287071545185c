"""What code that was written for a prompt computes: the sum and the mean of the prompt's numbers, or a chart
of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_NUMBERS = re.compile(r"(?<![\w.])\d{1,9}(?:\.\d{1,4})?(?!\w|\.\d)", re.ASCII)
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
