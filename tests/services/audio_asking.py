"""What the tests of the audio room ask, and sounds that are not our own."""

from __future__ import annotations

from typing import Any

import numpy as np
from openai import AsyncOpenAI

from fakeai_proxy.generate.speech import encode
from tests.generate.speech.sounds import silence, tone

TEXT = "Good evening. The lighthouse is open until nine! Would you like 2 tickets? Then follow me."
TTS, WHISPER = "gpt-4o-mini-tts", "whisper-1"
TRANSCRIBE, DIARIZE = "gpt-4o-transcribe", "gpt-4o-transcribe-diarize"
#: Somebody, who is not us, speaks for 12 of 15 seconds.
STRANGER = encode(np.concatenate([silence(1), tone(7), silence(2), tone(5)]), "mp3")
NOBODY = encode(silence(4), "flac")


async def said(
    client: AsyncOpenAI, written_as: Any = "mp3", text: str = TEXT, **more: Any
) -> bytes:
    asked = {"model": TTS, "voice": "coral", **more}
    made = await client.audio.speech.create(input=text, response_format=written_as, **asked)
    return await made.aread()
