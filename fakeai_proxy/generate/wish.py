"""What a prompt asks for: prose, code, JSON, a list, a sum ..., in which language and how long.

A reader of signs, no understanding: where it sees none, the answer is prose.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from fakeai_proxy.generate import code
from fakeai_proxy.generate.arithmetic import result_of
from fakeai_proxy.generate.language import (
    ENGLISH,
    capitals,
    is_name,
    language_of,
    lines,
    phrases,
    topics_in,
)
from fakeai_proxy.generate.text import subject_of

#: Of a prompt: the first and the last so many characters are looked at.
_READ_CHARS = 2000
#: Of a text to sum up or to answer from.
_SOURCE_CHARS_MAX = 60_000
COUNT_MAX = 50
WORDS_MAX = 2000
_SHORT_CHARS = 300

_NUMBERS = {
    word: number
    for number, words in enumerate(
        ("one a an single ein eine un une uno", "two zwei deux dos", "three drei trois tres",
         "four vier quatre cuatro", "five fünf cinq cinco", "six sechs", "seven sieben sept siete",
         "eight acht huit ocho", "nine neun neuf nueve", "ten zehn dix diez"), 1)
    for word in words.split()
}  # fmt: skip
_NUMBER = rf"(\d{{1,4}}|{'|'.join(_NUMBERS)})"


@dataclass(frozen=True, slots=True)
class Wish:
    """`kind` is a row of `compose.WRITERS`, or prose; `source` is what was looked at. `said` is what the
    answer is made of: the words to say, the text to sum up, the labels to choose from (`asked` is how they
    stand in the prompt), the language of the code. `length` is a factor."""

    kind: str
    language: str = ENGLISH
    subject: str = ""
    source: str = ""
    said: str = ""
    asked: str = ""
    count: int = 0
    length: float = 1.0
    #: Places of the topics that it is about.
    topics: tuple[int, ...] = (0,)


def wish_of(prompt: str) -> Wish:
    if len(prompt) <= 2 * _READ_CHARS:
        return _wish_of(prompt)
    wish = _wish_of(f"{prompt[:_READ_CHARS]}\n{prompt[-_READ_CHARS:]}")
    # Only the kinds that work on a text that came along need all of it.
    said = prompt[:_SOURCE_CHARS_MAX] if wish.kind in ("summary", "grounded") else wish.said
    return replace(wish, said=said)


@lru_cache(maxsize=2048)
def _wish_of(prompt: str) -> Wish:
    language = language_of(prompt)
    lower = prompt.lower()
    words = frozenset(_WORD.findall(lower))
    topics = topics_in(words) if language == ENGLISH else (0,)
    wish = Wish("prose", language, _subject(prompt, language), prompt, topics=topics)
    for look in _looks(lower, words):
        found = look(prompt, lower, wish)
        if found is not None:
            return found
    return wish


def _subject(prompt: str, language: str) -> str:
    """Without the names of languages, which say how to answer."""
    words = subject_of(prompt, language).split()
    if any(is_name(word.lower()) for word in words):
        words = subject_of(_WORD.sub(lambda word: "" if is_name(word[0].lower()) else word[0], prompt),
                           language).split()  # fmt: skip
    return " ".join(words)


_WORD = re.compile(r"[^\W\d_]+")


def _number(text: str) -> int:
    return int(text) if text.isdigit() else _NUMBERS.get(text, 1)


# --- one look for each kind -------------------------------------------------------------------------

_Look = Callable[[str, str, Wish], Wish | None]

_GREETING = re.compile(
    r"(?:hi|hello|hey|hello there|hi there|good (?:morning|evening|afternoon)|hallo|guten tag|"
    r"guten morgen|bonjour|salut|hola|buenos días|olá|oi|ciao|buongiorno|hoi|goedemorgen|привет|"
    r"здравствуйте|你好|您好|こんにちは|안녕하세요|안녕)[\s!.,?。！]*"
)
_GREETED_IN = {
    "ha": "de", "gu": "de", "bonj": "fr", "sal": "fr", "ho": "es", "buenos": "es", "ol": "pt",
    "oi": "pt", "ci": "it", "buongiorno": "it", "hoi": "nl", "goe": "nl",
}  # fmt: skip


def _greeting(prompt: str, lower: str, wish: Wish) -> Wish | None:
    if not _GREETING.fullmatch(lower.strip()):
        return None
    starts = [start for start in _GREETED_IN if lower.strip().startswith(start)]
    spoken = _GREETED_IN[max(starts, key=len)] if starts else wish.language
    return replace(wish, kind="greeting", language=spoken)


_SAY = re.compile(
    r"(?:please |can you |could you |just |only )*"
    r"(say|repeat|echo|reply with|respond with|answer with|output|print)\b"
    r"((?: exactly| only| just| one word| a single word| the words?| the phrase| the following| back"
    r"| after me)*)"
    r"\s*([:,]?)\s*(.+)",
    re.IGNORECASE | re.DOTALL,
)
_QUOTED = re.compile(
    r"[\"'“”‘’`](.+?)[\"'“”‘’`]([.!?]?)(?:\s+(?:and nothing else|only|exactly)[.!]?)?", re.DOTALL
)
_VAGUE = re.compile(
    r"(?:something|anything|a|an|one|two|the|why|how|what|whether|your|hi to|hello to|more|yes or no|"
    r"json|in)\b",
    re.IGNORECASE,
)
_NOTHING_ELSE = re.compile(r"(?:,? and)? (?:nothing else|nothing more)[.!]?$", re.IGNORECASE)


def _say(prompt: str, lower: str, wish: Wish) -> Wish | None:
    match = _SAY.fullmatch(prompt.strip()) if len(prompt) <= _SHORT_CHARS else None
    if match is None:
        return None
    verb, plainly, colon, words = match.groups()
    quoted = _QUOTED.fullmatch(words)
    if quoted:
        return replace(wish, kind="say", said=quoted[1])
    plain = plainly or colon or (verb.lower() == "say" and len(words.split()) <= 12)
    if not plain or "\n" in words or (not (plainly or colon) and _VAGUE.match(words)):
        return None
    return replace(wish, kind="say", said=_NOTHING_ELSE.sub("", words))


_ASKED_SUM = re.compile(
    r"(?:what(?:'s| is)|calculate|compute|evaluate|how much is|solve|was ist|wie viel ist|combien font|"
    r"cuánto es|quanto é|quanto fa)?\s*([-+(]*\d[\d\s.,+\-*/x×÷^()%]{1,60})\s*[=?.!]*"
)


def _sum(prompt: str, lower: str, wish: Wish) -> Wish | None:
    match = _ASKED_SUM.fullmatch(lower.strip()) if len(prompt) <= _SHORT_CHARS else None
    result = result_of(match[1]) if match else None
    if match is None or result is None:
        return None
    return replace(wish, kind="say", said=f"{match[1].strip(' =?.!')} = {result}")


_TRANSLATE = re.compile(
    r"(?:translate|how do (?:you|i) say)\b(?: the (?:word|phrase|sentence|text|following))?:?\s*"
    r"[\"'“‘]?(.+?)[\"'”’]?\s+(?:into|to|in)\s+\w+[.?!]*"
    r"|translate (?:in)?to \w+:?\s*[\"'“‘]?(.+?)[\"'”’]?[.!]?",
    re.DOTALL,
)


def _translation(prompt: str, lower: str, wish: Wish) -> Wish | None:
    match = _TRANSLATE.fullmatch(lower.strip())
    phrase = (match[1] or match[2] or "").strip(" .?!,") if match else ""
    said = phrases().get(phrase.replace(",", ""), {}).get(wish.language)
    return replace(wish, kind="say", said=said) if said else None


_CAPITAL = re.compile(r"\bcapital(?: city)? of (?:the )?([a-z][a-z .'-]{2,40}?)\s*[?.!]*$")


def _capital(prompt: str, lower: str, wish: Wish) -> Wish | None:
    match = _CAPITAL.search(lower.strip())
    found = capitals().get(match[1]) if match else None
    if found is None:
        return None
    country, city = found
    return replace(wish, kind="say", said=f"The capital of {country} is {city}.")


_YES_NO = re.compile(r"\byes[ /]*(?:or|/)[ /]*no\b|\bja oder nein\b|\boui ou non\b|\bsí o no\b")
_SORTED = re.compile(
    r"\b(?:classif|categori[sz]|label|sentiment|one of|either|choose|pick|which of)"
)
_LABEL = r"[\"'`*]{0,2}[\w-]{1,30}[\"'`*]{0,2}"
_LABELS = re.compile(
    r"(?:one of|either|as|between|from|labels?|categories|options?|classes)\W{1,4}"
    r"(?:the following\W+|these\W+)?"
    rf"({_LABEL}(?:\s*(?:,\s*(?:or\s|and\s)?|\||/|\sor\s)\s*{_LABEL}){{1,20}})",
    re.IGNORECASE,
)
_SPLIT = re.compile(r"\s*(?:,\s*(?:or\s+|and\s+)?|\||/|\s+or\s+)\s*")


def _choice(prompt: str, lower: str, wish: Wish) -> Wish | None:
    if _YES_NO.search(lower):
        return replace(wish, kind="yes_no")
    if not _SORTED.search(lower):
        return None
    match = _LABELS.search(prompt)
    if match is None:
        return None
    labels = [label.strip("\"'`* ") for label in _SPLIT.split(match[1])]
    return replace(wish, kind="choice", said="|".join(filter(None, labels)), asked=match[0])


_CODE_VERB = re.compile(
    r"\b(?:write|implement|create|show|give|generate|code|build|make|refactor|fix|debug|need|provide|"
    r"schreib\w*|programmier\w*|écri\w*|escrib\w*|escrev\w*|scrivi|schrijf|напиши\w*)\b|[写書作작]"
)
_CODE_THING = re.compile(
    r"\b(?:function|snippet|regex|regular expression|sql query|code|endpoint|algorithm|unit test|web ?page|"
    r"dockerfile|funktion|fonction|función|função|funzione|функци\w+|код|скрипт)\b|函数|代码|関数|コード|함수|코드"
)


#: Things of code where a programming language is named, of something else otherwise.
_MAYBE_CODE = re.compile(r"\b(?:script|program|class|method|query|component|programm|programa)\b")


def _code(prompt: str, lower: str, wish: Wish) -> Wish | None:
    if not _CODE_VERB.search(lower):
        return None
    named = code.language_in(lower)
    if not (_CODE_THING.search(lower) or (named and _MAYBE_CODE.search(lower))):
        return None
    return replace(wish, kind="code", said=named or code.PYTHON)


def _json(prompt: str, lower: str, wish: Wish) -> Wish | None:
    return replace(wish, kind="json") if "json" in lower else None


_SUMMARY = re.compile(r"\b(?:summar\w+|tl;dr|zusammenfass\w*|résum\w*|resum\w*|riassum\w*)")
_SOURCE_CHARS_MIN = 100


def _summary(prompt: str, lower: str, wish: Wish) -> Wish | None:
    match = _SUMMARY.search(lower)
    if match is None:
        return None
    # What is asked for is on one line, its source after a colon or on other lines.
    source = max(re.split(r"\n+|:\s", prompt), key=len, default="")
    joined = prompt[prompt.find(source):] if source else ""  # fmt: skip
    if len(joined) < _SOURCE_CHARS_MIN:
        return None
    return replace(wish, kind="summary", said=joined)


_CONTEXT = re.compile(
    r"\b(?:context|documents?|passages?|articles?|sources?|excerpts?|kontext|contexte|contexto)\b[^\n]{0,30}[:\n>]"
)
_QUESTION = re.compile(r"(?:question|query|frage|pregunta)\s*:\s*([^\n]+)", re.IGNORECASE)


def _grounded(prompt: str, lower: str, wish: Wish) -> Wish | None:
    if len(prompt) < _SOURCE_CHARS_MIN or not _CONTEXT.search(lower):
        return None
    asked = _QUESTION.findall(prompt) or re.findall(r"[^\n.?!]+\?", prompt)
    if not asked:
        return None
    return replace(wish, kind="grounded", subject=asked[-1].strip(), said=prompt)


_TABLE = re.compile(
    r"\b(?:as|in|make|create|give me|show|draw|produce|als|erstelle)\s+(?:\w+\s+){0,2}"
    r"(?:table|tabelle|tableau|tabla)\b"
)
_POEM = re.compile(r"\b(?:poem|haiku|song|verse|limerick|gedicht|poème|poema|poesia)\b")
_LIST = re.compile(
    rf"\b{_NUMBER}\s+(?:[\w-]+\s+){{0,3}}?(?:ideas?|steps|tips|ways|reasons|examples|things|points|"
    r"items|names|questions|facts|benefits|advantages|bullet points|bullets|suggestions|recommendations|"
    r"ideen|tipps|gründe|beispiele|idées|conseils|raisons|ideas|consejos|razones|ejemplos)\b"
)
_LISTED = re.compile(
    r"^\s*(?:please\s+)?list\b|\b(?:bullet(?:ed)? (?:points|list)|numbered list|a list of|make a list|"
    r"als liste|aufzählung|une liste|una lista|список)|列出|リスト|목록"
)


def _items(prompt: str, lower: str, wish: Wish) -> Wish | None:
    if _TABLE.search(lower):
        return replace(wish, kind="table", count=4)
    if _POEM.search(lower):
        return replace(wish, kind="poem")
    match = _LIST.search(lower)
    if match:
        count = _number(match[1])
        return replace(wish, kind="list", count=min(count, COUNT_MAX)) if count > 1 else None
    if _LISTED.search(lower):
        counted = re.search(rf"\b{_NUMBER}\b", lower)
        count = _number(counted[1]) if counted else 0
        return replace(wish, kind="list", count=min(count if count > 1 else 5, COUNT_MAX))
    return None


_WORDS = re.compile(
    rf"\b{_NUMBER}[- ](?:words?|wörter|wort|mots|palabras|palavras|parole|woorden)\b"
)
_SENTENCES = re.compile(
    rf"\b{_NUMBER}[- ](?:sentences?|sätze|satz|phrases?|frases?|frasi|zinnen|zin)\b"
)
_PARAGRAPHS = re.compile(rf"\b{_NUMBER}[- ](?:paragraphs?|absätze|paragraphes?|párrafos?)\b")
_SHORT = re.compile(
    r"\b(?:brief|briefly|short|shortly|concise|concisely|kurz|brièvement|brevemente|kort)\b"
)
_LONG = re.compile(
    r"\b(?:detailed|in detail|in depth|essay|comprehensive|long|thorough|ausführlich|détaillé|detallad\w+)\b"
)


def _length(prompt: str, lower: str, wish: Wish) -> Wish | None:
    for kind, pattern, most in (
        ("words", _WORDS, WORDS_MAX),
        ("sentences", _SENTENCES, COUNT_MAX),
        ("paragraphs", _PARAGRAPHS, COUNT_MAX),
    ):
        match = pattern.search(lower)
        if match:
            return replace(wish, kind=kind, count=max(1, min(_number(match[1]), most)))
    if _SHORT.search(lower):
        return replace(wish, length=0.4)
    return replace(wish, length=3.0) if _LONG.search(lower) else None


@cache
def _signs() -> list[frozenset[str]]:
    """Words that open a prompt which is answered in a word; words of which one is in every English prompt
    that asks for more than prose."""
    return [frozenset(line.split()) for line in lines("signs")]


_DIGIT = re.compile(r"\d")
_ANYWHERE: tuple[_Look, ...] = (_grounded, _summary, _code, _choice, _json, _items, _length)


def _looks(lower: str, words: frozenset[str]) -> list[_Look]:
    """Those that may find something: a prompt without any sign costs next to nothing."""
    looks: list[_Look] = []
    openers, signs = _signs()
    opening = _WORD.search(lower)
    if len(lower) <= _SHORT_CHARS:
        if opening is None or opening[0] in openers or not lower.isascii():
            looks += (_greeting, _say)
        if _DIGIT.search(lower):
            looks += (_sum, _items)
        if not words.isdisjoint(("translate", "say")):
            looks.append(_translation)
        if "capital" in words:
            looks.append(_capital)
    if not (words.isdisjoint(signs) and lower.isascii()):
        looks += _ANYWHERE
    return looks
