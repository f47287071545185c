"""A picture, a recording or a document within a prompt: what it costs the model that gets it, what it says,
and what an answer may say of it. Whoever asks knows where in its request that was.
"""

from __future__ import annotations

from typing import NamedTuple

from fakeai_proxy import errors
from fakeai_proxy.services.answer import hearing, looking, reading, vision
from fakeai_proxy.services.answer.senses import hears, sees
from fakeai_proxy.services.catalogue import ModelCard


class Medium(NamedTuple):
    """`text` is what a document says besides what it shows, `told` a sentence about it, "" where
    nothing is known."""

    tokens: int
    text: str = ""
    told: str = ""


def is_heavy(body: bytes) -> bool:
    """Whether a request brings, or wants, something that is decoded or encoded."""
    return b";base64," in body or b'"audio"' in body or b'"input_audio"' in body


def picture(
    card: ModelCard, url: str | None, detail: str | None, path: str, type_path: str
) -> Medium:
    """`path` leads to the URL, which is None for a file that is kept elsewhere; `type_path` leads to
    what says that it is a picture. Raises 400."""
    if not sees(card):
        raise errors.content_not_supported(type_path, "image_url")
    seen = looking.Picture() if url is None else looking.look(url, path)
    return Medium(vision.image_tokens(card.id, seen.size, detail), told=seen.told)


def recording(card: ModelCard, data: str, form: str, path: str, type_path: str) -> Medium:
    """`data` is base64 of a `form` (wav, mp3). Raises 400."""
    if not hears(card):
        raise errors.content_not_supported(type_path, "input_audio")
    seconds = hearing.seconds_of(data, form, path)
    tokens = 1 + int(seconds * hearing.INPUT_TOKENS_PER_S)
    return Medium(tokens, told=f"The recording is {seconds:.1f} seconds long.")


def of_pages(card: ModelCard, read: reading.Document) -> Medium:
    page = vision.image_tokens(card.id, reading.PAGE_SIZE, "auto") if sees(card) else 0
    return Medium(page * read.pages, read.text, read.told)
