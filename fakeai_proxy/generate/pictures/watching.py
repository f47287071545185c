"""A film that somebody sends: its first picture and how long it lasts."""

from __future__ import annotations

import io
from typing import NamedTuple

from PIL import Image

from fakeai_proxy.generate.pictures.formats import PIXELS_MAX, PictureError

#: How WebM begins.
_EBML = b"\x1a\x45\xdf\xa3"


class Seen(NamedTuple):
    first: Image.Image
    seconds: float


def seen(data: bytes) -> Seen:
    """MP4 and WebM where PyAV is installed; animated WebP and GIF. Raises PictureError."""
    # Playlists are films to FFmpeg, too, and name files of ours and URLs: the container is told, not guessed.
    container = "mp4" if data[4:8] == b"ftyp" else "matroska" if data[:4] == _EBML else ""
    return _film(data, container) if container else _animated(data)


def _animated(data: bytes) -> Seen:
    try:
        picture = Image.open(io.BytesIO(data), formats=("WEBP", "GIF"))
        if picture.width * picture.height > PIXELS_MAX:
            raise PictureError("it is too large")
        frames = getattr(picture, "n_frames", 1)
        picture.load()
        each_ms = int(picture.info.get("duration", 100))
        return Seen(picture.convert("RGB"), frames * each_ms / 1000)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise PictureError(str(error)) from None


def _film(data: bytes, form: str) -> Seen:
    try:
        import av
    except ImportError:
        raise PictureError("PyAV is not installed") from None
    try:
        with av.open(io.BytesIO(data), "r", format=form) as container:
            for frame in container.decode(video=0):
                if frame.width * frame.height > PIXELS_MAX:
                    raise PictureError("it is too large")
                first = Image.fromarray(frame.to_ndarray(format="rgb24"))
                return Seen(first, (container.duration or 0) / av.time_base)
    except (av.FFmpegError, OSError, ValueError, IndexError) as error:
        raise PictureError(str(error)) from None
    raise PictureError("it has no pictures")
