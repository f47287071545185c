"""Chat that is spoken."""

from __future__ import annotations

import io
import wave
from base64 import b64decode
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from fakeai_proxy.app import App
from tests.conftest import Serve
from tests.doubles.plain_install import plain_install
from tests.services.asking import ASK, count, refused

ALOUD: dict[str, Any] = {
    "model": "gpt-4o-audio-preview",
    "modalities": ["text", "audio"],
    "audio": {"voice": "alloy", "format": "wav"},
    "max_completion_tokens": 200,
}


@pytest.fixture
async def app(serve: Serve) -> App:
    return await serve(mode="synth", model=("gpt-4o-audio-preview",))


async def test_an_answer_is_heard_and_can_be_referred_to(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(messages=ASK, **ALOUD)
    message = answer.choices[0].message
    assert message.content is None
    assert message.audio is not None
    assert message.audio.id.startswith("audio_")
    assert message.audio.expires_at == answer.created + 3600
    with wave.open(io.BytesIO(b64decode(message.audio.data))) as sound:
        seconds = sound.getnframes() / sound.getframerate()
    usage = answer.usage
    assert usage is not None
    assert usage.completion_tokens_details is not None
    details = usage.completion_tokens_details
    assert details.audio_tokens == pytest.approx(seconds * 20, abs=1)
    assert details.text_tokens == count(message.audio.transcript)
    assert usage.completion_tokens == details.text_tokens + (details.audio_tokens or 0) <= 200
    again: list[Any] = [
        *ASK,
        {"role": "assistant", "audio": {"id": message.audio.id}},
        {"role": "user", "content": "Go on."},
    ]
    more = await client.chat.completions.create(messages=again, **ALOUD)
    assert more.usage is not None
    assert more.usage.prompt_tokens > usage.prompt_tokens + details.text_tokens
    again[1]["audio"]["id"] = "audio_unknown"
    status, param, _, _ = await refused(client, messages=again, **ALOUD)
    assert (status, param) == (400, "messages[1].audio.id")


async def test_a_stream_brings_the_same_sound_piece_by_piece(client: AsyncOpenAI) -> None:
    body = {**ALOUD, "audio": {"voice": "coral", "format": "pcm16"}}
    whole = await client.chat.completions.create(messages=ASK, **body)
    options = {"include_usage": True}
    stream = await client.chat.completions.create(
        messages=ASK, stream=True, stream_options=options, **body
    )
    transcript, sound, ends, finish = "", b"", [], []
    usage = None
    async for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            finish.append(choice.finish_reason)
            audio = choice.delta.audio
            if audio is not None:
                transcript += audio.transcript or ""
                sound += b64decode(audio.data or "")
                ends.append(audio.expires_at)
    assert whole.choices[0].message.audio is not None
    assert transcript == whole.choices[0].message.audio.transcript
    assert sound == b64decode(whole.choices[0].message.audio.data)
    assert ends[-1] is not None
    assert ends[:-1] == [None] * (len(ends) - 1)
    assert finish[-1] == whole.choices[0].finish_reason
    assert usage is not None
    assert usage.completion_tokens == (whole.usage and whole.usage.completion_tokens)


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        ({"model": "gpt-4o"}, "modalities", "does not support the requested modalities"),
        ({"audio": None}, "audio", "Missing required parameter: 'audio'"),
        ({"modalities": ["text"]}, "audio", "only allowed when 'modalities' includes 'audio'"),
        ({"modalities": None, "audio": None}, "model", "contain audio"),
        ({"stream": True}, "audio.format", "Supported values are: 'pcm16'"),
        ({"audio": {"voice": "x", "format": "wav"}}, "audio.voice", "Invalid value: 'x'"),
    ],
)
async def test_what_does_not_go_together_is_refused(
    client: AsyncOpenAI, body: dict[str, Any], param: str, said: str
) -> None:
    status, found, _, message = await refused(client, **{**ALOUD, **body})
    assert (status, found) == (400, param)
    assert said in message


async def test_without_the_extra_an_answer_in_mp3_says_what_to_install(client: AsyncOpenAI) -> None:
    with plain_install():
        with pytest.raises(openai.APIStatusError, match=r"fakeai-proxy\[audio\]") as told:
            await client.chat.completions.create(
                messages=ASK, **{**ALOUD, "audio": {"voice": "alloy", "format": "mp3"}}
            )
        assert told.value.status_code == 501
        heard = await client.chat.completions.create(messages=ASK, **ALOUD)
        assert heard.choices[0].message.audio is not None
