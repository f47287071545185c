"""Answers as a prompt wishes them: in its language, its form and its length.

`WRITERS` is the table of forms. Prose is put together from sentences whose tokens are known; whatever has a
form of its own is written first and encoded then.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from fakeai_proxy.generate import code
from fakeai_proxy.generate.language import Language, language
from fakeai_proxy.generate.plausible import Hints, words_of
from fakeai_proxy.generate.shown_schema import shown_instance
from fakeai_proxy.generate.structured import Schema
from fakeai_proxy.generate.structured import written as as_json
from fakeai_proxy.generate.text import LENGTH_P50_TOKENS, LENGTH_SIGMA, prose
from fakeai_proxy.generate.tokens import Passage, Tokens
from fakeai_proxy.generate.wish import Wish, wish_of


def compose(
    tokens: Tokens,
    rng: Random,
    prompt: str,
    tokens_max: int,
    tokens_min: int = 0,
    preface: str = "",
    endless: bool = False,
    length: float = 1.0,
) -> tuple[Passage, bool]:
    """What is answered to `prompt` and whether it came to its end within `tokens_max`. The rest is as
    `Prose.write` has it: what has to be `endless`, at least so long or begins with a `preface` is prose."""
    wish = wish_of(prompt)
    writer = WRITERS.get(wish.kind)
    if writer is not None and not (endless or tokens_min or preface):
        passage = tokens.passage(writer(rng, wish, language(wish.language)))
        return passage.first(tokens_max), passage.tokens <= tokens_max
    spoken = language(wish.language)
    length *= wish.length
    if spoken.spaced:
        return prose(tokens, wish.language).write(
            rng, wish.subject, tokens_max, tokens_min, preface, endless, length, wish.topics
        )
    wanted = max(LENGTH_P50_TOKENS * length * rng.lognormvariate(0.0, LENGTH_SIGMA), tokens_min)
    if endless:
        wanted = math.inf
    pieces, count = [preface], tokens.count(preface)
    for sentence in _sentences(rng, wish, spoken):
        # Where sentences meet they may share a token, so that the whole has fewer.
        if count >= wanted or count > tokens_max * _MERGED + 8:
            break
        pieces.append(sentence)
        count += tokens.count(sentence)
    passage = tokens.passage("".join(pieces))
    return passage.first(tokens_max), passage.tokens <= tokens_max and not endless


_MERGED = 1.25


def _sentences(rng: Random, wish: Wish, spoken: Language) -> Iterator[str]:
    """Without end: one about the subject first, one in four again, the rest in a stride through the pack."""
    pack = [line for place in wish.topics for line in spoken.topics[place]]
    place, stride = rng.randrange(len(pack)), 1 + rng.randrange(len(pack) - 1)
    while math.gcd(len(pack), stride) > 1:
        stride -= 1
    count = 0
    while True:
        if wish.subject and count % 4 == 0:
            about = spoken.follow_ups if count else spoken.openings
            yield about[rng.randrange(len(about))].replace("{}", wish.subject)
        else:
            place = (place + stride) % len(pack)
            yield pack[place]
        count += 1


def _first(count: int, sentences: Iterator[str]) -> list[str]:
    return [next(sentences) for _ in range(count)]


def _joined(sentences: list[str], spoken: Language) -> str:
    return (" " if spoken.spaced else "").join(sentences)


# --- one writer for each kind -------------------------------------------------------------------------


def _said(rng: Random, wish: Wish, spoken: Language) -> str:
    said = wish.said
    return said[:1].upper() + said[1:] if " " in said and said[:1].islower() else said


def _greeting(rng: Random, wish: Wish, spoken: Language) -> str:
    return spoken.greeting


def _yes_no(rng: Random, wish: Wish, spoken: Language) -> str:
    return spoken.yes_no[rng.randrange(2)]


_GOOD = frozenset(
    """amazing awesome beautiful best brilliant delicious delighted enjoy enjoyed excellent fantastic fast
    friendly glad good great happy helpful impressed incredible like liked love loved nice outstanding perfect
    pleased recommend recommended satisfied superb thank thanks wonderful""".split()  # noqa: SIM905 - a wall of quotation marks otherwise
)
_BAD = frozenset(
    """angry annoying awful bad boring broke broken crash crashed crashes damaged disappointed disappointing
    disgusting dirty fail failed fails hate hated horrible late never poor refund rude sad slow terrible ugly
    unacceptable unhappy useless waste worst wrong""".split()  # noqa: SIM905 - a wall of quotation marks otherwise
)
_NEGATIONS = frozenset(("not", "no", "never", "isn't", "wasn't", "don't", "didn't", "hardly"))


def _choice(rng: Random, wish: Wish, spoken: Language) -> str:
    """The label that the text speaks for: by its mood where labels are moods."""
    labels = wish.said.split("|")
    moods = {label.lower(): label for label in labels}
    if "positive" in moods and "negative" in moods:
        mood = _mood(_apart(wish))
        name = "positive" if mood > 0 else "negative" if mood < 0 else "neutral"
        return moods.get(name) or labels[rng.randrange(len(labels))]
    text = _apart(wish).lower()
    spoken_of = [label for label in labels if label.lower() in text]
    return spoken_of[0] if len(spoken_of) == 1 else labels[rng.randrange(len(labels))]


def _apart(wish: Wish) -> str:
    """The prompt without its labels, which would speak for themselves."""
    return wish.source.replace(wish.asked, " ")


def _mood(text: str) -> int:
    mood, turned = 0, 1
    for word in re.findall(r"[\w']+", text.lower()):
        if word in _NEGATIONS:
            turned = -1
        elif word in _GOOD or word in _BAD:
            mood += turned if word in _GOOD else -turned
            turned = 1
    return mood


def _code(rng: Random, wish: Wish, spoken: Language) -> str:
    block = code.written(rng, wish.said, wish.source, wish.subject)
    return f"{spoken.code_intro}\n\n{block}\n\n{spoken.code_end}"


_KEYS = re.compile(r"[\"'](\w{1,40})[\"']\s*:")
_LISTED_KEYS = re.compile(
    r"(?:(?:keys?|fields?|properties|attributes)\s*(?:named|called|of|are|:)?"
    r"|json(?: object)? (?:with|containing)(?!\s+(?:the\s+)?(?:keys?|fields?|properties|attributes)))"
    r"\s*:?\s*(?:an?\s|the\s)?"
    r"((?:[`'\"]?\w{1,40}[`'\"]?(?:\s*,\s*(?:and\s+)?|\s+and\s+)){0,20}[`'\"]?\w{1,40}[`'\"]?)",
    re.IGNORECASE,
)
_KEYS_MAX = 20
_MANY = re.compile(r"\b(?:json array|array of|list of|jsonl)\b")
_INTEGERS = frozenset(
    ("age", "count", "day", "hour", "id", "minute", "month", "num", "number", "page", "pages", "quantity",
     "second", "size", "year")
)  # fmt: skip
_DECIMALS = frozenset(
    """confidence probability score percent percentage price amount total cost latitude lat longitude lng
    temperature rating salary ratio likelihood similarity balance""".split()  # noqa: SIM905 - a wall of quotation marks otherwise
)


def _json(rng: Random, wish: Wish, spoken: Language) -> str:
    shown = shown_instance(rng, Hints(wish.source))
    if shown is not None:
        return as_json(shown)
    keys = list(dict.fromkeys(_KEYS.findall(wish.source)))
    if not keys:
        listed = _LISTED_KEYS.search(wish.source)
        keys = re.findall(r"\w+", listed[1].replace(" and ", " ")) if listed else []
    keys = keys[:_KEYS_MAX] or ["title", "summary", "details"]
    one: dict[str, Any] = {
        "type": "object", "properties": {key: _type_of(key) for key in keys}, "required": keys,
    }  # fmt: skip
    schema = one
    if _MANY.search(wish.source.lower()) and len(keys) > 1:
        schema = {"type": "array", "items": one, "minItems": 3, "maxItems": 3}
    return as_json(Schema.load(schema).instance(rng, Hints(wish.source), False))


def _type_of(key: str) -> dict[str, Any]:
    words = words_of(key)
    if not words:
        return {"type": "string"}
    if words[0] in ("is", "has", "can", "should") or words[-1] in (
        "valid",
        "active",
        "success",
        "enabled",
    ):
        return {"type": "boolean"}
    if _INTEGERS & set(words):
        return {"type": "integer"}
    if _DECIMALS & set(words):
        return {"type": "number"}
    last = words[-1]
    if last.endswith("s") and not last.endswith(("ss", "us", "is", "address")) and len(last) > 3:
        return {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 4}
    return {"type": "string"}


def _list(rng: Random, wish: Wish, spoken: Language) -> str:
    items = _first(wish.count, _sentences(rng, wish, spoken))
    numbered = "\n".join(f"{place}. {item}" for place, item in enumerate(items, 1))
    if not wish.subject:
        return numbered
    return f"{spoken.list_intro.format(count=wish.count, subject=wish.subject)}\n\n{numbered}"


def _table(rng: Random, wish: Wish, spoken: Language) -> str:
    rows = ["| # | Point | Weight |", "|---|---|---|"]
    for place, item in enumerate(_first(wish.count, _sentences(rng, wish, spoken)), 1):
        rows.append(f"| {place} | {item} | {rng.randint(1, 5)}/5 |")
    return "\n".join(rows)


_VERSE_CHARS, _VERSES = 56, 8


def _poem(rng: Random, wish: Wish, spoken: Language) -> str:
    topics = [spoken.topics[place] for place in (0, *wish.topics)]
    pack = sorted({line for topic in topics for line in topic if len(line) <= _VERSE_CHARS})
    lines = rng.sample(pack, min(_VERSES, len(pack)))
    about = min(spoken.openings, key=len).replace("{}", wish.subject)
    if wish.subject:
        lines[0] = about
    if "haiku" in wish.source.lower():
        return "\n".join(lines[:3])
    return "\n".join(lines[:4]) + "\n\n" + "\n".join(lines[4:])


def _words(rng: Random, wish: Wish, spoken: Language) -> str:
    if wish.count == 1:
        return (wish.subject.split() or ["Yes"])[-1].capitalize() + "."
    if not spoken.spaced:
        text = "".join(_first(1 + wish.count // 20, _sentences(rng, wish, spoken)))
        return text[: wish.count].rstrip("，、。") + "。"
    words: list[str] = []
    sentences = _sentences(rng, wish, spoken)
    while len(words) < wish.count:
        words += next(sentences).split()
    return " ".join(words[: wish.count]).rstrip(".,;:") + "."


def so_many_words(rng: Random, code: str, count: int, subject: str = "") -> str:
    """Sentences in the language of that code, in all `count` words; characters, where those have no
    spaces."""
    return _words(rng, Wish("words", code, subject, count=max(count, 2)), language(code))


def _some_sentences(rng: Random, wish: Wish, spoken: Language) -> str:
    return _joined(_first(wish.count or 2, _sentences(rng, wish, spoken)), spoken)


def _paragraphs(rng: Random, wish: Wish, spoken: Language) -> str:
    sentences = _sentences(rng, wish, spoken)
    return "\n\n".join(
        _joined(_first(3 + rng.randrange(3), sentences), spoken) for _ in range(wish.count)
    )


_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
#: Sentences of a source that are held against each other.
_COMPARED_MAX = 200


def _parts(source: str) -> list[str]:
    found = (part.strip(" -*\t>\"'") for part in _SENTENCE_END.split(source))
    return [part for part in found if len(part) > 20 and not part.endswith((":", "?"))]


def _content(text: str) -> set[str]:
    return {word[:6] for word in re.findall(r"[^\W_]{4,}", text.lower())}


def _summary(rng: Random, wish: Wish, spoken: Language) -> str:
    """The sentences of the source that share most with all the others, in their order."""
    parts = _parts(wish.said)[:_COMPARED_MAX]
    if not parts:
        return _some_sentences(rng, wish, spoken)
    words = [_content(part) for part in parts]
    weights = [sum(len(own & other) for other in words) / (8 + len(own)) for own in words]
    most = 1 if len(parts) < 4 else 2 if len(parts) < 10 else 3
    best = sorted(sorted(range(len(parts)), key=lambda k: -weights[k])[:most])
    return f"{spoken.summary_intro} {' '.join(parts[k] for k in best)}"


def _grounded(rng: Random, wish: Wish, spoken: Language) -> str:
    """The sentences of the source that speak of what is asked, the best first."""
    return " ".join(passages_about(wish.subject, wish.said)) or _some_sentences(rng, wish, spoken)


def passages_about(question: str, source: str, most: int = 2) -> list[str]:
    """Sentences of `source` that share telling words with `question`, the best first."""
    asked = _content(question)
    parts = [part for part in _parts(source) if question not in part and part not in question]
    words = [_content(part) & asked for part in parts]
    common = Counter(word for own in words for word in own)
    counted = _COUNTED.search(question) is not None
    weighed = []
    for part, own in zip(parts, words, strict=True):
        # A word that few sentences have tells more.
        weight = sum(1.0 / common[word] ** 2 for word in own)
        if own and counted and re.search(r"\d", part):
            weight += 0.5
        if weight:
            weighed.append((weight, part))
    weighed.sort(key=lambda pair: -pair[0])
    return [part for weight, part in weighed[:most] if weight * 2 > weighed[0][0]]


#: Questions that a number answers.
_COUNTED = re.compile(
    r"\b(?:how (?:many|much|tall|old|long|far|high|big|large|deep)|when|what year)\b", re.IGNORECASE
)


WRITERS: dict[str, Callable[[Random, Wish, Language], str]] = {
    "choice": _choice,
    "code": _code,
    "greeting": _greeting,
    "grounded": _grounded,
    "json": _json,
    "list": _list,
    "paragraphs": _paragraphs,
    "poem": _poem,
    "say": _said,
    "sentences": _some_sentences,
    "summary": _summary,
    "table": _table,
    "words": _words,
    "yes_no": _yes_no,
}
