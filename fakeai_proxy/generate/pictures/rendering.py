"""Briefs -> bytes, kept for whoever asks for the same again."""

from __future__ import annotations

from functools import lru_cache

from fakeai_proxy.generate.pictures.changes import unfinished
from fakeai_proxy.generate.pictures.formats import Format, encoded
from fakeai_proxy.generate.pictures.painter import Brief, paint

#: Pictures that are kept, of about 100 kB each.
_KEPT = 64


@lru_cache(maxsize=_KEPT)
def rendered(brief: Brief, form: Format = "png", compression: int = 100) -> bytes:
    return encoded(paint(brief), form, compression)


@lru_cache(maxsize=_KEPT // 4)
def rendered_steps(
    brief: Brief, form: Format, compression: int, steps: int
) -> tuple[bytes, ...]:  # fmt: skip
    """What is to be seen before the picture is done, `steps` times."""
    picture = paint(brief)
    return tuple(encoded(unfinished(picture, k, steps), form, compression) for k in range(steps))
