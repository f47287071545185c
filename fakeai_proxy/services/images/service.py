"""The operations: pictures from words, from pictures and words, and from a picture alone."""

from __future__ import annotations

from base64 import b64encode
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply, Workload
from fakeai_proxy.generate.pictures.changes import edited, unfinished, varied
from fakeai_proxy.generate.pictures.formats import encoded
from fakeai_proxy.generate.pictures.rendering import rendered, rendered_steps
from fakeai_proxy.services.images import inputs
from fakeai_proxy.services.images.families import DALL_E_2, GPT_ONLY, Family, Size, family_of
from fakeai_proxy.services.images.job import Job, card_for, check, job_of
from fakeai_proxy.services.images.speech import Print, stream, url_of, whole
from fakeai_proxy.services.images.tokens import input_tokens, output_tokens
from fakeai_proxy.services.images.wire import (
    EditForm,
    EditRequest,
    GenerationRequest,
    Painted,
    VariationForm,
)
from fakeai_proxy.services.metering import pictures
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.wire import json_reply

if TYPE_CHECKING:
    from PIL.Image import Image

#: What is used where no model is named: by whether only GPT image models would understand.
_USUAL = {True: "gpt-image-1", False: "dall-e-2"}
_USUAL_EDITOR = "gpt-image-1.5"
#: All of what DALL-E 2 and the GPT image models may be sent in a form.
_FORM_BYTES_MAX = inputs.GPT_BYTES_MAX * 4
#: What a brief holds on to besides its prompt, about.
_BRIEF_BYTES = 512


def create_image(call: Call) -> Reply:
    asked: GenerationRequest = call.body
    given = {name for name in asked.model_fields_set if getattr(asked, name) is not None}
    card = card_for(call, asked.model, _USUAL[bool(given & GPT_ONLY)])
    if "input_fidelity" in given:
        raise errors.unknown_parameter("input_fidelity")
    job = job_of(call, asked, card)
    prints = [_painted(job, k) for k in range(job.count)]
    return (stream if job.stream else whole)(call, job, prints, "generation")


def _painted(job: Job, index: int) -> Print:
    brief = job.brief(index)
    held = len(job.prompt) + _BRIEF_BYTES
    if not job.partials:
        return Print(partial(rendered, brief, job.form, job.compression), held)
    steps = partial(rendered_steps, brief, job.form, job.compression, job.partials)
    return Print(partial(rendered, brief, job.form, job.compression), held, steps)


def edit_image(call: Call) -> Reply:
    asked: EditForm | EditRequest = call.body
    by_url = isinstance(asked, EditForm) and asked.response_format is not None
    card = card_for(call, asked.model, "dall-e-2" if by_url else _USUAL_EDITOR)
    family = family_of(card.id)
    if "edit" not in _CAN[family.name] or (isinstance(asked, EditRequest) and not family.is_gpt):
        raise errors.invalid_value("model", card.id, _EDITORS)
    _check_fidelity(asked, family)
    job = job_of(call, asked, card)
    if isinstance(asked, EditRequest):
        pictures, mask = inputs.referred(call, asked)
    else:
        pictures = inputs.uploads(asked.image, family)
        mask = None if asked.mask is None else inputs.mask_of(asked.mask.read(), pictures[0])
    if not family.is_gpt and mask is None:
        if pictures[0].mode != "RGBA":
            raise errors.image_mode(pictures[0].mode)
        mask = pictures[0]  # its own clear parts are to be painted
    fidelity = asked.input_fidelity or "low"
    read = sum([input_tokens(*picture.size, fidelity) for picture in pictures])
    job = job.with_inputs(read, _size_of(asked, job, pictures[0]))
    prints = [_edit(job, k, pictures, mask, fidelity) for k in range(job.count)]
    return (stream if job.stream else whole)(call, job, prints, "edit")


#: What can be done besides painting from words, by family.
_CAN: dict[str, frozenset[str]] = {
    "dall-e-2": frozenset(("edit", "variation")), "dall-e-3": frozenset(),
    "gpt-image-1": frozenset(("edit",)), "gpt-image-1-mini": frozenset(("edit",)),
    "gpt-image-2": frozenset(("edit",)), "gpt-image-2.5": frozenset(("edit",)),
}  # fmt: skip
_EDITORS = ("gpt-image-1.5", "gpt-image-1", "gpt-image-1-mini", "gpt-image-2", "dall-e-2")


def _check_fidelity(asked: Painted, family: Family) -> None:
    if asked.input_fidelity is None or not family.is_gpt:
        return
    if not family.fidelities:
        raise errors.unknown_parameter("input_fidelity")
    if asked.input_fidelity not in family.fidelities:
        raise errors.invalid_value("input_fidelity", asked.input_fidelity, family.fidelities)


def _size_of(asked: Painted, job: Job, picture: Image) -> Size:
    """Where the model may choose, the size nearest to the picture's shape."""
    if asked.size not in (None, "auto") or not job.family.is_gpt:
        return job.size
    aspect = picture.width / picture.height
    if aspect > 1.25:
        return 1536, 1024
    return (1024, 1536) if aspect < 0.8 else (1024, 1024)


def _edit(
    job: Job, index: int, pictures: list[Image], mask: Image | None, fidelity: str
) -> Print:  # fmt: skip
    made = edited(pictures, mask, job.brief(index), fidelity)
    data = encoded(made, job.form, job.compression)
    steps = tuple(
        encoded(unfinished(made, k, job.partials), job.form, job.compression)
        for k in range(job.partials)
    )
    return Print(lambda: data, len(data), lambda: steps)


def create_variation(call: Call) -> Reply:
    asked: VariationForm = call.body
    card = card_for(call, asked.model, "dall-e-2")
    if "variation" not in _CAN[family_of(card.id).name]:
        raise errors.invalid_value("model", card.id, ("dall-e-2",))
    check(asked, DALL_E_2)
    size = DALL_E_2.size(asked.size)
    picture = inputs.small_square_png(asked.image)
    count = asked.n or 1
    tokens = output_tokens(*size, "standard") * count
    rngs = [call.dice.roll(call.dice_key, "variation", k) for k in range(count)]
    prints = [_variation(picture, size, rng) for rng in rngs]
    data = [
        {"b64_json": b64encode(one.make()).decode()}
        if asked.response_format == "b64_json"
        else {"url": url_of(call, one, "png", k)}
        for k, one in enumerate(prints)
    ]
    read = [0] * input_tokens(*picture.size, "low")
    workload = Workload(card.id, read, tokens, samples=count)
    usage = pictures(card, count, size, "image.variation", "standard")
    return json_reply({"created": call.created, "data": data}, workload, usage=(usage,))


def _variation(picture: Image, size: Size, rng: Random) -> Print:
    data = encoded(varied(picture, size, rng), "png")
    return Print(lambda: data, len(data))


OPERATIONS = (
    Operation(
        "createImage", "POST", "/images/generations", create_image, GenerationRequest, threaded=True
    ),
    Operation(
        "createImageEdit", "POST", "/images/edits", edit_image, EditRequest, EditForm,
        form_bytes_max=_FORM_BYTES_MAX, threaded=True,
    ),
    Operation(
        "createImageVariation", "POST", "/images/variations", create_variation, form=VariationForm,
    ),
)  # fmt: skip
