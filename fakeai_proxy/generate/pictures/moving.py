"""Films: a slow camera over a painted scene, as MP4 where PyAV is installed, else as an animated WebP."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random
from typing import Literal

import numpy as np
from PIL import Image

from fakeai_proxy.generate.pictures.caption import draw_caption
from fakeai_proxy.generate.pictures.changes import fitted
from fakeai_proxy.generate.pictures.formats import encoded, opened
from fakeai_proxy.generate.pictures.painter import Brief, paint

#: Enough for a camera that moves slowly, and few enough to encode quickly.
FRAMES_PER_S = 8
#: How much larger than a frame the painted scene is.
_ROOM = 1.25
#: A spritesheet: so many frames in a row and a column, each so many pixels wide.
_SHEET_SIDE, _SHEET_PX = 5, 256
_KEPT = 8

Variant = Literal["video", "thumbnail", "spritesheet"]


@dataclass(frozen=True, slots=True)
class Film:
    """`reference` are the bytes of the picture that it begins with, if it was given one."""

    brief: Brief
    seconds: int
    reference: bytes = b""


@lru_cache(maxsize=_KEPT)
def filmed(film: Film, variant: Variant = "video") -> tuple[bytes, str]:
    """The bytes and their content type."""
    if variant == "thumbnail":
        return encoded(next(_frames(film, 1)), "webp", 85), "image/webp"
    if variant == "spritesheet":
        return encoded(_sheet(film), "jpeg", 85), "image/jpeg"
    count = film.seconds * FRAMES_PER_S
    try:
        import av  # noqa: F401 - whether there is one
    except ImportError:
        return _webp(_frames(film, count)), "image/webp"
    return _mp4(film.brief, _frames(film, count)), "video/mp4"


def _frames(film: Film, count: int) -> Iterator[Image.Image]:
    """What the camera sees, at even times."""
    brief = film.brief
    size = (brief.width, brief.height)
    wide = replace(
        brief, width=round(size[0] * _ROOM), height=round(size[1] * _ROOM), caption=False
    )
    if film.reference:
        still = fitted(opened(film.reference).convert("RGB"), (wide.width, wide.height))
    else:
        still = paint(wide)
    rng = Random(brief.seed)
    swing = rng.choice((-1, 1))
    for k in range(count):
        share = k / max(1, count - 1)
        near = 1 / _ROOM + (1 - 1 / _ROOM) * (1 - share) * 0.6
        width, height = wide.width * near, wide.height * near
        x = (wide.width - width) * (0.5 + swing * 0.5 * math.sin(math.pi * (share - 0.5)))
        y = (wide.height - height) / 2
        box = (x, y, x + width, y + height)
        frame = still.resize(size, Image.Resampling.BILINEAR, box)
        draw_caption(frame, brief.prompt)
        yield frame


def _sheet(film: Film) -> Image.Image:
    height = round(_SHEET_PX * film.brief.height / film.brief.width)
    sheet = Image.new("RGB", (_SHEET_SIDE * _SHEET_PX, _SHEET_SIDE * height))
    for k, frame in enumerate(_frames(film, _SHEET_SIDE**2)):
        row, column = divmod(k, _SHEET_SIDE)
        sheet.paste(frame.resize((_SHEET_PX, height)), (column * _SHEET_PX, row * height))
    return sheet


def _webp(frames: Iterator[Image.Image]) -> bytes:
    file = io.BytesIO()
    next(frames).save(
        file, "WEBP", save_all=True, append_images=frames, duration=1000 // FRAMES_PER_S, loop=0,
        quality=40, method=0,
    )  # fmt: skip
    return file.getvalue()


def _mp4(brief: Brief, frames: Iterator[Image.Image]) -> bytes:
    import av
    from av.video.stream import VideoStream

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        options = {"preset": "ultrafast", "crf": "30", "threads": "1"}
        stream = container.add_stream("libx264", rate=FRAMES_PER_S, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = brief.width, brief.height, "yuv420p"
        for frame in frames:
            pixels = np.asarray(frame, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()
