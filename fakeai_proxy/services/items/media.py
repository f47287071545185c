"""What items show, play and hand over besides text. Where a request brings them, bad ones are refused by
the path to them; where they have been kept for long, they cost what they can.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.errors import ApiError
from fakeai_proxy.services.answer import media as media_as
from fakeai_proxy.services.answer import reading
from fakeai_proxy.services.answer.media import Medium
from fakeai_proxy.services.answer.prompt import Prompt
from fakeai_proxy.services.catalogue import ModelCard

_PDF = "data:application/pdf;"
_MEDIA = frozenset(("input_image", "input_file", "input_audio", "computer_screenshot"))
Part = dict[str, Any]


@dataclass(slots=True)
class Media:
    """By the identity of the part, which lives as long as its item. `told` is what an answer may say of
    those of the last item."""

    by_part: dict[int, Medium] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)


def media_of(card: ModelCard, items: Sequence[Part], path: str) -> Media:
    """Raises 400."""
    media = Media()
    for k, item in enumerate(items):
        media.told = []
        for place, part in _parts(item):
            medium = _medium(card, part, f"{path}[{k}].{place}")
            if medium is not None:
                media.by_part[id(part)] = medium
                media.told += filter(None, [medium.told])
    return media


def has_media(items: Sequence[Part]) -> bool:
    return any(True for item in items for _ in _parts(item))


def write(prompt: Prompt, card: ModelCard, part: Part, known: Mapping[int, Medium]) -> None:
    """One part, as `card` takes it."""
    medium = known.get(id(part))
    if medium is None:
        try:
            medium = _medium(card, part, "")
        except ApiError:
            medium = None  # another model could take it
    source = _source(part)
    if medium is not None:
        if part["type"] == "input_audio":
            prompt.audio(source, medium.tokens)
        else:
            prompt.medium(source, medium.tokens)
        prompt.text(medium.text)
    elif part["type"] == "input_audio":
        prompt.audio(source)
    elif part["type"] == "input_file":
        prompt.file(part.get("file_data") or "", source)
    else:
        prompt.image(source, part.get("detail") == "low")


def _parts(item: Part) -> Iterator[tuple[str, Part]]:
    """Each with where in its item it is."""
    for name in ("content", "output"):
        held = item.get(name)
        if isinstance(held, dict) and held.get("type") in _MEDIA:
            yield name, held
        elif isinstance(held, list):
            for j, part in enumerate(held):
                if isinstance(part, dict) and part.get("type") in _MEDIA:
                    yield f"{name}[{j}]", part


def _medium(card: ModelCard, part: Part, path: str) -> Medium | None:
    """None for what is elsewhere, and for files of which only the size is known. Raises 400."""
    kind = part["type"]
    if kind == "input_audio":
        sound = part["input_audio"]
        return media_as.recording(
            card, sound["data"], sound["format"], f"{path}.input_audio", f"{path}.type"
        )
    if kind == "input_file":
        return _document(card, part, path)
    url = part.get("image_url")
    if url is None and part.get("file_id") is None:
        raise errors.missing_parameter(f"{path}.image_url")
    return media_as.picture(card, url, part.get("detail"), f"{path}.image_url", f"{path}.type")


def _document(card: ModelCard, part: Part, path: str) -> Medium | None:
    data = part.get("file_data")
    if data is None:
        if part.get("file_id") is None and part.get("file_url") is None:
            raise errors.missing_parameter(f"{path}.file_id")
        return None
    if part.get("filename") is None:
        raise errors.missing_parameter(f"{path}.filename")
    if data.startswith("data:") and not data.lower().startswith(_PDF):
        return None  # other documents are read as far as they are long
    return media_as.of_pages(card, reading.read(data, f"{path}.file_data"))


def _source(part: Part) -> str:
    if part["type"] == "input_audio":
        return str(part["input_audio"]["data"])
    for name in ("image_url", "file_data", "file_id", "file_url", "filename"):
        if part.get(name):
            return str(part[name])
    return ""
