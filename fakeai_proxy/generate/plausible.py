"""Values that look right: by the name of a field, by a string format, by what the prompt speaks of."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from random import Random

from fakeai_proxy.generate.text import sentence, subject_of

_FIRST = ("Ada", "Boris", "Clara", "David", "Elena", "Farid", "Grace", "Hugo", "Ines", "Jonas",
          "Keiko", "Liam", "Maya", "Noor", "Oscar", "Priya", "Rosa", "Samuel", "Tara", "Yusuf")  # fmt: skip
_LAST = ("Anders", "Brooks", "Castro", "Dubois", "Evans", "Fischer", "Garcia", "Hansen", "Ito",
         "Jensen", "Kowalski", "Lopez", "Meyer", "Novak", "Okafor", "Patel", "Rossi", "Silva")  # fmt: skip
_CITIES = ("Lisbon", "Kyoto", "Oslo", "Toronto", "Nairobi", "Vienna", "Lima", "Dublin", "Seoul")
_COUNTRIES = ("Portugal", "Japan", "Norway", "Canada", "Kenya", "Austria", "Peru", "Ireland")
_STREETS = ("Harbor Street", "Mill Lane", "Oak Avenue", "Station Road", "Garden Square")
_COMPANIES = ("Northwind Supply", "Blue Harbor Labs", "Cedar & Stone", "Lantern Works")
_WORDS = ("amber", "harbor", "meadow", "lantern", "cedar", "river", "summit", "copper", "willow",
          "garden", "compass", "orchard", "bridge", "signal", "canvas", "marble")  # fmt: skip
_PROPER = re.compile(r"(?<![.!?\n] )(?<!^)\b[A-Z][\w'-]+(?: [A-Z][\w'-]+)*")
_SEPARATORS = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True)
class Hints:
    """What a prompt says that a value may take up, and what the system's message says before it."""

    prompt: str = ""
    instructions: str = ""

    @cached_property
    def subject(self) -> str:
        return subject_of(self.prompt)

    @cached_property
    def names(self) -> list[str]:
        """Proper nouns in it."""
        return [name for name in _PROPER.findall(self.prompt[-2000:]) if name != "JSON"]

    @cached_property
    def lower(self) -> str:
        return self.prompt[-2000:].lower()


def words_of(name: str) -> list[str]:
    """`firstName`, `first_name` -> first, name."""
    return [word.lower() for word in _SEPARATORS.split(name) if word]


def _date(rng: Random) -> str:
    return f"{rng.randint(2019, 2026)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"


def _time(rng: Random) -> str:
    return f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}Z"


def _hex(rng: Random, digits: int) -> str:
    return f"{rng.getrandbits(4 * digits):0{digits}x}"


def _email(rng: Random) -> str:
    return f"{rng.choice(_FIRST)}.{rng.choice(_LAST)}@example.com".lower()


def _uuid(rng: Random) -> str:
    text = _hex(rng, 32)
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{rng.choice('89ab')}{text[17:20]}-{text[20:]}"


def _duration(rng: Random) -> str:
    return rng.choice(
        (f"P{rng.randint(1, 30)}D", f"PT{rng.randint(1, 59)}M", f"PT{rng.randint(1, 23)}H")
    )


def _words(rng: Random, count: int) -> str:
    return " ".join(rng.choice(_WORDS) for _ in range(count))


def _uri(rng: Random) -> str:
    return f"https://example.com/{rng.choice(_WORDS)}/{rng.randint(1, 999)}"


#: String formats of JSON Schema; strict mode allows the first nine.
FORMATS: dict[str, Callable[[Random], str]] = {
    "date-time": lambda rng: f"{_date(rng)}T{_time(rng)}",
    "time": _time,
    "date": _date,
    "duration": _duration,
    "email": _email,
    "hostname": lambda rng: f"{rng.choice(_WORDS)}.example.com",
    "ipv4": lambda rng: ".".join(str(rng.randint(1, 254)) for _ in range(4)),
    "ipv6": lambda rng: ":".join(_hex(rng, 4) for _ in range(8)),
    "uuid": _uuid,
    "uri": _uri,
    "uri-reference": _uri,
    "iri": _uri,
    "iri-reference": _uri,
    "idn-email": _email,
    "idn-hostname": lambda rng: f"{rng.choice(_WORDS)}.example.com",
    "json-pointer": lambda rng: f"/{rng.choice(_WORDS)}/{rng.randint(0, 9)}",
    "relative-json-pointer": lambda rng: f"{rng.randint(0, 3)}/{rng.choice(_WORDS)}",
    "regex": lambda rng: f"^{rng.choice(_WORDS)}$",
    "uri-template": lambda rng: f"https://example.com/{{{rng.choice(_WORDS)}}}",
}

#: By a word of the field's name; the first row that fits.
_STRINGS: tuple[tuple[frozenset[str], Callable[[Random, Hints], str]], ...] = tuple(
    (frozenset(words.split()), make)
    for words, make in (
        ("email mail", lambda rng, hints: _email(rng)),
        ("phone mobile fax tel", lambda rng, hints: f"+1-555-01{rng.randint(0, 99):02}"),
        ("url uri link website href", lambda rng, hints: _uri(rng)),
        ("city town location place destination origin",
         lambda rng, hints: rng.choice(hints.names or _CITIES)),
        ("country nation", lambda rng, hints: rng.choice(_COUNTRIES)),
        ("street address", lambda rng, hints: f"{rng.randint(1, 250)} {rng.choice(_STREETS)}"),
        ("zip postal postcode", lambda rng, hints: f"{rng.randint(10000, 99999)}"),
        ("company employer organization organisation vendor", lambda rng, hints: rng.choice(_COMPANIES)),
        ("date day birthday deadline", lambda rng, hints: _date(rng)),
        ("time timestamp datetime", lambda rng, hints: f"{_date(rng)}T{_time(rng)}"),
        ("price amount cost fee salary balance total",
         lambda rng, hints: f"{rng.randint(1, 499)}.{rng.randint(0, 99):02}"),
        ("currency", lambda rng, hints: rng.choice(("EUR", "USD", "JPY", "GBP"))),
        ("color colour", lambda rng, hints: rng.choice(("blue", "green", "amber", "grey"))),
        ("language locale", lambda rng, hints: rng.choice(("en", "de", "fr", "es", "ja"))),
        ("status state", lambda rng, hints: rng.choice(("active", "pending", "completed"))),
        ("unit units", lambda rng, hints: rng.choice(("celsius", "kilometers", "kilograms"))),
        ("first given", lambda rng, hints: rng.choice(_FIRST)),
        ("last surname family", lambda rng, hints: rng.choice(_LAST)),
        ("id sku key code ref reference uuid",
         lambda rng, hints: f"{rng.choice(_WORDS)}-{rng.randint(1000, 9999)}"),
        ("query q search keyword keywords topic subject term question theme",
         lambda rng, hints: hints.subject or _words(rng, 2)),
        ("title headline heading label event product item",
         lambda rng, hints: hints.subject.capitalize() or _words(rng, 2).capitalize()),
        ("name author person user participant participants customer owner member",
         lambda rng, hints: f"{rng.choice(_FIRST)} {rng.choice(_LAST)}"),
        ("description summary explanation reason reasoning content text answer message body note "
         "notes comment step thought thoughts output response details abstract bio review",
         lambda rng, hints: sentence(rng, hints.subject)),
        ("tag tags category word slug ingredient ingredients", lambda rng, hints: rng.choice(_WORDS)),
    )
)  # fmt: skip

#: By a word of the field's name: the usual range.
_RANGES: tuple[tuple[frozenset[str], tuple[float, float]], ...] = tuple(
    (frozenset(words.split()), between)
    for words, between in (
        ("age", (18.0, 80.0)),
        ("year", (1990.0, 2026.0)),
        ("month", (1.0, 12.0)),
        ("day", (1.0, 28.0)),
        ("hour", (0.0, 23.0)),
        ("minute second", (0.0, 59.0)),
        ("confidence probability ratio likelihood similarity", (0.0, 1.0)),
        ("rating stars", (1.0, 5.0)),
        ("score percent percentage progress humidity", (0.0, 100.0)),
        ("price amount total cost fee salary balance", (5.0, 500.0)),
        ("latitude lat", (-90.0, 90.0)),
        ("longitude lon lng", (-180.0, 180.0)),
        ("temperature", (-10.0, 35.0)),
        ("count quantity number num n limit size pages page", (1.0, 20.0)),
        ("id", (1000.0, 9999.0)),
    )
)


def text_for(rng: Random, name: str, hints: Hints) -> str:
    words = words_of(name)
    for keys, make in _STRINGS:
        if not keys.isdisjoint(words):
            return make(rng, hints)
    return _words(rng, rng.randint(1, 3))


def range_for(name: str) -> tuple[float, float]:
    words = words_of(name)
    for keys, between in _RANGES:
        if not keys.isdisjoint(words):
            return between
    return 1.0, 100.0
