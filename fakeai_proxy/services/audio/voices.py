"""Voices that a user makes, and the consents that they need: kept in memory, under one record."""

from __future__ import annotations

import threading
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.audio.hearing import sound_of
from fakeai_proxy.services.form import FormShape, Upload
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.paging import cut, envelope
from fakeai_proxy.services.wire import Shape, json_reply

VOICES, CONSENTS = "audio.voice", "audio.voice_consent"
#: platform.openai.com/docs/api-reference/audio: of a sample and of a consent.
_RECORDING_BYTES_MAX = 10 << 20
_KEPT_MAX = 1000
_Name = Annotated[str, Field(min_length=1, max_length=256)]

#: Forms are answered in threads, and the record is read before it is written.
_lock = threading.Lock()


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


def made(call: Call, kind: str) -> dict[str, dict[str, Any]]:
    """Those of a kind by their ids, the oldest first."""
    return dict(call.records.find(kind, "all") or {})


def custom_voice(call: Call, voice_id: str) -> str:
    """The id. Raises 400 where there is no such voice, or none that reads aloud."""
    found = made(call, VOICES).get(voice_id)
    if found is None:
        raise errors.unknown_voice(voice_id)
    if found["type"] == "prompt":
        raise errors.bad_parameter(
            "voice", "unsupported_voice",
            "Voices created from text prompts are supported only in Live.",
        )  # fmt: skip
    return voice_id


def create_consent(call: Call) -> Reply:
    asked: ConsentRequest = call.body
    _check_recording(asked.recording, "recording")
    consent = {
        "object": CONSENTS,
        "id": f"cons_{call.dice.text_id(call.id_key, 'consent')}",
        "name": asked.name,
        "language": asked.language,
        "created_at": call.created,
    }
    return _kept(call, CONSENTS, consent)


def list_consents(call: Call) -> Reply:
    missing = partial(_not_found, "voice consent")
    page = cut(list(made(call, CONSENTS).values()), call.query, missing)
    return json_reply(envelope(page.items, has_more=page.has_more))


def retrieve_consent(call: Call) -> Reply:
    return json_reply(_found(call))


def update_consent(call: Call) -> Reply:
    asked: ConsentUpdate = call.body
    return _kept(call, CONSENTS, _found(call) | {"name": asked.name})


def delete_consent(call: Call) -> Reply:
    consent = _found(call)
    _dropped(call, CONSENTS, consent["id"])
    return json_reply({"object": CONSENTS, "id": consent["id"], "deleted": True})


def create_voice(call: Call) -> Reply:
    asked: VoiceRequest = call.body
    if asked.type == "prompt":
        if not asked.prompt:
            raise errors.missing_parameter("prompt")
    else:
        if asked.audio_sample is None:
            raise errors.missing_parameter("audio_sample")
        if asked.consent is None:
            raise errors.missing_parameter("consent")
        if asked.consent not in made(call, CONSENTS):
            raise errors.bad_parameter(
                "consent", "consent_not_found", f"No consent with id '{asked.consent[:100]}' found."
            )
        _check_recording(asked.audio_sample, "audio_sample")
    voice = {
        "object": VOICES,
        "id": f"voice_{call.dice.text_id(call.id_key, 'voice')}",
        "name": asked.name,
        "created_at": call.created,
        "type": asked.type,
        **({"prompt": asked.prompt} if asked.type == "prompt" else {}),
    }
    return _kept(call, VOICES, voice)


def delete_voice(call: Call) -> Reply:
    voice_id = call.params["voice_id"]
    if voice_id not in made(call, VOICES):
        raise _not_found("voice", voice_id)
    _dropped(call, VOICES, voice_id)
    return json_reply({"object": "audio.voice.deleted", "id": voice_id, "deleted": True})


def _check_recording(file: Upload, path: str) -> None:
    if file.size > _RECORDING_BYTES_MAX:
        raise errors.body_too_large(_RECORDING_BYTES_MAX, file.size)
    sound_of(file.read(), path)


def _found(call: Call) -> dict[str, Any]:
    consent_id = call.params["consent_id"]
    found = made(call, CONSENTS).get(consent_id)
    if found is None:
        raise _not_found("voice consent", consent_id)
    return found


def _not_found(what: str, given: str) -> errors.ApiError:
    return errors.ApiError(404, f"No {what} found with id '{given[:100]}'.")


def _kept(call: Call, kind: str, one: dict[str, Any]) -> Reply:
    with _lock:
        kept = made(call, kind) | {one["id"]: one}
        while len(kept) > _KEPT_MAX:
            del kept[next(iter(kept))]
        call.records.keep(kind, "all", kept, 1000 * len(kept))
    return json_reply(one)


def _dropped(call: Call, kind: str, its_id: str) -> None:
    with _lock:
        kept = made(call, kind)
        kept.pop(its_id, None)
        call.records.keep(kind, "all", kept, 1000 * len(kept))


_CONSENT = "/audio/voice_consents/{consent_id}"
OPERATIONS = (
    Operation(
        "createVoiceConsent", "POST", "/audio/voice_consents", create_consent, form=ConsentRequest
    ),
    Operation("listVoiceConsents", "GET", "/audio/voice_consents", list_consents),
    Operation("getVoiceConsent", "GET", _CONSENT, retrieve_consent),
    Operation("updateVoiceConsent", "POST", _CONSENT, update_consent, ConsentUpdate),
    Operation("deleteVoiceConsent", "DELETE", _CONSENT, delete_consent),
    Operation("createVoice", "POST", "/audio/voices", create_voice, form=VoiceRequest),
    Operation("deleteVoice", "DELETE", "/audio/voices/{voice_id}", delete_voice),
)
