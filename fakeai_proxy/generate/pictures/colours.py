"""The colours that words name, and the palettes that go with a mood."""

from __future__ import annotations

import colorsys
from random import Random

Colour = tuple[int, int, int]

#: CSS's values where CSS has the word, toned down where its own would glare.
NAMED: dict[str, Colour] = {
    "red": (214, 48, 49), "crimson": (185, 28, 60), "scarlet": (220, 50, 32), "maroon": (128, 28, 38),
    "orange": (240, 140, 40), "amber": (255, 190, 40), "gold": (230, 184, 60), "golden": (230, 184, 60),
    "yellow": (245, 214, 66), "lime": (170, 220, 60), "green": (60, 160, 80), "olive": (128, 128, 50),
    "emerald": (20, 150, 105), "mint": (150, 230, 190), "teal": (20, 140, 140), "turquoise": (64, 200, 195),
    "cyan": (50, 200, 225), "blue": (45, 100, 215), "navy": (25, 40, 95), "azure": (60, 150, 230),
    "indigo": (75, 60, 160), "violet": (140, 80, 200), "purple": (125, 60, 170), "lavender": (190, 170, 230),
    "magenta": (210, 50, 160), "pink": (245, 140, 180), "rose": (230, 100, 130), "coral": (250, 125, 95),
    "salmon": (245, 145, 120), "peach": (255, 200, 160), "beige": (230, 215, 185), "brown": (130, 85, 50),
    "tan": (205, 170, 125), "white": (248, 248, 245), "silver": (192, 196, 204), "gray": (130, 134, 142),
    "grey": (130, 134, 142), "black": (24, 24, 30), "ivory": (250, 245, 225), "bronze": (176, 120, 60),
    "rojo": (214, 48, 49), "azul": (45, 100, 215), "verde": (60, 160, 80), "rot": (214, 48, 49),
    "blau": (45, 100, 215), "grün": (60, 160, 80), "gelb": (245, 214, 66), "rouge": (214, 48, 49),
    "bleu": (45, 100, 215), "vert": (60, 160, 80), "jaune": (245, 214, 66), "rosa": (245, 140, 180),
}  # fmt: skip

#: By hour or weather: the sky from its top to the horizon, then the land.
SKIES: dict[str, tuple[Colour, Colour, Colour]] = {
    "day": ((70, 150, 225), (205, 232, 245), (96, 158, 92)),
    "dawn": ((96, 112, 190), (252, 206, 178), (88, 118, 104)),
    "sunset": ((76, 62, 130), (252, 158, 92), (74, 72, 92)),
    "night": ((12, 16, 44), (54, 62, 112), (24, 36, 52)),
    "storm": ((62, 70, 84), (150, 158, 168), (70, 86, 80)),
    "snow": ((150, 178, 206), (232, 240, 248), (226, 234, 242)),
    "space": ((6, 6, 22), (46, 26, 78), (58, 50, 72)),
}


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """`share` of the second, the rest of the first."""
    return (
        round(first[0] + (second[0] - first[0]) * share),
        round(first[1] + (second[1] - first[1]) * share),
        round(first[2] + (second[2] - first[2]) * share),
    )


def lighter(colour: Colour, share: float) -> Colour:
    return mixed(colour, (255, 255, 255), share)


def darker(colour: Colour, share: float) -> Colour:
    return mixed(colour, (8, 8, 20), share)


def vivid(colour: Colour, factor: float) -> Colour:
    """With its saturation times `factor`."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(part / 255 for part in colour))
    made = colorsys.hsv_to_rgb(hue, min(1.0, saturation * factor), value)
    return (round(made[0] * 255), round(made[1] * 255), round(made[2] * 255))


def harmony(rng: Random, count: int) -> list[Colour]:
    """Colours that go together: near each other on the wheel, with one from the other side."""
    hue = rng.random()
    places = [hue + 0.09 * k for k in range(count - 1)] + [hue + 0.5]
    return [
        _of_hue(place, rng.uniform(0.45, 0.75), rng.uniform(0.7, 0.95)) for place in places[:count]
    ]


def _of_hue(hue: float, saturation: float, value: float) -> Colour:
    made = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return (round(made[0] * 255), round(made[1] * 255), round(made[2] * 255))
