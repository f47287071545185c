"""Keys for the browsers of one's users: each is good for a session of the settings that it was made with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from fakeai_proxy import errors
from fakeai_proxy.services.keyring import GUEST_PREFIX, Owner, guest_key, guest_row, is_guest
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.realtime import wire
from fakeai_proxy.services.realtime.protocol import BETA, GA, Protocol
from fakeai_proxy.services.realtime.settings import Settings, updated
from fakeai_proxy.store import Insert

#: Seconds that a secret lives: in the protocol, and in beta (OpenAI's reference).
_LIFE_S, _BETA_LIFE_S = 600, 60
_SUBPROTOCOL = "openai-insecure-api-key."


@dataclass(frozen=True)
class Secret:
    value: str
    expires_at: int
    settings: Settings
    protocol: Protocol


def _for_session(call: Call, asked: wire.SecretRequest) -> Settings:
    shape = asked.session
    settings = Settings(kind="realtime" if shape is None else shape.type)
    if shape is not None:
        settings = updated(settings, shape)
    return _with_model(call, settings, getattr(shape, "model", None))


def _for_beta_session(call: Call, asked: wire.BetaSecretRequest) -> Settings:
    return _with_model(call, updated(Settings(), asked), asked.model)


def _for_beta_transcription(call: Call, asked: wire.BetaTranscriptionRequest) -> Settings:
    return updated(Settings(kind="transcription"), asked)


#: By the shape of what was asked for: what its sessions are like, and in which words.
_MAKERS: dict[type[BaseModel], tuple[Callable[[Call, Any], Settings], Protocol]] = {
    wire.SecretRequest: (_for_session, GA),
    wire.BetaSecretRequest: (_for_beta_session, BETA),
    wire.BetaTranscriptionRequest: (_for_beta_transcription, BETA),
}


def secret_of(call: Call) -> Secret | None:
    """That with which the call was made, where it is one of ours. Raises 401 for one that is too old,
    and Unhurried."""
    key = call.header(b"authorization").partition(" ")[2].strip()
    for offered in call.header(b"sec-websocket-protocol").split(","):
        key = key or offered.strip().partition(_SUBPROTOCOL)[2]
    if not is_guest(key):
        return None
    row = call.wait_for(lambda: call.store.get(guest_key(key)))
    if row is None:
        return None
    document = row.document
    if call.wall() >= document["expires_at"]:
        raise errors.wrong_key(key)
    shape = next(shape for shape in _MAKERS if shape.__name__ == document["shape"])
    make, protocol = _MAKERS[shape]
    settings = make(call, shape.model_validate(document["asked"]))
    return Secret(key, document["expires_at"], settings, protocol)


async def made(call: Call) -> Secret:
    """Of what the call asks for. Raises ApiError."""
    asked: BaseModel = call.body
    make, protocol = _MAKERS[type(asked)]
    settings = make(call, asked)
    life_s = _seconds(asked) or (_BETA_LIFE_S if protocol.beta else _LIFE_S)
    value = GUEST_PREFIX + call.dice.text_id(call.lasting_key, "secret", length=32)
    secret = Secret(value, int(call.wall()) + life_s, settings, protocol)
    said = asked.model_dump(mode="json", by_alias=True, exclude_unset=True)
    owner = Owner(call.project, call.key_id, call.user_id, expires_at=float(secret.expires_at))
    row = guest_row(value, owner, call.wall())
    await call.store.commit(Insert(row.merged(shape=type(asked).__name__, asked=said)))
    return secret


def _seconds(asked: Any) -> int | None:
    """How long it shall live, where that is said."""
    given: Any = asked if isinstance(asked, wire.SecretRequest) else asked.client_secret
    if given is None:
        return None
    after: Any = given.expires_after or getattr(given, "expires_at", None)
    return None if after is None else int(after.seconds)


def shown(call: Call, secret: Secret) -> dict[str, Any]:
    """As the answer has it."""
    protocol = secret.protocol
    session = protocol.session(secret.settings, _session_id(call), 0)
    told = {"value": secret.value, "expires_at": secret.expires_at}
    if protocol.beta:
        return {**session, "client_secret": told}
    return {**told, "session": session}


#: The model of a secret that names none.
_MODEL = "gpt-realtime"


def _with_model(call: Call, settings: Settings, model: str | None) -> Settings:
    if settings.kind == "transcription":
        return settings
    card = call.catalogue.asked_for(None, model or _MODEL, "realtime")
    return replace(settings, model=card.id)


def _session_id(call: Call) -> str:
    return f"sess_{call.dice.text_id(call.id_key, 'session', length=21)}"
