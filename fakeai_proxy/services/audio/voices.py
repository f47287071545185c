"""Voices that a user makes, and the consents that they need."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial
from typing import Annotated, Literal

from pydantic import Field

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.audio.hearing import sound_of
from fakeai_proxy.services.form import FormShape, Upload
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.resources import Resource
from fakeai_proxy.services.wire import Shape
from fakeai_proxy.store import Missing, Require

#: platform.openai.com/docs/api-reference/audio: of a sample and of a consent.
_RECORDING_BYTES_MAX = 10 << 20
_Name = Annotated[str, Field(min_length=1, max_length=256)]


class ConsentRequest(FormShape):
    name: _Name
    language: _Name
    recording: Upload


class ConsentUpdate(Shape):
    name: _Name


class VoiceRequest(FormShape):
    name: _Name
    type: Literal["audio_sample", "prompt"] = "audio_sample"
    audio_sample: Upload | None = None
    consent: str | None = None
    prompt: str | None = None
    model: str | None = None
    script_hint: str | None = None


def _not_found(what: str, given: str) -> errors.ApiError:
    return errors.ApiError(404, f"No {what} found with id '{given[:100]}'.")


CONSENTS = Resource(
    kind="audio.voice_consent",
    object="audio.voice_consent",
    prefix="cons_",
    path="/audio/voice_consents",
    param="consent_id",
    missing=partial(_not_found, "voice consent"),
    deleted="audio.voice_consent",
    modify=ConsentUpdate,
    change=lambda call, row: row.merged(name=call.body.name),
)
VOICES = Resource(
    kind="audio.voice",
    object="audio.voice",
    prefix="voice_",
    path="/audio/voices",
    param="voice_id",
    missing=partial(_not_found, "voice"),
)


def custom_voice(call: Call, voice_id: str) -> str:
    """The id. Raises 400 where there is no such voice, or none that reads aloud, and Unhurried."""
    found = call.wait_for(lambda: call.store.get(VOICES.key(call, voice_id)))
    if found is None:
        raise errors.unknown_voice(voice_id)
    if found.document["type"] == "prompt":
        raise errors.bad_parameter(
            "voice", "unsupported_voice",
            "Voices created from text prompts are supported only in Live.",
        )  # fmt: skip
    return voice_id


def create_consent(call: Call) -> Awaitable[Reply]:
    asked: ConsentRequest = call.body
    _check_recording(asked.recording, "recording")

    async def kept() -> Reply:
        row = await CONSENTS.insert(
            call, lambda row: row.merged(name=asked.name, language=asked.language)
        )
        return CONSENTS.reply(call, row)

    return kept()


def create_voice(call: Call) -> Awaitable[Reply]:
    asked: VoiceRequest = call.body
    if asked.type == "prompt":
        if not asked.prompt:
            raise errors.missing_parameter("prompt")
        said = {"prompt": asked.prompt}
    else:
        if asked.audio_sample is None:
            raise errors.missing_parameter("audio_sample")
        if asked.consent is None:
            raise errors.missing_parameter("consent")
        _check_recording(asked.audio_sample, "audio_sample")
        said = {}
    consent = None if asked.type == "prompt" else asked.consent

    async def kept() -> Reply:
        required = () if consent is None else (Require(CONSENTS.key(call, consent)),)
        try:
            row = await VOICES.insert(
                call,
                lambda row: row.merged(name=asked.name, type=asked.type, **said),
                lambda row: required,
            )
        except Missing as error:
            raise errors.bad_parameter(
                "consent", "consent_not_found", f"No consent with id '{error.key.id[:100]}' found."
            ) from None
        return VOICES.reply(call, row)

    return kept()


def _check_recording(file: Upload, path: str) -> None:
    if file.size > _RECORDING_BYTES_MAX:
        raise errors.body_too_large(_RECORDING_BYTES_MAX, file.size)
    sound_of(file.read(), path)


OPERATIONS = (
    Operation("createVoiceConsent", "POST", CONSENTS.path, create_consent, form=ConsentRequest),
    *CONSENTS.operations(
        list="listVoiceConsents", retrieve="getVoiceConsent", modify="updateVoiceConsent",
        delete="deleteVoiceConsent",
    ),
    Operation("createVoice", "POST", VOICES.path, create_voice, form=VoiceRequest),
    *VOICES.operations(delete="deleteVoice"),
)  # fmt: skip
