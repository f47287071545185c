"""The languages that answers are written in: which one a prompt is in, and the packs of each.

A pack is a file in `prose/languages/`; English is written from the files beside that folder.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Set
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources

ENGLISH = "en"

#: Scripts that one of our languages owns; the first that a text has letters of.
_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7a3]")),
    ("zh", re.compile(r"[\u4e00-\u9fff]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
)
_SPELLED = ("de", "fr", "es", "pt", "it", "nl")
CODES = (ENGLISH, *_SPELLED, "ru", "zh", "ja", "ko")

_WORD = re.compile(r"[^\W\d_]+")
#: "in French", "auf Deutsch", "en español".
_NAMED = re.compile(r"\b(?:in|into|to|auf|ins|en|em|na|на)\s+([^\W\d_]{4,12})", re.IGNORECASE)
_READ_CHARS = 600
#: A prompt is English until more words than this speak against it, or all that it has.
_WORDS_MIN = 2

#: English words that other languages do not have.
_ENGLISH_WORDS = frozenset(
    """a about and are be but can could did do does for from give has have he how if in is it its
    make me my not of on or please she should tell than that the their them there they this to was we what
    when where which who why will with would write you your explain describe list create""".split()  # noqa: SIM905 - a wall of quotation marks otherwise
)


@dataclass(frozen=True)
class Language:
    """`spaced` ones put spaces between words. Sentences have a place `{}` for the subject; the first of
    the topics fits any."""

    code: str
    names: tuple[str, ...]
    stop_words: frozenset[str]
    greeting: str
    list_intro: str
    code_intro: str
    code_end: str
    summary_intro: str
    yes_no: tuple[str, str]
    openings: tuple[str, ...]
    follow_ups: tuple[str, ...]
    topics: tuple[tuple[str, ...], ...]
    spaced: bool = True


@cache
def language(code: str) -> Language:
    """Raises KeyError for a code that is none of `CODES`."""
    if code not in CODES:
        raise KeyError(code)
    folder = resources.files("fakeai_proxy.generate") / "prose"
    if code == ENGLISH:
        return _english()
    pack = tomllib.loads((folder / "languages" / f"{code}.toml").read_text("utf-8"))
    yes, no = pack["yes_no"]
    return Language(
        code,
        tuple(pack["names"]),
        frozenset(pack["stop_words"].split()),
        pack["greeting"],
        pack["list_intro"],
        pack["code_intro"],
        pack["code_end"],
        pack["summary_intro"],
        (yes, no),
        tuple(pack["openings"]),
        tuple(pack["follow_ups"]),
        (tuple(pack["general"]),),
        pack.get("spaced", True),
    )


GENERAL = "general"
TOPICS = ("technology", "nature", "travel", "food", "science", "work")


def topics_in(words: Set[str]) -> tuple[int, ...]:
    """Places among an English pack's topics of those that lower-case words speak of; the general one
    where they speak of none."""
    found = tuple(
        place for place, known in enumerate(_topic_words(), 1) if not known.isdisjoint(words)
    )
    return found or (0,)


@cache
def _topic_words() -> list[frozenset[str]]:
    return [frozenset(line.split()[1:]) for line in lines("topics")]


def _english() -> Language:
    return Language(
        ENGLISH,
        ("english", "englisch", "anglais", "inglés", "inglês", "inglese", "английском"),
        _ENGLISH_WORDS,
        "Hello! How can I help you today?",
        "Here are {count} points about {subject}:",
        "Here is an example:",
        "The last line shows how to use it.",
        "In short:",
        ("Yes.", "No."),
        lines("openings"),
        lines("follow_ups"),
        tuple(lines(topic) for topic in (GENERAL, *TOPICS)),
    )


@cache
def lines(name: str) -> tuple[str, ...]:
    """Of an English pack."""
    folder = resources.files("fakeai_proxy.generate") / "prose"
    return tuple((folder / f"{name}.txt").read_text("utf-8").split("\n")[:-1])


def named_in(prompt: str) -> str:
    """The code of the language that an answer is asked for in, "" where none is named."""
    for name in reversed(_NAMED.findall(prompt[-_READ_CHARS:])):
        code = _names().get(name.lower())
        if code:
            return code
    return ""


def language_of(prompt: str) -> str:
    """The code of the language that the answer to a prompt is in."""
    return _language_of(prompt[-_READ_CHARS:])


@lru_cache(maxsize=2048)
def _language_of(prompt: str) -> str:
    named = named_in(prompt)
    if named:
        return named
    if not prompt.isascii():
        for code, letters in _SCRIPTS:
            if letters.search(prompt):
                return code
    words = {word.lower() for word in _WORD.findall(prompt)}
    english = len(words & _ENGLISH_WORDS)
    if english >= _WORDS_MIN + 1 and prompt.isascii():
        return ENGLISH
    counts = {code: len(words & language(code).stop_words) for code in _SPELLED}
    best = max(_SPELLED, key=lambda code: counts[code])
    enough = min(_WORDS_MIN, len(words))
    return best if counts[best] >= enough and counts[best] > english else ENGLISH


@cache
def phrases() -> dict[str, dict[str, str]]:
    """What common phrases are in other languages, by the English in lower case and the code."""
    folder = resources.files("fakeai_proxy.generate") / "prose"
    return tomllib.loads((folder / "phrases.toml").read_text("utf-8"))


@cache
def capitals() -> dict[str, tuple[str, str]]:
    """Countries with their capitals, by the country's name in lower case."""
    rows = (line.split(":") for line in lines("capitals"))
    return {country.lower(): (country, city) for country, city in rows}


def is_name(word: str) -> bool:
    """Whether a lower-case word is what a language is called."""
    return word in _names()


@cache
def _names() -> dict[str, str]:
    return {name: code for code in CODES for name in language(code).names}
