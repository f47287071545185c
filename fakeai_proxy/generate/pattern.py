"""Strings that match a regular expression, in bounded time whatever the expression.

Repetitions are kept short, every character costs budget, and a candidate is accepted only after an
engine that cannot run away has matched it.
"""

from __future__ import annotations

import re
import re._constants as ops  # type: ignore[import-not-found]  # typeshed has no stubs
import re._parser as parser  # type: ignore[import-not-found]  # typeshed has no stubs
import warnings
from collections.abc import Sequence
from functools import lru_cache
from random import Random
from typing import Any

from fakeai_proxy.generate.strict_schema import SchemaError

CHARS_MAX = 20_000
_PATTERN_CHARS_MAX = 4_000
_ATTEMPTS = 24
#: How far a repetition goes beyond its minimum.
_EXTRA = 4

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DIGITS = "0123456789"
_PLAIN = _LETTERS[:26] + _DIGITS
_PUNCTUATION = " -_.,:;!?/@#+=*()[]{}<>~^'\"&%$|\\`"
_PRINTABLE = _LETTERS + _DIGITS + _PUNCTUATION
_CATEGORIES = {
    ops.CATEGORY_DIGIT: _DIGITS,
    ops.CATEGORY_NOT_DIGIT: _LETTERS,
    ops.CATEGORY_SPACE: " ",
    ops.CATEGORY_NOT_SPACE: _PLAIN,
    ops.CATEGORY_WORD: _PLAIN,
    ops.CATEGORY_NOT_WORD: " -.,",
}
#: ECMA's property classes, by what Python's parser knows.
_PROPERTIES = {
    "L": "A-Za-z",
    "Lu": "A-Z",
    "Ll": "a-z",
    "N": "0-9",
    "Nd": "0-9",
    "P": "!-.",
    "Z": " ",
}
_PROPERTY = re.compile(r"\\p\{(?:\w+=)?(\w+)\}")


class Budget:
    """Work that may still be done; one for everything that a request asks for."""

    def __init__(self, steps: int = 200_000) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise SchemaError((), "the smallest value that satisfies the schema is too large.")


class Pattern:
    """A compiled `pattern` of a JSON Schema. Raises SchemaError if it is no expression."""

    def __init__(self, pattern: str) -> None:
        import jsonschema_rs

        self.pattern = pattern
        if len(pattern) > _PATTERN_CHARS_MAX:
            raise SchemaError((), f"'pattern' is longer than {_PATTERN_CHARS_MAX} characters.")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._tree = parser.parse(_python(pattern))
            self._matches = jsonschema_rs.Draft202012Validator({"pattern": pattern}).is_valid
        except (re.error, RecursionError, OverflowError, ValueError) as error:
            raise SchemaError((), f"'pattern' is not a valid regex ({error}).") from None

    @staticmethod
    @lru_cache(maxsize=256)
    def load(pattern: str) -> Pattern:
        return Pattern(pattern)

    def sample(
        self,
        rng: Random,
        chars_min: int = 0,
        chars_max: int = CHARS_MAX,
        budget: Budget | None = None,
    ) -> str:
        """A matching string with so many characters. Raises SchemaError when none was found."""
        budget = budget or Budget()
        for attempt in range(_ATTEMPTS):
            extra = (attempt % 6) * 2 + (_EXTRA if attempt else 1)
            maker = _Maker(rng, budget, extra, chars_min)
            try:
                text = maker.make(self._tree)
            except RecursionError:
                break
            if chars_min <= len(text) <= chars_max and self._matches(text):
                return text
        raise SchemaError(
            (), f"no string was found that matches the pattern '{self.pattern[:200]}'."
        )


def _python(pattern: str) -> str:
    text = _PROPERTY.sub(lambda match: "[" + _PROPERTIES.get(match[1], "A-Za-z") + "]", pattern)
    text = re.sub(r"\[\[([^\]]*)\]\]", r"[\1]", text)
    text = re.sub(
        r"\\u\{?([0-9a-fA-F]{4,6})\}?", lambda m: re.escape(chr(min(int(m[1], 16), 0x10FFFF))), text
    )
    text = (
        text.replace(r"\/", "/")
        .replace(r"(?<", "(?P<")
        .replace("(?P<=", "(?<=")
        .replace("(?P<!", "(?<!")
    )
    return text.replace(r"\z", r"\Z")


class _Maker:
    def __init__(self, rng: Random, budget: Budget, extra: int, least: int) -> None:
        self.rng = rng
        self.budget = budget
        self.extra = extra
        self.least = min(least, CHARS_MAX)
        self.groups: dict[int, str] = {}

    def make(self, tree: Any) -> str:
        return "".join([self._node(op, value) for op, value in tree])

    def _node(self, op: Any, value: Any) -> str:
        self.budget.spend(1)
        if op is ops.LITERAL:
            return chr(value)
        if op is ops.NOT_LITERAL:
            return self._character([c for c in _PLAIN if ord(c) != value])
        if op is ops.ANY:
            return self._character(_PLAIN)
        if op is ops.IN:
            return self._class(value)
        return self._composed(op, value)

    def _composed(self, op: Any, value: Any) -> str:
        if op is ops.BRANCH:
            return self.make(self._pick(value[1]))
        if op in (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT):
            return self._repeat(*value)
        return self._group(op, value)

    def _group(self, op: Any, value: Any) -> str:
        if op is ops.SUBPATTERN:
            text = self.make(value[3])
            self.groups[value[0]] = text
            return text
        if op is ops.ATOMIC_GROUP:
            return self.make(value)
        if op is ops.GROUPREF:
            text = self.groups.get(value, "")
            self.budget.spend(len(text))
            return text
        if op is ops.ASSERT and value[0] == 1:
            return self.make(value[1])  # what is looked for ahead is written out
        return ""  # anchors, and what must not follow: the match decides

    def _repeat(self, least: int, most: int, tree: Any) -> str:
        if least > CHARS_MAX:
            raise SchemaError((), f"'pattern' asks for more than {CHARS_MAX} characters.")
        upper = least + self.extra
        if self.least > least and most > upper:
            upper = self.least + self.extra
            least = min(self.least, int(most))
        times = self.rng.randint(least, max(least, min(int(most), upper)))
        # Only the outermost repetition makes up the length that is asked for.
        wanted, self.least = self.least, 0
        text = "".join([self.make(tree) for _ in range(times)])
        self.least = wanted
        return text

    def _class(self, items: list[Any]) -> str:
        negated = items[0][0] is ops.NEGATE
        if negated:
            return self._character(
                [c for c in _PRINTABLE if not any(_within(c, item) for item in items[1:])]
            )
        op, value = self._pick(items)
        if op is ops.LITERAL:
            return chr(value)
        if op is ops.RANGE:
            low, high = value
            # Control characters and surrogates are no text.
            low, high = (max(low, 32), max(high, 32)) if high >= 32 else (low, high)
            code = self.rng.randint(low, min(high, max(low, 126)))
            return chr(code) if not 0xD800 <= code <= 0xDFFF else "\ue000"
        return self._character(_CATEGORIES[value])

    def _character(self, options: Sequence[str]) -> str:
        return str(self._pick(options))

    def _pick(self, options: Any) -> Any:
        if not options:
            raise SchemaError((), "'pattern' contains a class without characters.")
        return options[self.rng.randrange(len(options))]


def _within(character: str, item: tuple[Any, Any]) -> bool:
    op, value = item
    if op is ops.LITERAL:
        return ord(character) == int(value)
    if op is ops.RANGE:
        return bool(value[0] <= ord(character) <= value[1])
    tests = {
        ops.CATEGORY_DIGIT: character.isdigit(),
        ops.CATEGORY_NOT_DIGIT: not character.isdigit(),
        ops.CATEGORY_SPACE: character.isspace(),
        ops.CATEGORY_NOT_SPACE: not character.isspace(),
        ops.CATEGORY_WORD: character.isalnum() or character == "_",
        ops.CATEGORY_NOT_WORD: not (character.isalnum() or character == "_"),
    }
    return tests[value]
