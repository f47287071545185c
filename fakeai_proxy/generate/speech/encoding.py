"""Samples to bytes in the six formats of the API, with the text in the file's comment. wav and pcm are
written here; FFmpeg (PyAV, of the extra `audio`) writes the others."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: OpenAI's speech is 24 kHz mono.
SAMPLE_RATE = 24_000
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
_BITS_PER_SECOND = 64_000
#: FFmpeg's time-stretcher does no more in one go.
_TEMPO_MIN = 0.5
#: How the comment of a file of ours begins; others have comments, too.
_OURS = "spoken by fakeai-proxy: "


class MissingAudioExtra(Exception):  # noqa: N818 - what it says
    """What was asked for takes the codecs of the extra `audio`."""


@dataclass(frozen=True, slots=True)
class _Recipe:
    """Container, codec and the container's options for FFmpeg."""

    container: str
    codec: str
    options: tuple[tuple[str, str], ...] = ()


_RECIPES = {
    "mp3": _Recipe("mp3", "libmp3lame"),
    "opus": _Recipe("ogg", "libopus"),
    # ADTS has no place for a comment but an ID3 tag in front.
    "aac": _Recipe("adts", "aac", (("write_id3v2", "1"),)),
    "flac": _Recipe("flac", "flac"),
}


def text_in(comment: str | None) -> str | None:
    """What was said, where that is the comment of a file of ours."""
    if comment is None or not comment.startswith(_OURS):
        return None
    return comment.removeprefix(_OURS)


@lru_cache(maxsize=1)
def has_codecs() -> bool:
    """Whether the extra `audio` is installed."""
    return find_spec("av") is not None


def encode(samples: NDArray[np.int16], format: str, text: str = "") -> bytes:  # noqa: A002 - the API's word
    """Mono samples at `SAMPLE_RATE`. The same every time. Raises MissingAudioExtra."""
    comment = _OURS + text if text else ""
    if format == "pcm":
        return samples.astype("<i2").tobytes()
    if format == "wav":
        return wav(samples.astype("<i2").tobytes(), comment)
    if not has_codecs():
        raise MissingAudioExtra(format)
    return _encoded(samples, _RECIPES[format], comment)


def wav(pcm: bytes, comment: str = "", sample_rate: int = SAMPLE_RATE) -> bytes:
    """A RIFF file of 16-bit mono samples, with its comment (INFO, ICMT)."""
    told = comment.encode("utf-8", "replace") + b"\0"
    told += b"\0" * (len(told) % 2)
    info = b"INFOICMT" + struct.pack("<I", len(told)) + told if comment else b""
    chunks = [
        (b"fmt ", struct.pack("<HHIIHH", 1, 1, sample_rate, 2 * sample_rate, 2, 16)),
        *([(b"LIST", info)] if info else []),
        (b"data", pcm),
    ]
    body = b"".join(name + struct.pack("<I", len(data)) + data for name, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def _encoded(samples: NDArray[np.int16], recipe: _Recipe, comment: str) -> bytes:
    import av
    from av.audio.resampler import AudioResampler

    out = io.BytesIO()
    # Without it Ogg has a serial number by chance.
    options = {"fflags": "+bitexact", **dict(recipe.options)}
    with av.open(out, "w", format=recipe.container, options=options) as container:
        if comment:
            container.metadata["comment"] = comment
        stream: Any = container.add_stream(recipe.codec, rate=SAMPLE_RATE)
        stream.layout = "mono"
        if recipe.codec != "flac":
            stream.bit_rate = _BITS_PER_SECOND
        context = stream.codec_context
        context.thread_count = 1
        context.open()
        resampler = AudioResampler(
            context.format, context.layout, context.sample_rate, context.frame_size or None
        )
        for frame in (*_frames(samples, SAMPLE_RATE), None):
            for ready in resampler.resample(frame):
                container.mux(stream.encode(ready))
        container.mux(stream.encode(None))
    return out.getvalue()


def _frames(samples: NDArray[np.int16], sample_rate: int) -> Iterator[Any]:
    """Ten seconds each."""
    import numpy as np
    from av import AudioFrame

    step = 10 * sample_rate
    for start in range(0, len(samples), step):
        part = np.ascontiguousarray(samples[start : start + step][None, :])
        frame = AudioFrame.from_ndarray(part, format="s16", layout="mono")
        frame.sample_rate = sample_rate
        frame.pts = start
        yield frame


def resampled(samples: NDArray[np.int16], sample_rate: int, speed: float) -> NDArray[np.int16]:
    """At `SAMPLE_RATE`, and so many times as fast at the same pitch: exactly as long as that says."""
    import numpy as np
    from av.filter import Graph

    length = max(round(len(samples) / sample_rate / speed * SAMPLE_RATE), 1)
    graph = Graph()
    steps: list[Any] = [
        graph.add_abuffer(format="s16", sample_rate=sample_rate, layout="mono", time_base=None)
    ]
    while speed < _TEMPO_MIN:
        steps.append(graph.add("atempo", str(_TEMPO_MIN)))
        speed /= _TEMPO_MIN
    if speed != 1.0:
        steps.append(graph.add("atempo", repr(float(speed))))
    steps.append(graph.add("aresample", str(SAMPLE_RATE)))
    steps.append(graph.add("aformat", "sample_fmts=s16:channel_layouts=mono"))
    steps.append(graph.add("abuffersink"))
    graph.link_nodes(*steps).configure()
    parts: list[NDArray[np.int16]] = []
    for frame in (*_frames(samples, sample_rate), None):
        steps[0].push(frame)
        parts += _pulled(steps[-1])
    made = np.concatenate([np.zeros(0, np.int16), *parts])[:length]
    return np.pad(made, (0, length - len(made)))


def _pulled(sink: Any) -> Iterator[NDArray[np.int16]]:
    import av

    while True:
        try:
            yield sink.pull().to_ndarray()[0]
        except (av.error.BlockingIOError, av.error.EOFError):
            return
