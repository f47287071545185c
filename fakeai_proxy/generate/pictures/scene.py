"""A prompt's words -> what is to be seen: the hour, the land, the things with their colours, and the
places of all. Pure; it draws nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from fakeai_proxy.generate.pictures.colours import NAMED, SKIES, Colour, harmony, mixed, vivid

_WORD = re.compile(r"[^\W\d_]+")
#: Characters and words of a prompt that are looked at, and things that are drawn.
_READ_CHARS, _THINGS_MAX, _COLOURS_MAX = 2000, 6, 5
#: How many words after a colour comes what wears it.
_REACH_WORDS = 2

_HOURS = {
    "sunset": "sunset dusk evening twilight atardecer",
    "night": "night midnight moon moonlit moonlight starry stars noche nacht nuit nocturnal fireworks",
    "dawn": "dawn sunrise morning",
    "storm": "storm stormy rain rainy thunder lightning gloomy fog foggy regen",
    "snow": "snow snowy winter ice icy frozen blizzard christmas schnee",
    "space": "space galaxy planet planets cosmos cosmic nebula universe astronaut rocket spaceship",
    "day": "day noon sunny sun sol sonne soleil",
}
#: Where things stand.
_LANDS = {
    "mountains": "mountain mountains alps peak peaks volcano cliff montaña berg montagne",
    "city": "city town skyline street skyscraper skyscrapers building buildings urban tokyo paris london "
    "york cyberpunk downtown ciudad stadt ville office",
    "forest": "forest woods jungle trees woodland wald forêt bosque",
    "desert": "desert dune dunes sahara sand cactus",
    "sea": "sea ocean beach lake river water harbor harbour coast island waves wave bay mar meer mer "
    "lighthouse otter whale shore seaside",
    "field": "field meadow grass garden farm hill hills countryside park valley",
}
_THINGS = {
    "sun": "sun sunny sunrise sunset sol sonne soleil", "moon": "moon moonlit moonlight crescent lune luna",
    "star": "star stars starry estrella", "cloud": "cloud clouds cloudy nube wolke nuage",
    "rainbow": "rainbow", "rain": "rain rainy storm stormy regen", "snow": "snow snowy snowing blizzard",
    "cat": "cat cats kitten kittens kitty gato katze chat",
    "dog": "dog dogs puppy puppies corgi perro hund chien fox wolf otter bear",
    "bird": "bird birds gull gulls seagull eagle crow flamingo pájaro vogel oiseau",
    "fish": "fish fishes shark whale dolphin goldfish pez",
    "boat": "boat boats ship ships sailboat sail yacht",
    "house": "house houses cottage cabin home barn hut casa haus maison",
    "lighthouse": "lighthouse tower castle", "tree": "tree trees oak pine palm baum arbre árbol",
    "flower": "flower flowers rose roses tulip tulips sunflower daisy bouquet blossom flor blume fleur",
    "rocket": "rocket rockets spaceship spacecraft shuttle astronaut", "planet": "planet planets saturn mars",
    "robot": "robot robots android cyborg roboter", "car": "car cars taxi truck automobile auto coche",
    "heart": "heart hearts love corazón herz", "cup": "cup mug coffee tea café kaffee",
    "apple": "apple apples fruit cherry peach tomato manzana apfel", "balloon": "balloon balloons",
    "person": "person man woman people girl boy child astronaut portrait human dancer",
    "book": "book books library reading libro buch livre",
}  # fmt: skip


def _by_word(table: dict[str, str]) -> dict[str, str]:
    return {word: name for name, words in table.items() for word in words.split()}


_HOUR_OF, _LAND_OF, _THING_OF = _by_word(_HOURS), _by_word(_LANDS), _by_word(_THINGS)

_FROM_THE_BACK = ("mountains", "city", "forest", "desert", "field", "sea")


@dataclass(frozen=True, slots=True)
class Thing:
    """`x` and `y` are shares of the width and height, `size` one of the shorter side."""

    name: str
    colour: Colour | None
    x: float
    y: float
    size: float


@dataclass(frozen=True, slots=True)
class Scene:
    """`horizon` is a share of the height; a scene without `lands` is shapes and colours alone."""

    top: Colour
    bottom: Colour
    ground: Colour
    horizon: float
    lands: tuple[tuple[str, Colour | None], ...]
    things: tuple[Thing, ...]
    #: Those that the prompt names and nothing wears, and of these what neither sky nor ground has.
    named: tuple[Colour, ...]
    strips: tuple[Colour, ...]
    #: Others that go together.
    others: tuple[Colour, ...]
    hour: str

    @property
    def colours(self) -> tuple[Colour, ...]:
        """For shapes, those that are named first."""
        worn = [colour for _, colour in self.lands if colour is not None]
        return (*worn, *self.named, *self.others)

    @property
    def is_abstract(self) -> bool:
        return not self.lands and not self.things


def words_of(prompt: str) -> list[str]:
    text = unicodedata.normalize("NFC", prompt[:_READ_CHARS].lower())
    return _WORD.findall(text)


def scene_of(prompt: str, rng: Random, vividness: float = 1.0) -> Scene:
    """`vividness` is a factor of the saturation of what the prompt does not name."""
    words = words_of(prompt)
    hour = next((_HOUR_OF[word] for word in words if word in _HOUR_OF), "day")
    lands = dict(_wanted(words, _LAND_OF))
    wanted = list(_wanted(words, _THING_OF))[:_THINGS_MAX]
    worn = {colour for _, colour in (*wanted, *lands.items()) if colour is not None}
    named = dict.fromkeys(NAMED[word] for word in words if word in NAMED)
    free = [colour for colour in named if colour not in worn][:_COLOURS_MAX]
    top, bottom, ground = (vivid(colour, vividness) for colour in SKIES[hour])
    if free:
        # What nothing wears colours the air and the land.
        top, bottom = mixed(free[0], top, 0.1), mixed(free[0], bottom, 0.55)
        ground = free[1] if len(free) > 1 else ground
    order = tuple((name, lands[name]) for name in _FROM_THE_BACK if name in lands)
    return Scene(
        top, bottom, ground,
        rng.uniform(0.56, 0.66), order, tuple(_placed(wanted, rng)),
        tuple(free), tuple(free[1 if order else 2 :]),
        tuple(vivid(colour, vividness) for colour in harmony(rng, 5)), hour,
    )  # fmt: skip


def _wanted(words: list[str], names: dict[str, str]) -> Iterator[tuple[str, Colour | None]]:
    """What is named, with the colour that stands before them, each once."""
    seen: set[str] = set()
    near: Colour | None = None
    since = 0
    for word in words:
        since += 1
        if word in NAMED:
            near, since = NAMED[word], 0
        elif word in names and names[word] not in seen:
            seen.add(names[word])
            yield names[word], near if since <= _REACH_WORDS else None
        if word in _LAND_OF or word in _THING_OF:
            near = None


#: Things that hang in the sky, or are everywhere; the others stand on the ground, side by side.
ABOVE = frozenset(("sun", "moon", "star", "cloud", "rainbow", "bird", "balloon", "planet"))
EVERYWHERE = frozenset(("rain", "snow"))


def _placed(wanted: list[tuple[str, Colour | None]], rng: Random) -> Iterator[Thing]:
    standing = [pair for pair in wanted if pair[0] not in ABOVE and pair[0] not in EVERYWHERE]
    hanging = [pair for pair in wanted if pair[0] in ABOVE]
    for name, colour in wanted:
        if name in EVERYWHERE:
            yield Thing(name, colour, 0.5, 0.5, 1.0)
    for k, (name, colour) in enumerate(hanging):
        x = (k + rng.uniform(0.35, 0.65)) / len(hanging)
        yield Thing(name, colour, x, rng.uniform(0.16, 0.3), 0.24)
    size = 0.46 if len(standing) == 1 else 0.8 / max(2, len(standing))
    for k, (name, colour) in enumerate(standing):
        x = (k + rng.uniform(0.4, 0.6)) / len(standing)
        yield Thing(name, colour, x, rng.uniform(0.6, 0.66), size)
