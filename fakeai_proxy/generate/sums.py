"""What code that was written for a prompt computes: the sum and the mean of the prompt's numbers."""

from __future__ import annotations

import re
from typing import NamedTuple

_NUMBERS = re.compile(r"(?<![\w.])\d{1,9}(?:\.\d{1,4})?(?!\w|\.\d)", re.ASCII)
_READ_CHARS, _NUMBERS_MAX = 2000, 12
#: Where the prompt has none.
_NUMBERS_ELSE = ("1", "2", "3")


class Computed(NamedTuple):
    """Python and what it prints."""

    code: str
    output: str


def computed(prompt: str) -> Computed:
    numbers = _NUMBERS.findall(prompt[-_READ_CHARS:])[:_NUMBERS_MAX] or _NUMBERS_ELSE
    # Numbers with leading zeros are none in Python.
    texts = [number.lstrip("0") or "0" for number in numbers]
    texts = [f"0{text}" if text.startswith(".") else text for text in texts]
    values = [float(text) if "." in text else int(text) for text in texts]
    code = f"values = [{', '.join(texts)}]\nprint(sum(values), sum(values) / len(values))\n"
    return Computed(code, f"{sum(values)} {sum(values) / len(values)}\n")
