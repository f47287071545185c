"""Code that an answer holds: of known tasks, code that does them; else the shape that code has in that
language, named after what was asked for.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from random import Random
from string import Template
from typing import Any

PYTHON = "python"

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*")
#: "a function that reverses a list" is called reverse_list.
_PURPOSE = re.compile(
    r"\b(?:that|which|to|for|called|named|returns?|computes?)\s+([^.\n]+)", re.IGNORECASE
)
#: Words that name no thing of their own in an identifier.
_PLAIN = frozenset(
    """a an and any be by can code create each for from function functions get given i in into is it its
    make me method my of on or please program return returns script simple small some string that the this to
    two use using which with write you your class snippet should would example typescript javascript python
    rust golang java bash sql html css query regex api endpoint returning takes take given""".split()  # noqa: SIM905 - a wall of quotation marks otherwise
)
_WORDS_MAX = 3


def language_in(lower: str) -> str:
    """The programming language that a question in lower case names; "" where it names none."""
    best, place = "", len(lower) + 1
    for language, pattern in _names():
        match = pattern.search(lower)
        if match and match.start() < place:
            best, place = language, match.start()
    return best


def written(rng: Random, language: str, prompt: str, subject: str) -> str:
    """A block of Markdown."""
    lower = prompt.lower()
    for pattern, blocks in _known():
        if language in blocks and pattern.search(lower):
            return _block(language, blocks[language])
    shapes = _shapes()[language]["shapes"]
    words = _name_words(prompt) or ["handle", "items"]
    snake = "_".join(words)
    pascal = "".join(word.capitalize() for word in words)
    names = {
        "snake": snake,
        "camel": pascal[0].lower() + pascal[1:],
        "Pascal": pascal,
        "table": "_".join(re.findall(r"[a-z]+", subject.lower())) or snake,
        "topic": re.sub(r"[^\w ,'-]", " ", subject).strip() or " ".join(words),
    }
    return _block(language, Template(shapes[rng.randrange(len(shapes))]).substitute(names))


def _block(language: str, text: str) -> str:
    return f"```{language}\n{text.strip()}\n```"


def _name_words(prompt: str) -> list[str]:
    purpose = _PURPOSE.search(prompt)
    words = [
        word.lower()
        for word in _WORD.findall(purpose[1] if purpose else prompt)
        if word.lower() not in _PLAIN and len(word) <= 20
    ]
    if (
        words
        and purpose
        and words[0].endswith("s")
        and len(words[0]) > 4
        and words[0][-2] not in "su"
    ):
        words[0] = words[0].removesuffix("s")
    return words[:_WORDS_MAX]


@cache
def _shapes() -> dict[str, dict[str, Any]]:
    folder = resources.files("fakeai_proxy.generate") / "prose" / "code"
    return tomllib.loads((folder / "shapes.toml").read_text("utf-8"))


@cache
def _names() -> list[tuple[str, re.Pattern[str]]]:
    found = []
    for language, row in _shapes().items():
        names = "|".join(re.escape(name) for name in row["names"])
        found.append((language, re.compile(rf"(?<![\w.+#])(?:{names})(?![\w+#])")))
    return found


@cache
def _known() -> list[tuple[re.Pattern[str], dict[str, str]]]:
    folder = resources.files("fakeai_proxy.generate") / "prose" / "code"
    rows = tomllib.loads((folder / "known.toml").read_text("utf-8"))["task"]
    return [(re.compile(row.pop("match")), row) for row in rows]
