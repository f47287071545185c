"""A transcript in the forms of the API. Knows what was heard, and no request."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from random import Random
from typing import Any

from fakeai_proxy.dice import Dice
from fakeai_proxy.generate.speech import Stretch
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services.audio.hearing import Heard
from fakeai_proxy.services.audio.languages import LANGUAGES

#: Whisper hears in windows of 30 s, and counts them in hundredths of a second.
_WINDOW_S, _SEEK_PER_S = 30, 100


def srt(segments: Sequence[Stretch]) -> str:
    return "\n".join(
        f"{number}\n{_time(one.start_s, ',')} --> {_time(one.end_s, ',')}\n{_line(one.text)}\n"
        for number, one in enumerate(segments, 1)
    )


def vtt(segments: Sequence[Stretch]) -> str:
    cues = [
        f"{_time(one.start_s, '.')} --> {_time(one.end_s, '.')}\n{_line(one.text)}\n"
        for one in segments
    ]
    return "\n".join(["WEBVTT\n", *cues])


def _line(text: str) -> str:
    """On one line: an empty one ends a cue, and an arrow begins the next one's times."""
    return " ".join(text.split()).replace("-->", "->")


def _time(seconds: float, point: str) -> str:
    minutes, ms = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{ms // 1000:02}{point}{ms % 1000:03}"


def verbose(
    heard: Heard,
    task: str,
    granularities: Sequence[str],
    temperature: float,
    dice: Dice,
    tokens: Tokens,
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "task": task,
        "language": LANGUAGES[heard.language],
        "duration": heard.duration_s,
        "text": heard.text,
    }
    if "segment" in granularities:
        rng = dice.roll(heard.key, "segments")
        body["segments"] = [
            _segment(number, one, temperature, rng, tokens)
            for number, one in enumerate(segments_of(heard))
        ]
    if "word" in granularities:
        body["words"] = [
            {"word": one.text, "start": one.start_s, "end": one.end_s}
            for one in heard.timeline.words(heard.text)
        ]
    return body


def segments_of(heard: Heard) -> list[Stretch]:
    """Those in which something is said."""
    return [one for one in heard.timeline.segments(heard.text) if one.text.strip()]


def _segment(
    number: int, one: Stretch, temperature: float, rng: Random, tokens: Tokens
) -> dict[str, Any]:
    text = " " + one.text.strip()
    raw = text.encode()
    return {
        "id": number,
        "seek": int(one.start_s // _WINDOW_S * _WINDOW_S * _SEEK_PER_S),
        "start": one.start_s,
        "end": one.end_s,
        "text": text,
        "tokens": list(tokens.encode(text)),
        "temperature": temperature,
        "avg_logprob": round(-0.15 - 0.25 * rng.random(), 8),
        "compression_ratio": round(len(raw) / len(zlib.compress(raw)), 8),
        "no_speech_prob": round(0.002 + 0.03 * rng.random() ** 2, 8),
    }


def seconds_used(heard: Heard) -> dict[str, Any]:
    return {"type": "duration", "seconds": math.ceil(heard.duration_s)}


def tokens_used(audio: int, text: int, output: int) -> dict[str, Any]:
    return {
        "type": "tokens",
        "input_tokens": audio + text,
        "input_token_details": {"audio_tokens": audio, "text_tokens": text},
        "output_tokens": output,
        "total_tokens": audio + text + output,
    }
