"""Phrases found in texts, word by word: what the tables of `profiles/moderation/` are compiled to.
It knows words, beginnings, alternatives, classes and gaps; it knows nothing of what a phrase means.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fakeai_proxy.errors import ConfigError

#: Words that `...` may stand for.
GAP_WORDS_MAX = 4
#: Words; scripts without spaces count every character as one.
_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
)
_SENTENCE_END = re.compile(r"[.!?;\n。！？]+")
_APOSTROPHES = re.compile("['\u2019\u02bc`\u200b-\u200d\u2060\ufeff\u00ad]")
#: Digits and signs that stand for letters within a word: k1ll, $ex.
_DISGUISED = re.compile(r"(?<=[a-z])[0134578@$!]+(?=[a-z])|[@$](?=[a-z]{2})")
_PLAIN = str.maketrans("0134578@$!", "oieastbasi")
_STRETCHED = re.compile(r"([^\W\d])\1{2,}")


def plain(text: str) -> str:
    """Without case, accents, apostrophes, invisible signs, disguises and stretched letters."""
    text = unicodedata.normalize("NFKD", text).casefold()
    text = "".join([sign for sign in text if not unicodedata.combining(sign)])
    text = unicodedata.normalize("NFKC", text)
    text = _APOSTROPHES.sub("", text)
    text = _DISGUISED.sub(lambda found: found[0].translate(_PLAIN), text)
    return _STRETCHED.sub(_shrunk, text)


def _shrunk(found: re.Match[str]) -> str:
    """One letter within a word; three where they are the word, which no one of them says."""
    text, start, end = found.string, found.start(), found.end()
    within = text[max(start - 1, 0) : start].isalnum() or text[end : end + 1].isalnum()
    return found[1] if within else found[1] * 3


def sentences(text: str) -> Iterator[list[str]]:
    """The words of each sentence."""
    for sentence in _SENTENCE_END.split(plain(text)):
        words = _WORD.findall(sentence)
        if words:
            yield words


@dataclass(frozen=True, slots=True)
class _Slot:
    """One place in a phrase."""

    words: frozenset[str]
    beginnings: tuple[str, ...]
    optional: bool
    gap: bool

    def takes(self, word: str) -> bool:
        return word in self.words or (bool(self.beginnings) and word.startswith(self.beginnings))


@dataclass(frozen=True, slots=True)
class Found:
    """`row` is what the phrase was added for; the words from `start` to before `end` are its."""

    row: int
    start: int
    end: int


@dataclass
class Phrases:
    """An index by first word. A phrase of a row is as good as another of the same row."""

    _whole: dict[str, list[tuple[int, tuple[_Slot, ...]]]] = field(default_factory=dict)
    _begun: dict[str, list[tuple[int, tuple[_Slot, ...]]]] = field(default_factory=dict)
    _lengths: set[int] = field(default_factory=set)

    def add(self, row: int, phrase: str, classes: Mapping[str, str]) -> None:
        """Raises ConfigError."""
        slots = tuple([_slot(part, classes, phrase) for part in phrase.split()])
        if not slots or slots[0].gap or slots[0].optional or slots[-1].gap:
            raise ConfigError(f"moderation: '{phrase}' neither begins nor ends with a gap")
        for word in slots[0].words:
            self._whole.setdefault(word, []).append((row, slots))
        for beginning in slots[0].beginnings:
            self._begun.setdefault(beginning, []).append((row, slots))
            self._lengths.add(len(beginning))

    def find(self, words: Sequence[str]) -> Iterator[Found]:
        for start, word in enumerate(words):
            for row, slots in self._beginning_with(word):
                end = _end(slots, 1, words, start + 1)
                if end is not None:
                    yield Found(row, start, end)

    def _beginning_with(self, word: str) -> list[tuple[int, tuple[_Slot, ...]]]:
        found = self._whole.get(word, [])
        for length in self._lengths:
            if length <= len(word):
                begun = self._begun.get(word[:length])
                if begun:
                    found = found + begun
        return found


def _end(slots: tuple[_Slot, ...], at: int, words: Sequence[str], place: int) -> int | None:
    """Where the phrase ends whose slots before `at` are filled; None where it does not go on."""
    if at == len(slots):
        return place
    slot = slots[at]
    if slot.gap:
        for skipped in range(min(GAP_WORDS_MAX, len(words) - place) + 1):
            end = _end(slots, at + 1, words, place + skipped)
            if end is not None:
                return end
        return None
    if place < len(words) and slot.takes(words[place]):
        end = _end(slots, at + 1, words, place + 1)
        if end is not None:
            return end
    return _end(slots, at + 1, words, place) if slot.optional else None


def _slot(part: str, classes: Mapping[str, str], phrase: str) -> _Slot:
    if part == "...":
        return _Slot(frozenset(), (), optional=False, gap=True)
    optional = part.endswith("?")
    words: set[str] = set()
    beginnings: list[str] = []
    for choice in part.removesuffix("?").split("|"):
        named = choice[1:-1] if choice.startswith("{") else ""
        if named and named not in classes:
            raise ConfigError(f"moderation: '{phrase}': there is no class '{named}'")
        for word in classes[named].split() if named else [choice]:
            bare = plain(word.removesuffix("*"))
            if word.endswith("*"):
                beginnings.append(bare)
            else:
                words.add(bare)
    return _Slot(frozenset(words), tuple(beginnings), optional, gap=False)
