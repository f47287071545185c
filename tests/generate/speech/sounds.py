"""Sounds for the tests: made, measured, and decoded by others than the code under test."""

from __future__ import annotations

import io

import av
import miniaudio
import numpy as np
from numpy.typing import NDArray

from fakeai_proxy.generate.speech import SAMPLE_RATE
from fakeai_proxy.generate.speech.encoding import wav

#: What miniaudio, which is not FFmpeg, decodes.
SECOND_OPINION = ("mp3", "flac", "wav")


def tone(duration_s: float, hertz: float = 220.0, loudness: float = 0.3) -> NDArray[np.int16]:
    at = np.arange(round(duration_s * SAMPLE_RATE)) / SAMPLE_RATE
    return np.asarray(loudness * 32767 * np.sin(2 * np.pi * hertz * at), np.int16)


def silence(duration_s: float) -> NDArray[np.int16]:
    return np.zeros(round(duration_s * SAMPLE_RATE), np.int16)


def file_of(*parts: NDArray[np.int16]) -> bytes:
    return wav(np.concatenate(parts).tobytes())


def written(samples: NDArray[np.int16], container: str, codec: str, rate: int) -> bytes:
    """In stereo, as others write it."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, layout="stereo")
        frame = av.AudioFrame.from_ndarray(samples[None, :], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        resampler = av.AudioResampler(
            stream.format, "stereo", rate, stream.codec_context.frame_size or 1024
        )
        for given in (frame, None):
            for ready in resampler.resample(given):
                file.mux(stream.encode(ready))
        file.mux(stream.encode(None))
    return out.getvalue()


def decoded(data: bytes, format: str) -> tuple[float, int, int]:  # noqa: A002 - the API's word
    """Duration in seconds, rate and channels, by FFmpeg."""
    if format == "pcm":
        return len(data) / 2 / SAMPLE_RATE, SAMPLE_RATE, 1
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.audio[0]
        count = sum(frame.samples for frame in container.decode(stream))
        rate = stream.codec_context.sample_rate
        return count / rate, rate, stream.codec_context.channels


def decoded_again(data: bytes) -> float:
    """Duration in seconds, by miniaudio."""
    sound = miniaudio.decode(data, nchannels=1, sample_rate=SAMPLE_RATE)
    return sound.num_frames / SAMPLE_RATE


def pitch_hz(samples: NDArray[np.int16]) -> float:
    """The median pitch of the voiced parts, by autocorrelation."""
    step = SAMPLE_RATE // 20
    found = []
    for start in range(0, len(samples) - 2 * step, step):
        part = samples[start : start + 2 * step].astype(np.float64)
        part -= part.mean()
        power = float((part**2).sum())
        if power < 2 * step * 300**2:
            continue
        spectrum = np.abs(np.fft.rfft(part, 4 * step)) ** 2
        same = np.fft.irfft(spectrum)
        shortest, longest = SAMPLE_RATE // 400, SAMPLE_RATE // 60
        lag = shortest + int(np.argmax(same[shortest:longest]))
        if same[lag] > 0.5 * same[0]:
            found.append(SAMPLE_RATE / lag)
    return float(np.median(found))


def centroid_hz(samples: NDArray[np.int16]) -> float:
    """Where the middle of the spectrum is."""
    power = np.abs(np.fft.rfft(samples.astype(np.float64))) ** 2
    hertz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    return float((power * hertz).sum() / power.sum())
