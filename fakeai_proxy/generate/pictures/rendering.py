"""Briefs -> bytes, kept for whoever asks for the same again."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image

from fakeai_proxy.generate.pictures.changes import unfinished
from fakeai_proxy.generate.pictures.formats import Format, encoded
from fakeai_proxy.generate.pictures.painter import Brief, paint

#: Pictures that are kept, of about 100 kB each.
_KEPT = 64


@lru_cache(maxsize=2)
def _painted(brief: Brief) -> Image.Image:
    """For whoever wants it whole and unfinished, one after the other. Nobody may draw on it."""
    return paint(brief)


@lru_cache(maxsize=_KEPT)
def rendered(brief: Brief, form: Format = "png", compression: int = 100) -> bytes:
    return encoded(_painted(brief), form, compression)


@lru_cache(maxsize=_KEPT // 4)
def rendered_steps(
    brief: Brief, form: Format, compression: int, steps: int
) -> tuple[bytes, ...]:  # fmt: skip
    """What is to be seen before the picture is done, `steps` times."""
    if not steps:
        return ()
    picture = _painted(brief)
    return tuple(encoded(unfinished(picture, k, steps), form, compression) for k in range(steps))
