"""From bytes to what is in them: how long, how loud when, and the text where it is known. Our own speech is
understood again by the comment in the file, or by its fingerprint; nothing is recognized."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from fakeai_proxy.generate.shelf import Shelf
from fakeai_proxy.generate.speech.encoding import (
    SAMPLE_RATE,
    MissingAudioExtra,
    has_codecs,
    text_in,
)
from fakeai_proxy.generate.speech.reading import read_wav

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Texts that were spoken, under the fingerprints of their sound.
_TEXTS_BYTES_MAX = 8 << 20
_TEXTS: Shelf[bytes, str] = Shelf(_TEXTS_BYTES_MAX)
#: Loudness is measured over so long.
LEVEL_S = 0.02
#: A few bytes of a compressed file can be hours of silence: nothing is decoded beyond.
DURATION_MAX_S = 4 * 3600.0
#: 4,096 characters at a quarter of the speed, with silence around: our own speech is never longer.
_OURS_MAX_S = 1300
#: Sound itself, and never a list of other files or addresses, which FFmpeg would open.
_OPTIONS = {
    "format_whitelist": "aac,ac3,aiff,amr,asf,au,avi,caf,flac,flv,matroska,webm,mov,mp4,m4a,mp3,mpeg,"
    "mpegts,ogg,wav,w64",
    "protocol_whitelist": "none",
}


class Undecodable(Exception):  # noqa: N818 - what it says
    """No file of sound, or one that nothing can be decoded from."""


@dataclass(frozen=True, slots=True)
class Sound:
    """`levels` is the loudness (root mean square, 1 is full scale) of each `LEVEL_S`; `text` what was
    said, where it is our own speech, else None."""

    duration_s: float
    sample_rate: int
    levels: NDArray[np.float32]
    text: str | None


def remember(text: str, samples: NDArray[np.int16], data: bytes) -> None:
    """That these samples, and this file, say `text`."""
    weight = len(text) + 100
    _TEXTS.keep(_fingerprint(samples), text, weight)
    _TEXTS.keep(_hash(data), text, weight)


def recall(samples: NDArray[np.int16]) -> str | None:
    """What was said, where these are samples of our own speech at `SAMPLE_RATE`; silence before and
    after them does not matter."""
    return _TEXTS.find(_fingerprint(samples))


def listen(data: bytes) -> Sound:
    """Raises Undecodable, and MissingAudioExtra for a format that takes it."""
    import numpy as np

    wav = read_wav(data)
    if wav is not None:
        known = _TEXTS.find(_hash(data)) or text_in(wav.comment)
        return _heard(iter([wav.samples]), wav.sample_rate, known)
    # pcm has no header, so it is a file of sound only where we know it.
    samples = np.frombuffer(data, "<i2", count=len(data) // 2)
    known = recall(samples)
    if known is not None and len(samples):
        return _heard(iter([samples]), SAMPLE_RATE, known)
    if not has_codecs():
        raise MissingAudioExtra
    return _decoded(data, _TEXTS.find(_hash(data)))


def _decoded(data: bytes, known: str | None) -> Sound:
    import av

    try:
        with av.open(io.BytesIO(data), metadata_errors="replace", options=_OPTIONS) as container:
            if not container.streams.audio:
                raise Undecodable
            stream = container.streams.audio[0]
            stream.codec_context.thread_count = 1
            tags = {**container.metadata, **stream.metadata}
            comment = next((tags[key] for key in tags if key.lower() == "comment"), None)
            rate = stream.codec_context.sample_rate
            return _heard(_mono(container, stream, rate), rate, known or text_in(comment))
    except (av.error.FFmpegError, ValueError) as error:
        raise Undecodable from error


def _mono(container: Any, stream: Any, rate: int) -> Iterator[NDArray[np.int16]]:
    from av.audio.resampler import AudioResampler

    resampler = AudioResampler("s16", "mono", rate)
    for frame in container.decode(stream):
        for ready in resampler.resample(frame):
            yield ready.to_ndarray()[0]


def _heard(parts: Iterator[NDArray[np.int16]], rate: int, known: str | None) -> Sound:
    import numpy as np

    step = max(round(rate * LEVEL_S), 1)
    count = 0
    levels: list[NDArray[np.float32]] = []
    rest = np.zeros(0, np.int16)
    kept: list[NDArray[np.int16]] = []
    for part in parts:
        count += len(part)
        if count > DURATION_MAX_S * rate:
            raise Undecodable
        if known is None and rate == SAMPLE_RATE and count <= _OURS_MAX_S * rate:
            kept.append(part)
        rest = np.concatenate([rest, part])
        whole = len(rest) - len(rest) % step
        levels.append(_loudness(rest[:whole].reshape(-1, step)))
        rest = rest[whole:]
    if not count:
        raise Undecodable
    if len(rest):
        levels.append(_loudness(rest[None, :]))
    text = known
    if kept and count <= _OURS_MAX_S * rate:
        text = recall(np.concatenate(kept))
    return Sound(count / rate, rate, np.concatenate(levels), text)


def _loudness(blocks: NDArray[np.int16]) -> NDArray[np.float32]:
    import numpy as np

    squares = np.square(blocks.astype(np.float32) / 32768)
    return np.asarray(np.sqrt(np.mean(squares, axis=1)), np.float32)


def _fingerprint(samples: NDArray[np.int16]) -> bytes:
    import numpy as np

    sounding = np.flatnonzero(samples)
    if not len(sounding):  # every silence is like every other of its length
        return _hash(b"silence %d" % len(samples))
    trimmed = samples[sounding[0] : sounding[-1] + 1]
    return _hash(trimmed.astype("<i2").tobytes(), b"samples")


def _hash(data: bytes, what: bytes = b"file") -> bytes:
    """A compressed file, read as if it were samples, is none of our sounds."""
    return blake2b(data, digest_size=16, person=what).digest()
