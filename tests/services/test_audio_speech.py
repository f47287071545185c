"""Text to speech through the vendor's own SDK."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.generate.tokens import Tokens
from tests.conftest import Ended, Serve
from tests.doubles.plain_install import plain_install
from tests.generate.speech.sounds import decoded
from tests.services.audio_asking import TEXT, TTS, said
from tests.services.refusing import refused
from tests.services.threaded import threaded_app

CONTENT_TYPES = {
    "mp3": "audio/mpeg", "opus": "audio/opus", "aac": "audio/aac", "flac": "audio/flac",
    "wav": "audio/wav", "pcm": "audio/pcm",
}  # fmt: skip


@pytest.mark.parametrize("written_as", CONTENT_TYPES)
async def test_every_format_says_what_it_is_and_lasts_alike(
    client: AsyncOpenAI, written_as: Any
) -> None:
    made = await client.audio.speech.create(
        model="tts-1", voice="alloy", input=TEXT, response_format=written_as
    )
    assert made.response.headers["content-type"] == CONTENT_TYPES[written_as]
    assert made.response.headers["transfer-encoding"] == "chunked"
    pcm = await said(client, "pcm", model="tts-1", voice="alloy")
    duration_s, _, _ = decoded(await made.aread(), written_as)
    assert duration_s == pytest.approx(len(pcm) / 48_000, abs=0.13)


async def test_mp3_is_what_nobody_asked_for_anything_else_gets(client: AsyncOpenAI) -> None:
    made = await client.audio.speech.create(model="tts-1-hd", voice="onyx", input="Hello")
    assert made.response.headers["content-type"] == "audio/mpeg"


async def _events(client: AsyncOpenAI, **more: Any) -> list[dict[str, Any]]:
    asked = {"model": TTS, "voice": "coral", "input": TEXT, "stream_format": "sse", **more}
    async with client.audio.speech.with_streaming_response.create(**asked) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        lines = [line async for line in reply.iter_lines() if line]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


@pytest.mark.parametrize("written_as", ["mp3", "pcm"])
async def test_the_events_join_to_the_whole_file_and_count_it(
    client: AsyncOpenAI, written_as: str
) -> None:
    *deltas, done = await _events(client, response_format=written_as, instructions="Be calm.")
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    assert len(deltas) > 10
    pieces = [base64.b64decode(event["audio"]) for event in deltas]
    assert b"".join(pieces) == await said(client, written_as, instructions="Be calm.")
    if written_as == "pcm":
        assert all(len(piece) % 2 == 0 for piece in pieces)
    usage = done["usage"]
    assert done["type"] == "speech.audio.done"
    assert usage["input_tokens"] == Tokens.load("o200k_base").count("Be calm." + TEXT)
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    # 20 tokens a second of sound.
    pcm = await said(client, "pcm", instructions="Be calm.")
    assert usage["output_tokens"] == pytest.approx(len(pcm) / 48_000 * 20, abs=1)


async def test_speed_voice_and_instructions_are_heard(client: AsyncOpenAI) -> None:
    usual = await said(client, "pcm")
    assert len(await said(client, "pcm", speed=2.0)) == pytest.approx(len(usual) / 2, abs=4)
    assert await said(client, "pcm", voice="cedar") != usual
    assert len(await said(client, "pcm", instructions="Speak slowly.")) > 1.1 * len(usual)
    first = await said(client, "pcm", model="tts-1")
    assert await said(client, "pcm", model="tts-1", instructions="Speak slowly.") == first


@pytest.mark.parametrize(
    ("asked", "param", "code", "words"),
    [
        ({"voice": "bob"}, "voice", "invalid_value", "'alloy', 'ash'"),
        ({"voice": "ballad", "model": "tts-1"}, "voice", "invalid_value", "'nova'"),
        ({"voice": {"id": "voice_nobody"}}, "voice", "voice_not_found", "voice_nobody"),
        ({"voice": "voice_nobody"}, "voice", "voice_not_found", "voice_nobody"),
        ({"voice": 3}, "voice", "invalid_type", "voice"),
        ({"input": ""}, "input", "empty_string", "input"),
        ({"input": "a" * 4097}, "input", "string_above_max_length", "4096"),
        ({"input": "語" * 4000}, "input", None, "2000"),
        ({"speed": 0.2}, "speed", "decimal_below_min_value", "0.25"),
        ({"speed": 4.1}, "speed", "decimal_above_max_value", "4"),
        ({"speed": "fast"}, "speed", "invalid_type", "speed"),
        ({"response_format": "midi"}, "response_format", "invalid_value", "'mp3'"),
        ({"stream_format": "sse", "model": "tts-1"}, "stream_format", "unsupported_parameter", ""),
        ({"stream_format": "x"}, "stream_format", "invalid_value", "'sse'"),
        ({"extra_body": {"loudness": 3}}, None, None, "loudness"),
    ],
)  # fmt: skip
async def test_what_cannot_be_spoken_is_told_so(
    client: AsyncOpenAI, asked: dict[str, Any], param: str, code: str, words: str
) -> None:
    body = {"model": TTS, "voice": "alloy", "input": "Hi", **asked}
    status, told_param, told_code, message = await refused(client.audio.speech.create(**body))
    assert status == 400
    assert told_param == param
    if code:
        assert told_code == code
    assert words in message


async def test_models_that_do_not_speak_are_refused(client: AsyncOpenAI) -> None:
    for model in ("gpt-4o", "whisper-1", "no-such-model"):
        with pytest.raises(openai.NotFoundError):
            await client.audio.speech.create(model=model, voice="alloy", input="Hi")
    with pytest.raises(openai.NotFoundError) as caught:
        await client.chat.completions.create(
            model="tts-1", messages=[{"role": "user", "content": "Hi"}]
        )
    assert "v1/audio/speech" in caught.value.message


def test_the_plain_client_streams_to_a_file(tmp_path: Any) -> None:
    place = tmp_path / "hello.mp3"
    with (
        threaded_app() as url,
        OpenAI(base_url=url + "/v1", api_key="k", max_retries=0) as client,
        client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="fable", input=TEXT
        ) as reply,
    ):
        reply.stream_to_file(place)
    assert decoded(place.read_bytes(), "mp3")[0] > 3


async def test_azure_speaks_by_the_name_of_a_deployment(serve: Serve) -> None:
    app = await serve(mode="synth")
    url = f"{app.url}/openai/deployments/tts-1/audio/speech?api-version=2025-03-01-preview"
    async with httpx.AsyncClient() as http:
        told = await http.post(
            url, json={"input": "Hello", "voice": "alloy"}, headers={"api-key": "k"}
        )
    assert told.status_code == 200
    assert told.headers["content-type"] == "audio/mpeg"


@pytest.mark.parametrize("profile", ["quick", "openai"])
async def test_behind_a_profile_sound_comes_piece_by_piece(serve: Serve, profile: str) -> None:
    clock, ended = VirtualClock(), Ended()
    app = await serve(clock, ended, mode="synth", profile=profile)
    instants: list[float] = []
    headers = {"authorization": "Bearer k"}
    body = {"model": TTS, "voice": "alloy", "input": TEXT * 4, "response_format": "pcm"}
    size = 0
    async with (
        httpx.AsyncClient(base_url=app.url, headers=headers, timeout=None) as http,
        http.stream("POST", "/v1/audio/speech", json=body) as reply,
    ):
        async for piece in reply.aiter_raw():
            size += len(piece)
            instants.append(clock.now())
    assert len(set(instants)) > 20
    playing_s = size / 48_000
    # It is made faster than it plays, and takes its time all the same.
    assert 0.02 * playing_s < instants[-1] - instants[0] < playing_s


@pytest.fixture
def bare() -> Iterator[None]:
    with plain_install():
        yield


@pytest.mark.usefixtures("bare")
async def test_without_the_extra_wav_is_spoken_and_mp3_says_what_to_install(
    client: AsyncOpenAI,
) -> None:
    text = "Spoken in a plain install."
    sound = await said(client, "wav", text)
    heard = await client.audio.transcriptions.create(model="whisper-1", file=("a.wav", sound))
    assert heard.text == text
    status, param, _, message = await refused(
        client.audio.speech.create(model=TTS, voice="alloy", input=text)
    )
    assert (status, param) == (400, "response_format")
    assert "pip install 'fakeai-proxy[audio]'" in message
    status, param, _, message = await refused(
        client.audio.transcriptions.create(model="whisper-1", file=("a.mp3", b"ID3" + b"\0" * 99))
    )
    assert (status, param) == (400, "file")
    assert "fakeai-proxy[audio]" in message
