"""Which language a text is in, well enough to choose a voice: by its script, or by its commonest words."""

from __future__ import annotations

import re
from collections import Counter

#: The first script of which a tenth of the letters is.
_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7a3]")),
    ("zh", re.compile(r"[\u4e00-\u9fff]")),
    ("uk", re.compile(r"[іїєґ]", re.I)),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
    ("el", re.compile(r"[\u0370-\u03ff]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
)
_WORDS = {
    "en": "the of and to is that it for was with are this be have you not on as at",
    "es": "el los las que por una con para del es y está como pero más su muy son",
    "fr": "le les des une est et dans que pour qui pas sur vous avec je ce sont du au",
    "de": "der die das und ist nicht ein eine zu mit auf für ich sie den von dem im wir",
    "it": "il che di non una per sono con della è gli del come questo più anche nel",
    "pt": "o os um uma que não para com mais por do da em você são dos mas ao foi",
    "nl": "de het een van en dat niet zijn op met voor je ik maar ook naar wij",
    "pl": "nie się na że jest jak ale do co tak za od po czy są dla",
    "tr": "bir ve bu için ile çok daha ne ama gibi var mı değil olarak",
    "sv": "och att det som en på är av för med inte jag den till ett har",
}
_COMMON = {language: frozenset(words.split()) for language, words in _WORDS.items()}


def language_of(text: str) -> str:
    """Its ISO 639-1 code; English where nothing tells."""
    letters = sum(map(str.isalpha, text))
    for language, script in _SCRIPTS:
        if len(script.findall(text)) * 10 > letters > 0:
            return language
    words = Counter(re.findall(r"[^\W\d_]+", text.lower()))
    scores = {language: sum(words[word] for word in common) for language, common in _COMMON.items()}
    best = max(scores, key=lambda language: scores[language])
    return best if scores[best] > scores["en"] else "en"
