"""A chat request as the token ids of its conversation. Tools and response schemas count by their
text.
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services.answer.media import Medium
from fakeai_proxy.services.answer.prompt import Prompt
from fakeai_proxy.services.chat import wire
from fakeai_proxy.services.chat.media import Media


def prompt_of(
    tokens: Tokens, request: wire.ChatRequest, media: Media | None = None, answered: bool = False
) -> Prompt:
    """An `answered` one ends with its last message, without the beginning of an answer."""
    prompt = Prompt(tokens)
    media = media or Media()
    rendered = _rendered(request)
    if rendered:
        prompt.text(rendered)
    for k, message in enumerate(request.messages):
        _message(prompt, message, k, media)
    if not answered:
        prompt.open("assistant")
    return prompt


def _message(prompt: Prompt, message: wire.Message, k: int, media: Media) -> None:
    prompt.open(message.role, getattr(message, "name", None) or "")
    content = message.content
    if isinstance(content, str):
        prompt.text(content)
    elif content is not None:
        for place, part in enumerate(content):
            _part(prompt, part, media.by_place.get((k, place)))
    if isinstance(message, wire.AssistantMessage):
        for text in _spoken(message):
            prompt.text(text)
        if k in media.said:
            prompt.text(media.said[k])
    prompt.close()


def _part(prompt: Prompt, part: wire.Part, medium: Medium | None) -> None:
    if isinstance(part, wire.TextPart):
        prompt.text(part.text)
    elif isinstance(part, wire.RefusalPart):
        prompt.text(part.refusal)
    elif isinstance(part, wire.ImagePart):
        if medium is None:
            prompt.image(part.image_url.url, part.image_url.detail == "low")
        else:
            prompt.medium(part.image_url.url, medium.tokens)
    elif isinstance(part, wire.AudioPart):
        prompt.audio(part.input_audio.data, None if medium is None else medium.tokens)
    elif medium is not None:
        prompt.medium(part.file.file_data or part.file.file_id or "", medium.tokens)
        prompt.text(medium.text)
    else:
        prompt.file(part.file.file_data or "", part.file.file_id or "")


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
