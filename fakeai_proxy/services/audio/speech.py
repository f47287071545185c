"""Speech: the sound as it is made, piece by piece, plain or as events."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator

import orjson

from fakeai_proxy import errors
from fakeai_proxy.exchange import Chunk, Reply, Workload
from fakeai_proxy.generate.speech import MissingAudioExtra, Spoken, speak
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services.audio.rules import CUSTOM_VOICE, check_known, check_speech
from fakeai_proxy.services.audio.voices import custom_voice
from fakeai_proxy.services.audio.wire import SpeechRequest
from fakeai_proxy.services.metering import speech
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.wire import sse_reply

CONTENT_TYPES = {
    "mp3": b"audio/mpeg", "opus": b"audio/opus", "aac": b"audio/aac", "flac": b"audio/flac",
    "wav": b"audio/wav", "pcm": b"audio/pcm",
}  # fmt: skip
#: platform.openai.com/docs/guides/realtime-costs: a token is 50 ms of the sound that a model makes.
TOKENS_PER_S = 20
#: A quarter of a second comes at once.
_PIECE_TOKENS = 5


def create_speech(call: Call) -> Reply:
    asked: SpeechRequest = call.body
    card = call.catalogue.asked_for(call.params.get("deployment"), asked.model, "speech")
    check_known(asked, call.strict)
    check_speech(asked, card)
    # The first generation knows no instructions, and takes them as if they were not there.
    instructions = "" if card.id.startswith("tts-1") else asked.instructions or ""
    prompt = Tokens.load(card.vocabulary).encode(instructions + asked.input)
    if not card.id.startswith("tts-1") and len(prompt) > card.context_tokens:
        raise errors.input_too_long("input", card.context_tokens, len(prompt))
    wanted = asked.response_format or "mp3"
    try:
        spoken = speak(asked.input, _voice(call, asked), wanted, asked.speed or 1.0, instructions)
    except MissingAudioExtra:
        raise errors.audio_extra_missing("response_format", f"The format '{wanted}'") from None
    tokens = max(math.ceil(spoken.duration_s * TOKENS_PER_S), 1)
    workload = Workload(card.id, prompt, tokens)
    pieces = list(_pieces(spoken, tokens))
    usage = (speech(card, len(asked.input), len(prompt), tokens),)
    if asked.stream_format == "sse":
        return sse_reply([*map(_delta, pieces), _done(len(prompt), tokens)], workload, usage)
    headers = ((b"content-type", CONTENT_TYPES[wanted]),)
    return Reply(200, headers, pieces, workload=workload, usage=usage)


def _voice(call: Call, asked: SpeechRequest) -> str:
    """Its name, or the id of one that was made. Raises 400."""
    if not isinstance(asked.voice, str):
        return custom_voice(call, asked.voice.id)
    is_custom = asked.voice.startswith(CUSTOM_VOICE)
    return custom_voice(call, asked.voice) if is_custom else asked.voice


def _pieces(spoken: Spoken, tokens: int) -> Iterator[Chunk]:
    """As many bytes for each token; samples stay whole."""
    data, sent = spoken.data, 0
    for done in range(0, tokens, _PIECE_TOKENS):
        count = min(_PIECE_TOKENS, tokens - done)
        until = len(data) * (done + count) // tokens // 2 * 2
        if done + count == tokens:
            until = len(data)
        yield Chunk(data[sent:until], count)
        sent = until


def _delta(piece: Chunk) -> Chunk:
    assert isinstance(piece.data, bytes)
    audio = base64.b64encode(piece.data)
    return Chunk(b'data: {"type":"speech.audio.delta","audio":"%b"}\n\n' % audio, piece.tokens)


def _done(prompt_tokens: int, tokens: int) -> Chunk:
    event = {
        "type": "speech.audio.done",
        "usage": {
            "input_tokens": prompt_tokens,
            "output_tokens": tokens,
            "total_tokens": prompt_tokens + tokens,
        },
    }
    return Chunk(b"data: " + orjson.dumps(event) + b"\n\n")
