"""Keys for the browsers of one's users: each is good for a session of the settings that it was made with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.services.keyring import Guest, Owner
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.realtime import wire
from fakeai_proxy.services.realtime.protocol import BETA, GA, Protocol
from fakeai_proxy.services.realtime.settings import Settings, updated

_KIND = "realtime_secret"
_WEIGHT_BYTES, _GUEST_BYTES = 4096, 512
#: Seconds that a secret lives: in the protocol, and in beta (OpenAI's reference).
_LIFE_S, _BETA_LIFE_S = 600, 60
PREFIX = Guest.PREFIX
_SUBPROTOCOL = "openai-insecure-api-key."


@dataclass(frozen=True)
class Secret:
    value: str
    expires_at: int
    settings: Settings
    protocol: Protocol


def secret_of(call: Call) -> Secret | None:
    """That with which the call was made, where it is one of ours. Raises 401 for one that is too old."""
    key = call.header(b"authorization").partition(" ")[2].strip()
    for offered in call.header(b"sec-websocket-protocol").split(","):
        key = key or offered.strip().partition(_SUBPROTOCOL)[2]
    if not key.startswith(PREFIX):
        return None
    found: Secret | None = call.recalled(_KIND, key)
    if found is not None and call.wall() >= found.expires_at:
        raise errors.wrong_key(key)
    return found


def make(call: Call, settings: Settings, protocol: Protocol, seconds: int | None) -> Secret:
    life_s = seconds or (_BETA_LIFE_S if protocol.beta else _LIFE_S)
    value = PREFIX + call.dice.text_id(call.id_key, "secret", length=32)
    secret = Secret(value, int(call.wall()) + life_s, settings, protocol)
    owner = Owner(call.project, call.key_id, call.user_id, expires_at=secret.expires_at)
    call.records.keep(Guest.KIND, value, Guest(owner), _GUEST_BYTES)
    call.records.keep(_KIND, value, secret, _WEIGHT_BYTES + len(settings.instructions))
    return secret


def for_session(call: Call) -> dict[str, Any]:
    asked: wire.SecretRequest = call.body
    shape = asked.session
    settings = Settings(kind="realtime" if shape is None else shape.type)
    if shape is not None:
        settings = updated(settings, shape)
    settings = _with_model(call, settings, getattr(shape, "model", None))
    after = asked.expires_after
    secret = make(call, settings, GA, None if after is None else after.seconds)
    session = GA.session(settings, _session_id(call), 0)
    return {"value": secret.value, "expires_at": secret.expires_at, "session": session}


def for_beta_session(call: Call) -> dict[str, Any]:
    asked: wire.BetaSecretRequest = call.body
    settings = _with_model(call, updated(Settings(), asked), asked.model)
    return _beta(call, settings, asked)


def for_beta_transcription(call: Call) -> dict[str, Any]:
    return _beta(call, updated(Settings(kind="transcription"), call.body), call.body)


def _beta(call: Call, settings: Settings, asked: wire.BetaInput) -> dict[str, Any]:
    given = asked.client_secret
    after = None if given is None else given.expires_after or given.expires_at
    secret = make(call, settings, BETA, None if after is None else after.seconds)
    session = BETA.session(settings, _session_id(call), 0)
    shown = {"value": secret.value, "expires_at": secret.expires_at}
    return {**session, "client_secret": shown}


#: The model of a secret that names none.
_MODEL = "gpt-realtime"


def _with_model(call: Call, settings: Settings, model: str | None) -> Settings:
    if settings.kind == "transcription":
        return settings
    card = call.catalogue.asked_for(None, model or _MODEL, "realtime")
    return replace(settings, model=card.id)


def _session_id(call: Call) -> str:
    return f"sess_{call.dice.text_id(call.id_key, 'session', length=21)}"
