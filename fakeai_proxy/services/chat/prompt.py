"""What a conversation costs: its messages, tools and media as token ids.

Counted as OpenAI documents: 3 tokens a message besides its role and content, 1 for a name, and 3 that
prime the reply. Tools and response schemas count by their text, images by their detail.
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.generate.transcript import Transcript
from fakeai_proxy.services.chat import wire

#: Of an image at low detail, and at 1024 x 1024 otherwise (OpenAI's guide to vision).
_IMAGE_LOW_TOKENS, _IMAGE_TOKENS = 85, 765
#: Ten tokens a second of 24 kHz 16-bit sound.
_AUDIO_BYTES_PER_TOKEN = 4800
_FILE_BYTES_PER_TOKEN, _FILE_TOKENS, _FILE_TOKENS_MAX = 40, 256, 50_000


class Prompt(Transcript):
    """The ids of a conversation, and how many of them stand for sound."""

    def __init__(self, tokens: Tokens, request: wire.ChatRequest) -> None:
        super().__init__(tokens)
        self.audio_tokens = 0
        rendered = _rendered(request)
        if rendered:
            self.text(rendered)
        for message in request.messages:
            self._message(message)
        self.open("assistant")

    def _message(self, message: wire.Message) -> None:
        self.open(message.role, getattr(message, "name", None) or "")
        content = message.content
        if isinstance(content, str):
            self.text(content)
        elif content is not None:
            for part in content:
                self._part(part)
        if isinstance(message, wire.AssistantMessage):
            for text in _spoken(message):
                self.text(text)
        self.close()

    def _part(self, part: wire.Part) -> None:
        if isinstance(part, wire.TextPart):
            self.text(part.text)
        elif isinstance(part, wire.RefusalPart):
            self.text(part.refusal)
        elif isinstance(part, wire.ImagePart):
            low = part.image_url.detail == "low"
            self.medium(part.image_url.url, _IMAGE_LOW_TOKENS if low else _IMAGE_TOKENS)
        elif isinstance(part, wire.AudioPart):
            count = 1 + len(part.input_audio.data) * 3 // 4 // _AUDIO_BYTES_PER_TOKEN
            self.audio_tokens += count
            self.medium(part.input_audio.data, count)
        else:
            data = part.file.file_data or ""
            count = len(data) * 3 // 4 // _FILE_BYTES_PER_TOKEN or _FILE_TOKENS
            self.medium(data or part.file.file_id or "", min(count, _FILE_TOKENS_MAX))


def _spoken(message: wire.AssistantMessage) -> Iterable[str]:
    if message.refusal:
        yield message.refusal
    for call in message.tool_calls or ():
        if isinstance(call, wire.FunctionCall):
            yield call.function.name
            yield call.function.arguments
        else:
            yield call.custom.name
            yield call.custom.input
    if message.function_call is not None:
        yield message.function_call.name
        yield message.function_call.arguments


def _rendered(request: wire.ChatRequest) -> str:
    """Tools and the response schema as the text that a model is shown."""
    if not (request.tools or request.functions or request.response_format):
        return ""
    shown: list[object] = []
    if request.tools:
        shown += [tool.model_dump(exclude_none=True) for tool in request.tools]
    if request.functions:
        shown += [function.model_dump(exclude_none=True) for function in request.functions]
    if isinstance(request.response_format, wire.SchemaResponse):
        shown.append(request.response_format.json_schema.schema_ or {})
    if not shown:
        return ""
    return orjson.dumps(shown, default=str).decode()
