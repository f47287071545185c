"""The pieces that a whole answer and the frames of a stream have in common: calls, citations, log
probabilities, sound."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import orjson

from fakeai_proxy.services.answer.task import Answer, Citation, ToolCall
from fakeai_proxy.services.answer.voice import Sound
from fakeai_proxy.services.chat.media import AUDIO
from fakeai_proxy.services.chat.plan import Plan
from fakeai_proxy.services.operation import Call
from fakeai_proxy.store import Insert, Key, Row

#: Sound can be referred to for so long (OpenAI's guide to audio).
AUDIO_KEPT_S = 3600


def choice(call: Call, plan: Plan, index: int) -> bytes:
    made = plan.choices[index]
    sound = plan.sounds[index] if plan.sounds else None
    content = b"null" if made.content is None or sound else b'"%b"' % made.content.json
    refusal = b"null" if made.refusal is None else b'"%b"' % made.refusal.json
    rest = b""
    if made.thought is not None:
        rest += b',"reasoning_content":"%b"' % made.thought.json
    if made.calls and in_functions(plan):
        rest += b',"function_call":' + _function(made.calls[0])
    elif made.calls:
        calls = [
            _tool_call(call_id(call, index, place), each) for place, each in enumerate(made.calls)
        ]
        rest += b',"tool_calls":[%b]' % b",".join(calls)
    if sound is not None:
        rest += b',"audio":' + _audio(call, index, made, sound)
    return (
        b'{"index":%d,"message":{"role":"assistant","content":%b,"refusal":%b,"annotations":%b%b},'
        b'"logprobs":%b,"finish_reason":"%b"}'
        % (index, content, refusal, cited(made.citations), rest,
           logprobs(made.logprobs, words_field(made)), made.finish_reason.encode())
    )  # fmt: skip


def _audio(call: Call, index: int, made: Answer, sound: Sound) -> bytes:
    return b'{"id":"%b","data":"%b","expires_at":%d,"transcript":"%b"}' % (
        audio_id(call, index), b64encode(sound.data), call.created + AUDIO_KEPT_S, made.said.json,
    )  # fmt: skip


def audio_id(call: Call, index: int) -> bytes:
    """Under which the next turn may refer to what was said."""
    return f"audio_{call.dice.text_id(call.lasting_key, 'audio', index, length=32)}".encode()


def spoken(call: Call, plan: Plan) -> list[Insert]:
    """What was said aloud, for the next turn."""
    return [
        Insert(
            Row(
                Key(AUDIO, audio_id(call, index).decode(), call.project),
                {"transcript": plan.choices[index].said.text},
                float(call.created),
                expires_at=float(call.created + AUDIO_KEPT_S),
            )
        )
        for index, sound in enumerate(plan.sounds)
        if sound is not None
    ]


def cited(citations: Sequence[Citation]) -> bytes:
    return orjson.dumps(
        [
            {
                "type": "url_citation",
                "url_citation": {
                    "start_index": each.start, "end_index": each.end, "title": each.title,
                    "url": each.url,
                },
            }
            for each in citations
        ]
    )  # fmt: skip


def _function(call: ToolCall) -> bytes:
    return b'{"name":%b,"arguments":"%b"}' % (orjson.dumps(call.name), call.arguments.json)


def call_id(call: Call, choice: int, place: int) -> bytes:
    return b"call_" + call.dice.text_id(call.id_key, "call", choice, place).encode()


def _tool_call(name: bytes, call: ToolCall) -> bytes:
    if call.custom:
        return b'{"id":"%b","type":"custom","custom":{"name":%b,"input":"%b"}}' % (
            name, orjson.dumps(call.name), call.arguments.json,
        )  # fmt: skip
    return b'{"id":"%b","type":"function","function":%b}' % (name, _function(call))


def words_field(made: Answer) -> bytes:
    """Where the words of a message are."""
    return b"content" if made.refusal is None else b"refusal"


def logprobs(entries: list[dict[str, Any]] | None, field: bytes) -> bytes:
    if entries is None:
        return b"null"
    said = orjson.dumps(entries)
    if field == b"refusal":
        return b'{"content":null,"refusal":%b}' % said
    return b'{"content":%b,"refusal":null}' % said


def in_functions(plan: Plan) -> bool:
    """Whether calls take the deprecated form of `functions`."""
    return bool(plan.request.functions) and not plan.request.tools
