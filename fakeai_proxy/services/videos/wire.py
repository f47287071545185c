"""The shapes of requests for films."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fakeai_proxy.services.form import FormShape, Upload
from fakeai_proxy.services.wire import Shape

Size = Literal["720x1280", "1280x720", "1024x1792", "1792x1024"]
#: The same as numbers, those of the smaller model.
SIZES = ((720, 1280), (1280, 720))
PROMPT_CHARS_MAX = 32_000
_Prompt = Annotated[str, Field(min_length=1, max_length=PROMPT_CHARS_MAX)]


class Reference(Shape):
    """A picture by its URL or by the id of a file."""

    image_url: Annotated[str, Field(max_length=20_971_520)] | None = None
    file_id: str | None = None


class Named(Shape):
    """A film by its id."""

    id: str


class CreateRequest(Shape):
    prompt: _Prompt
    model: str | None = None
    seconds: Literal["4", "8", "12"] | None = None
    size: Size | None = None
    input_reference: Reference | None = None


class CreateForm(CreateRequest, FormShape):
    input_reference: Upload | Reference | None = None  # type: ignore[assignment]  # a form has files, too


class RemixRequest(Shape):
    prompt: _Prompt


class RemixForm(RemixRequest, FormShape):
    pass


class EditRequest(Shape):
    prompt: _Prompt
    video: Named


class EditForm(EditRequest, FormShape):
    video: Named | Upload  # type: ignore[assignment]  # a form has files, too


class ExtendRequest(EditRequest):
    seconds: Literal["4", "8", "12", "16", "20"]


class ExtendForm(ExtendRequest, FormShape):
    video: Named | Upload  # type: ignore[assignment]  # a form has files, too


class CharacterForm(FormShape):
    name: Annotated[str, Field(min_length=1, max_length=80)]
    video: Upload
