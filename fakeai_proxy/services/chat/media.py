"""What a chat request shows, plays and hands over besides text: checked in the vendor's words, with its
cost in tokens and a sentence about it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from fakeai_proxy import errors
from fakeai_proxy.services.answer import hearing, looking, reading, vision
from fakeai_proxy.services.answer.senses import hears, needs_sound, sees
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.chat import wire
from fakeai_proxy.services.filing import read_file
from fakeai_proxy.services.operation import Call

_HEAVY = re.compile(
    rb';base64,|"audio"|"input_audio"|logprobs|"json_schema"|"guided_|"structured_outputs"|"grammar"'
    rb'|"n"\s*:\s*[1-9]\d|_tokens"\s*:\s*[1-9]\d{3}'
)
#: Records of sound that was said, by its id: the transcript.
AUDIO = "chat.audio"
#: platform.openai.com/docs/guides/pdf-files: of a file that is read.
_BYTES_MAX = 50 << 20


class Medium(NamedTuple):
    """`text` is what a document says besides what it shows."""

    tokens: int
    text: str = ""


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
            said = call.records.find(AUDIO, message.audio.id)
            if said is None:
                raise errors.no_such_audio(f"messages[{k}].audio.id", message.audio.id)
            media.said[k] = said
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


def _content(
    call: Call, media: Media, card: ModelCard, k: int, content: list[wire.Part]
) -> list[str]:
    told = []
    for place, part in enumerate(content):
        path = f"messages[{k}].content[{place}]"
        if isinstance(part, wire.ImagePart):
            if not sees(card):
                raise errors.content_not_supported(k, place, part.type)
            picture = looking.look(part.image_url.url, f"{path}.image_url.url")
            tokens = vision.image_tokens(card.id, picture.size, part.image_url.detail)
            media.by_place[k, place] = Medium(tokens)
            media.image_tokens += tokens
            told.append(picture.told)
        elif isinstance(part, wire.AudioPart):
            if not hears(card):
                raise errors.content_not_supported(k, place, part.type)
            sound = part.input_audio
            seconds = hearing.seconds_of(sound.data, sound.format, f"{path}.input_audio")
            tokens = 1 + int(seconds * hearing.INPUT_TOKENS_PER_S)
            media.by_place[k, place] = Medium(tokens)
            media.audio_tokens += tokens
            told.append(f"The recording is {seconds:.1f} seconds long.")
        elif isinstance(part, wire.FilePart):
            told.append(_file(call, media, card, (k, place), part.file, f"{path}.file"))
    return [sentence for sentence in told if sentence]


def _file(
    call: Call,
    media: Media,
    card: ModelCard,
    place: tuple[int, int],
    given: wire.FileData,
    path: str,
) -> str:
    if given.file_id is not None:
        if given.file_data is not None:
            raise errors.bad_parameter(
                path, "invalid_value", f"Provide one of 'file_id' and 'file_data' in '{path}'."
            )
        where = f"{path}.file_id"
        document = reading.read_pdf(read_file(call, given.file_id, where, _BYTES_MAX)[1], where)
    elif given.file_data is None:
        raise errors.missing_parameter(f"{path}.file_id")
    elif given.filename is None:
        raise errors.missing_parameter(f"{path}.filename")
    else:
        document = reading.read(given.file_data, f"{path}.file_data")
    page = vision.image_tokens(card.id, reading.PAGE_SIZE, "auto") if sees(card) else 0
    media.by_place[place] = Medium(page * document.pages, document.text)
    return document.told
