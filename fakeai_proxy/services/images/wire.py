"""The shapes of requests for pictures. Which model takes which parameter is in `families.py`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fakeai_proxy.services.form import FormShape, Upload
from fakeai_proxy.services.images.families import Quality
from fakeai_proxy.services.wire import Shape

#: Pictures in one request to edit them.
INPUTS_MAX = 16
_Count = Annotated[int, Field(ge=1, le=10)]


class _Wanted(Shape):
    """What all requests may say."""

    model: str | None = None
    n: _Count | None = None
    size: str | None = None
    response_format: Literal["url", "b64_json"] | None = None
    user: str | None = None


class _Painted(_Wanted):
    """What requests with a prompt may say."""

    prompt: str = Field(min_length=1)
    quality: Quality | None = None
    background: Literal["transparent", "opaque", "auto"] | None = None
    complexity: Literal["low", "medium", "high"] | None = None
    moderation: Literal["low", "auto"] | None = None
    output_format: Literal["png", "jpeg", "webp"] | None = None
    output_compression: Annotated[int, Field(ge=0, le=100)] | None = None
    partial_images: Annotated[int, Field(ge=0, le=3)] | None = None
    stream: bool | None = None
    safety_identifier: Annotated[str, Field(max_length=64)] | None = None
    style: Literal["vivid", "natural"] | None = None
    input_fidelity: Literal["high", "low"] | None = None


class GenerationRequest(_Painted):
    pass


class Reference(Shape):
    """A picture by its URL or by the id of a file."""

    image_url: Annotated[str, Field(max_length=20_971_520)] | None = None
    file_id: str | None = None


class EditRequest(_Painted):
    images: Annotated[list[Reference], Field(min_length=1, max_length=INPUTS_MAX)]
    mask: Reference | None = None


class EditForm(_Painted, FormShape):
    image: Upload | list[Upload]
    mask: Upload | None = None


class VariationForm(_Wanted, FormShape):
    image: Upload


Painted = GenerationRequest | EditRequest | EditForm
