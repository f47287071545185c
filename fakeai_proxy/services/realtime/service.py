"""The operations of the room."""

from __future__ import annotations

from dataclasses import replace

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.realtime import secret, wire
from fakeai_proxy.services.realtime.protocol import BETA, GA, Protocol
from fakeai_proxy.services.realtime.session import Opening, Session
from fakeai_proxy.services.realtime.settings import Settings
from fakeai_proxy.services.wire import json_reply

#: What counts tokens in a session that only listens.
_TRANSCRIBER = "gpt-realtime"


def open_session(call: Call) -> Reply:
    """Raises 400, 401 and 404, before the upgrade."""
    if "call_id" in call.query:
        raise errors.calls_unserved()
    key = secret.secret_of(call)
    settings = Settings() if key is None else key.settings
    if call.query.get("intent") == "transcription":
        settings = replace(settings, kind="transcription")
    asked = call.query.get("model") or (settings.model or None)
    if settings.kind == "transcription" and not asked:
        asked = _TRANSCRIBER
    deployment = call.params.get("deployment") or call.query.get("deployment")
    card = call.catalogue.asked_for(deployment, asked, "realtime")
    if settings.kind == "realtime":
        settings = replace(settings, model=card.id)
    protocol = _protocol(call) if key is None else key.protocol
    opening = Opening(protocol, settings, card, call.dice, call.id_key, call.wall(), call.canned)
    return Reply(101, (), (), dialogue=Session(opening))


def _protocol(call: Call) -> Protocol:
    says_beta = (
        "realtime=v1" in call.header(b"openai-beta")
        or "openai-beta.realtime-v1" in call.header(b"sec-websocket-protocol")
        # Azure has the current protocol below /openai/v1 only, where versions have no date.
        or call.query.get("api-version", "").endswith("-preview")
    )
    return BETA if says_beta else GA


async def create_secret(call: Call) -> Reply:
    return json_reply(secret.shown(call, await secret.made(call)))


def no_calls(call: Call) -> Reply:
    raise errors.calls_unserved()


OPERATIONS = (
    Operation("realtime", "GET", "/realtime", open_session, socket=True),
    Operation(
        "createRealtimeClientSecret", "POST", "/realtime/client_secrets", create_secret,
        wire.SecretRequest,
    ),
    Operation(
        "createRealtimeSession", "POST", "/realtime/sessions", create_secret,
        wire.BetaSecretRequest,
    ),
    Operation(
        "createRealtimeTranscriptionSession", "POST", "/realtime/transcription_sessions",
        create_secret, wire.BetaTranscriptionRequest,
    ),
    Operation("createRealtimeCall", "POST", "/realtime/calls", no_calls),
    Operation("ofRealtimeCall", "POST", "/realtime/calls/{call_id}/{verb}", no_calls),
)  # fmt: skip
