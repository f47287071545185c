"""Voices that a user makes, and their consents, through the vendor's own SDK."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.services.audio_asking import STRANGER, TEXT, TTS, said
from tests.services.refusing import refused


async def _consent(client: AsyncOpenAI, name: str = "Ada") -> Any:
    return await client.audio.voice_consents.create(
        name=name, language="en-US", recording=("consent.mp3", STRANGER)
    )


async def test_a_consent_is_kept_renamed_and_deleted(client: AsyncOpenAI) -> None:
    consent = await _consent(client)
    assert consent.id.startswith("cons_")
    assert await client.audio.voice_consents.retrieve(consent.id) == consent
    renamed = await client.audio.voice_consents.update(consent.id, name="Grace")
    assert (renamed.id, renamed.name) == (consent.id, "Grace")
    gone = await client.audio.voice_consents.delete(consent.id)
    assert (gone.id, gone.deleted) == (consent.id, True)
    for request in (client.audio.voice_consents.retrieve, client.audio.voice_consents.delete):
        with pytest.raises(openai.NotFoundError):
            await request(consent.id)


async def test_consents_are_listed_page_by_page_the_newest_first(client: AsyncOpenAI) -> None:
    made = [await _consent(client, f"consent {number}") for number in range(5)]
    listed = [one.id async for one in client.audio.voice_consents.list(limit=2)]
    assert listed == [one.id for one in reversed(made)]
    page = await client.audio.voice_consents.list(limit=2, after=made[2].id)
    assert [one.name for one in page.data] == ["consent 1", "consent 0"]
    for limit in (0, 101):
        with pytest.raises(openai.BadRequestError):
            await client.audio.voice_consents.list(limit=limit)


async def test_a_voice_of_ones_own_speaks_until_it_is_deleted(client: AsyncOpenAI) -> None:
    consent = await _consent(client)
    voice = await client.audio.voices.create(
        name="Ada's voice", audio_sample=("sample.mp3", STRANGER), consent=consent.id
    )
    assert voice.type == "audio_sample"
    own = await said(client, "pcm", voice={"id": voice.id})
    assert own == await said(client, "pcm", voice={"id": voice.id})
    assert own != await said(client, "pcm", voice="alloy")
    assert (await client.audio.voices.delete(voice.id)).deleted
    status, param, code, _ = await refused(
        client.audio.speech.create(model=TTS, voice={"id": voice.id}, input=TEXT)
    )
    assert (status, param, code) == (400, "voice", "voice_not_found")
    with pytest.raises(openai.NotFoundError):
        await client.audio.voices.delete(voice.id)


async def test_a_voice_out_of_a_prompt_is_made_and_does_not_read_aloud(client: AsyncOpenAI) -> None:
    voice = await client.audio.voices.create(name="Storm", type="prompt", prompt="A gruff captain")
    assert (voice.type, voice.prompt) == ("prompt", "A gruff captain")
    _, param, _, message = await refused(
        client.audio.speech.create(model=TTS, voice={"id": voice.id}, input=TEXT)
    )
    assert (param, "Live" in message) == ("voice", True)


async def test_what_is_missing_or_no_sound_is_told_so(client: AsyncOpenAI) -> None:
    sample = ("sample.mp3", STRANGER)
    voices, consents = client.audio.voices, client.audio.voice_consents
    for request, param in (
        (voices.create(name="x", audio_sample=sample, consent="cons_nobody"), "consent"),
        (voices.create(name="x", type="prompt", prompt=""), "prompt"),
        (consents.create(name="x", language="en-US", recording=("a.txt", b"words")), "recording"),
        (consents.create(name="", language="en-US", recording=sample), "name"),
    ):
        status, told, _, _ = await refused(request)
        assert (status, told) == (400, param)
