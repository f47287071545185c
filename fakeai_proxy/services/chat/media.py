"""What a chat request shows, plays and hands over besides text: checked in the vendor's words, with its
cost in tokens and a sentence about it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from fakeai_proxy import errors
from fakeai_proxy.services.answer import media as media_as
from fakeai_proxy.services.answer import reading
from fakeai_proxy.services.answer.media import Medium
from fakeai_proxy.services.answer.senses import needs_sound
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.chat import wire
from fakeai_proxy.services.filing import read_file
from fakeai_proxy.services.operation import Call
from fakeai_proxy.store import Key

_HEAVY = re.compile(
    rb';base64,|"audio"|"input_audio"|logprobs|"json_schema"|"guided_|"structured_outputs"|"grammar"'
    rb'|"n"\s*:\s*[1-9]\d|_tokens"\s*:\s*[1-9]\d{3}'
)
#: Kind of the rows that have what was said aloud, by the sound's id.
AUDIO = "chat.audio"
#: platform.openai.com/docs/guides/pdf-files: of a file that is read.
_BYTES_MAX = 50 << 20


@dataclass(slots=True)
class Media:
    """By message and part. `told` is what an answer may say of those of the last message."""

    by_place: dict[tuple[int, int], Medium] = field(default_factory=dict)
    #: What earlier answers said aloud, by message.
    said: dict[int, str] = field(default_factory=dict)
    audio_tokens: int = 0
    image_tokens: int = 0
    told: list[str] = field(default_factory=list)


def is_heavy(body: bytes) -> bool:
    """Whether a request brings, or wants, something that is decoded or encoded, or an answer that
    takes more than words: odds for each token, a form to keep, several at once, thousands of tokens."""
    return _HEAVY.search(body) is not None


def media_of(call: Call, request: wire.ChatRequest, card: ModelCard) -> Media:
    """Raises 400, 404 and Unhurried."""
    media = Media()
    last = len(request.messages) - 1
    for k, message in enumerate(request.messages):
        content = message.content
        if isinstance(message, wire.AssistantMessage) and message.audio is not None:
            media.said[k] = _said(call, message.audio.id, f"messages[{k}].audio.id")
        if content is None or isinstance(content, str):
            continue
        told = _content(call, media, card, k, content)
        if k == last:
            media.told = told
    if needs_sound(card) and not media.audio_tokens and "audio" not in (request.modalities or ()):
        raise errors.bad_parameter(
            "model",
            "invalid_value",
            "This model requires that either input content or output modality contain audio.",
        )
    return media


def _said(call: Call, name: str, path: str) -> str:
    """What was said aloud under an id, at most an hour ago."""
    row = call.wait_for(lambda: call.store.get(Key(AUDIO, name, call.project)))
    if row is None:
        raise errors.no_such_audio(path, name)
    return str(row.document["transcript"])


def _content(
    call: Call, media: Media, card: ModelCard, k: int, content: list[wire.Part]
) -> list[str]:
    told = []
    for place, part in enumerate(content):
        path = f"messages[{k}].content[{place}]"
        kind = f"messages.[{k}].content.[{place}].type"
        if isinstance(part, wire.ImagePart):
            image = part.image_url
            medium = media_as.picture(card, image.url, image.detail, f"{path}.image_url.url", kind)
            media.image_tokens += medium.tokens
        elif isinstance(part, wire.AudioPart):
            sound = part.input_audio
            medium = media_as.recording(card, sound.data, sound.format, f"{path}.input_audio", kind)
            media.audio_tokens += medium.tokens
        elif isinstance(part, wire.FilePart):
            medium = _file(call, card, part.file, f"{path}.file")
        else:
            continue
        media.by_place[k, place] = medium
        told.append(medium.told)
    return [sentence for sentence in told if sentence]


def _file(call: Call, card: ModelCard, given: wire.FileData, path: str) -> Medium:
    if given.file_id is not None:
        if given.file_data is not None:
            raise errors.bad_parameter(
                path, "invalid_value", f"Provide one of 'file_id' and 'file_data' in '{path}'."
            )
        where = f"{path}.file_id"
        _, data = read_file(call, given.file_id, where, _BYTES_MAX)
        return media_as.of_pages(card, reading.read_pdf(data, where))
    if given.file_data is None:
        raise errors.missing_parameter(f"{path}.file_id")
    if given.filename is None:
        raise errors.missing_parameter(f"{path}.filename")
    return media_as.of_pages(card, reading.read(given.file_data, f"{path}.file_data"))
