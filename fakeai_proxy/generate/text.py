"""Plausible prose, sentence by sentence from the text packs of a language.

The packs are encoded once per vocabulary. Sentences meet at the boundaries where a tokenizer splits
anyway, so the tokens of an answer are the encoding of its text. What is written depends on the
generator that is passed in and on the subject; this file knows nothing of requests.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from random import Random

from fakeai_proxy.generate.language import ENGLISH, TOPICS, Language, language, lines
from fakeai_proxy.generate.tokens import Passage, Span, Tokens

#: Answers end after a length drawn from a log-normal with this median, in tokens.
LENGTH_P50_TOKENS = 120
LENGTH_SIGMA = 0.55
#: Sentences between two that mention the subject, and in a paragraph.
_SUBJECT_EVERY = 3
_PARAGRAPH_SENTENCES = 4
_SUBJECT_CHARS_MAX = 48
#: Where in a prompt its subject is looked for, in characters from the end.
_READ_CHARS = 600

#: Between paragraphs, in JSON, and the most tokens that it adds.
_BREAK = rb"\n\n"
_BREAK_TOKENS = 2

#: What follows a sentence, by the sign at its end.
_ENDS = {".": " ", "!": " ", "?": "\n\n", ":": "\n\n", '"': " ", ")": " ", "。": "", "\u201d": " "}

_WORD = re.compile(r"[^\W\d_]+|[.,;:!?\n]")
#: What comes before the subject.
_ABOUT = frozenset(
    (
        "about",
        "of",
        "on",
        "regarding",
        "über",
        "von",
        "sur",
        "de",
        "sobre",
        "di",
        "su",
        "over",
        "о",
        "об",
    )
)
#: Words that say how something is asked, not what about.
_COMMON = frozenset(
    """a able about above after again all also am an and answer any anything are as ask assistant at be
    because been before below best between both brief briefly but by can cannot capital compare concise could
    define describe detail detailed did difference do does doing done down each easy eight essay every
    everything example examples explain exactly few find first five following for four from full further
    generate get give go good great had has have having he hello help her here hey hi him his how i if
    imagine in information into is it its just know less let like list ll long make many may me mean might
    more most much must my need new nine no not nothing now number of off on once one only or other our
    out over own paragraph paragraphs please prompt question questions re read really respond reply s said
    same say see sentence sentences seven shall she short should show simple six so some someone something
    start step story such sum summarise summarize sure system take talk tell ten test than thank thanks
    that the their them then there these they thing things think this those three through time to today
    too translate try two under understand until up us use used user using ve very want was way we well
    were what when where whether which while who whom whose why will with word words would write written
    yes you your yourself zero""".split()  # noqa: SIM905 - a wall of quotation marks otherwise
)


def subject_of(prompt: str, spoken: str = ENGLISH) -> str:
    """What a prompt is about: its most telling run of words, "" where there is none. `spoken` is the
    code of its language.

    The first run after "about" wins, then the longest; the later of two equals.
    """
    return _subject(prompt[-_READ_CHARS:], spoken)


@lru_cache(maxsize=4096)
def _subject(prompt: str, spoken: str) -> str:
    if spoken != ENGLISH and not language(spoken).spaced:
        return _unspaced_subject(prompt, language(spoken))
    common = _COMMON if spoken == ENGLISH else _COMMON | language(spoken).stop_words
    best, best_weight = "", 0.0
    run: list[str] = []
    after_about = about = False
    for word in (*_WORD.findall(prompt), "."):
        lower = word.lower()
        # German writes its nouns with a capital, and only they are subjects.
        verb = spoken == "de" and word[0].islower()
        if (
            word.isalpha()
            and lower not in common
            and not verb
            and len(word) <= _SUBJECT_CHARS_MAX // 2
        ):
            if not run:
                after_about = about
            run.append(word)
            continue
        if run:
            subject = " ".join(run[-3:])
            weight = len(subject) + (100.0 if after_about else 0.0)
            if weight >= best_weight and len(subject) <= _SUBJECT_CHARS_MAX:
                best, best_weight = subject, weight
            run = []
        about = lower in _ABOUT or (about and lower in common)
    return best


def _unspaced_subject(prompt: str, spoken: Language) -> str:
    """The longest run of letters between words that say how something is asked."""
    apart = sorted(spoken.stop_words.union(spoken.names), key=len, reverse=True)
    plain = "|".join(map(re.escape, apart))
    runs = [run for part in re.split(plain, prompt) for run in re.findall(r"[^\W_]+", part)]
    return max((run for run in runs if len(run) <= _SUBJECT_CHARS_MAX), key=len, default="")


#: A sentence in a place: its spans and how many tokens they have.
_Placed = tuple[tuple[Span, ...], int]


class _Sentence:
    """A sentence in the four places it can have: after another or first, last of a paragraph or not.
    One with a gap for the subject has the part before it and the part after it."""

    __slots__ = ("first", "first_last", "inner", "inner_last")

    def __init__(self, tokens: Tokens, text: str) -> None:
        self.first = self._spans(tokens, text)
        self.inner = self._spans(tokens, " " + text)
        self.first_last = self._spans(tokens, text + "\n\n")
        self.inner_last = self._spans(tokens, " " + text + "\n\n")

    @staticmethod
    def _spans(tokens: Tokens, text: str) -> _Placed:
        before, gap, after = text.partition(" {}")
        spans = (tokens.span(before), tokens.span(after)) if gap else (tokens.span(text),)
        return spans, sum([len(span.ids) for span in spans])


class Prose:
    """The packs of a language in one vocabulary."""

    def __init__(self, tokens: Tokens, spoken: Language) -> None:
        self._tokens = tokens
        self._topics = [self._pack(topic) for topic in spoken.topics]
        self._openings = self._pack(spoken.openings)
        self._follow_ups = self._pack(spoken.follow_ups)

    def _pack(self, sentences: Sequence[str]) -> list[_Sentence]:
        return [_Sentence(self._tokens, line) for line in sentences]

    def write(
        self,
        rng: Random,
        subject: str,
        tokens_max: int,
        tokens_min: int = 0,
        preface: str = "",
        endless: bool = False,
        length: float = 1.0,
        topics: Sequence[int] = (),
    ) -> tuple[Passage, bool]:
        """An answer of a natural length times `length`, at least `tokens_min` long, and whether it
        came to its end within `tokens_max`; `endless` ones never do. It opens with the text of
        `preface` and keeps to `topics`, places in the packs, where there are some."""
        wanted = rng.lognormvariate(0.0, LENGTH_SIGMA) * LENGTH_P50_TOKENS * length
        # A break between paragraphs, which is taken off the end, is a token or two.
        wanted = (
            math.inf if endless else max(wanted, tokens_min + _BREAK_TOKENS if tokens_min else 0)
        )
        spans: list[Span] = []
        count = 0
        if preface:
            spans.append(self._tokens.span(preface))
            count = len(spans[0].ids)
        for sentence, tokens in self._sentences(rng, subject, bool(preface), topics):
            spans += sentence
            count += tokens
            if count >= wanted or count > tokens_max + _BREAK_TOKENS:
                break
        passage = _without_break(Passage(spans, count), self._tokens)
        if passage.tokens > tokens_max:
            return passage.first(tokens_max), False
        return passage, True

    def _sentences(
        self, rng: Random, subject: str, begun: bool, topics: Sequence[int]
    ) -> Iterator[_Placed]:
        """Sentences without end, in paragraphs that each keep to a topic."""
        random = rng.random
        named = self._tokens.span(" " + subject) if subject else None
        since = _SUBJECT_EVERY - 1
        packs = [self._topics[place] for place in topics] or self._topics
        opening = True
        while True:
            pack = packs[int(random() * len(packs))]
            size = len(pack)
            # A stride that shares no factor with the pack's length repeats nothing for a long time.
            place, stride = int(random() * size), 1 + int(random() * (size - 1))
            last = _PARAGRAPH_SENTENCES - 1 + int(random() * 3)
            for k in range(last + 1):
                since += 1
                about = named is not None and since >= _SUBJECT_EVERY
                if about:
                    since = int(random() * 2)
                    source = self._openings if opening else self._follow_ups
                    chosen = source[int(random() * len(source))]
                else:
                    place = (place + stride) % size
                    chosen = pack[place]
                opening = False
                if k == 0 and not begun:
                    placed = chosen.first
                else:
                    placed = chosen.inner_last if k == last else chosen.inner
                begun = k != last
                if about and named is not None:
                    (before, after), tokens = placed
                    yield (before, named, after), tokens + len(named.ids)
                else:
                    yield placed


def _without_break(passage: Passage, tokens: Tokens) -> Passage:
    """The same without the line break that announces another paragraph."""
    last = passage.spans[-1]
    if not last.whole.endswith(_BREAK):
        return passage
    shorter = tokens.span("".join(last.pieces).rstrip("\n"))
    return Passage(
        [*passage.spans[:-1], shorter], passage.tokens - len(last.ids) + len(shorter.ids)
    )


_proses: dict[tuple[str, str], Prose] = {}


def prose(tokens: Tokens, spoken: str = ENGLISH) -> Prose:
    """The packs of that language in that vocabulary, encoded on first use."""
    found = _proses.get((tokens.name, spoken))
    if found is None:
        made = Prose(tokens, language(spoken))
        found = _proses.setdefault((tokens.name, spoken), made)
    return found


def sentence(rng: Random, subject: str = "") -> str:
    """One sentence, about `subject` where there is one."""
    if subject:
        pack = lines("openings")
        return pack[rng.randrange(len(pack))].replace("{}", subject)
    pack = lines(TOPICS[rng.randrange(len(TOPICS))])
    return pack[rng.randrange(len(pack))]


def continuation(rng: Random, text: str, subject: str = "") -> str:
    """How a text goes on: what ends its last sentence, or the next one."""
    last = text[-_READ_CHARS:].rstrip()
    if not last or text[-1].isspace():
        return sentence(rng, subject)
    if last[-1] in _ENDS:
        return f"{_ENDS[last[-1]]}{sentence(rng, subject)}"
    pack = lines("continuations")
    return pack[rng.randrange(len(pack))]


def usual_words(tokens: Tokens) -> list[int]:
    """Different ids that are the beginnings of words, in a fixed order."""
    ids = {token for line in lines("follow_ups") for token in tokens.encode(" " + line)}
    return sorted(ids)
