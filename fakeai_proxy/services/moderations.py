"""Moderations: texts and pictures, judged in 13 categories by omni-moderation, in 11 by
text-moderation. An image by address is judged by the address: nothing is fetched.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import unquote_to_bytes

from pydantic import Field

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply, Workload
from fakeai_proxy.generate.judgement import categories, flagged, judge, judge_picture
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services.answer.prompt import IMAGE_TOKENS
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.metering import MODERATIONS, tokens_read
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.wire import Shape, json_kind, json_reply

DEFAULT_MODEL = "omni-moderation-latest"
#: Inputs of one request; ours, the vendor states none.
INPUTS_MAX = 2048
#: What answers for the aliases of the older family.
_TEXT_MODEL, _TEXT_MODEL_ANSWERING = "text-moderation", "text-moderation-007"
_DATA_URL = re.compile(r"data:image/[\w.+-]+(;[^,]*)?,", re.IGNORECASE)


class TextPart(Shape):
    type: Literal["text"]
    text: str


class ImageUrl(Shape):
    url: Annotated[str, Field(min_length=1)]


class ImagePart(Shape):
    type: Literal["image_url"]
    image_url: ImageUrl


_Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class ModerationRequest(Shape):
    input: Any
    model: str | None = None


class _Parts(Shape):
    """The shape of a list of parts, validated once it is known to be one."""

    input: Annotated[list[_Part], Field(max_length=INPUTS_MAX)]


#: What is judged together: texts and pictures.
_Item = Sequence[TextPart | ImagePart]


def create_moderation(call: Call) -> Reply:
    asked: ModerationRequest = call.body
    if asked.model_extra:
        raise errors.unknown_parameter(next(iter(asked.model_extra))[:100])
    card = call.catalogue.asked_for(None, asked.model or DEFAULT_MODEL, "moderation")
    is_omni = not card.id.startswith(_TEXT_MODEL)
    items = _items(call, asked.input, is_omni)
    prompts = [_prompt(card, item, index) for index, item in enumerate(items)]
    body = {
        "id": f"modr-{call.dice.text_id(call.id_key, 'modr')}",
        "model": card.id if is_omni else _TEXT_MODEL_ANSWERING,
        "results": [_result(item, index, is_omni) for index, item in enumerate(items)],
    }
    workload = Workload.of([Workload(card.id, ids, 0) for ids in prompts])
    usage = tokens_read(MODERATIONS, card, workload.prompt_tokens)
    return json_reply(body, workload, usage=(usage,))


def _items(call: Call, given: Any, is_omni: bool) -> list[_Item]:
    """One text, texts that are judged one by one, or parts that are judged as one. Raises 400."""
    if isinstance(given, str):
        return [[TextPart(type="text", text=given)]]
    if not isinstance(given, list):
        raise errors.invalid_type("input", "one of a string or array", given)
    if not given:
        raise errors.wrong_length("input", "array", ">=", 1, 0)
    if len(given) > INPUTS_MAX:
        raise errors.wrong_length("input", "array", "<=", INPUTS_MAX, len(given))
    if json_kind(given[0]) == "object":
        return [_parts(given, is_omni)]
    for index, text in enumerate(given):
        if not isinstance(text, str):
            raise errors.invalid_type(f"input[{index}]", "a string", text)
    return [[TextPart(type="text", text=text)] for text in given]


def _parts(given: list[Any], is_omni: bool) -> _Item:
    from pydantic import ValidationError

    from fakeai_proxy.services.validation import request_error

    whole = {"input": given}
    try:
        parts = _Parts.model_validate(whole).input
    except ValidationError as error:
        raise request_error(error, whole, _Parts) from None
    if not is_omni and any(isinstance(part, ImagePart) for part in parts):
        raise errors.bad_parameter(
            "input", "invalid_value", "Image inputs are not supported with this model. Use "
            f"'{DEFAULT_MODEL}' instead.",
        )  # fmt: skip
    return parts


def _prompt(card: ModelCard, item: _Item, index: int) -> list[int]:
    words = Tokens.load(card.vocabulary)
    ids: list[int] = []
    for part in item:
        ids += words.encode(part.text) if isinstance(part, TextPart) else [0] * IMAGE_TOKENS
    if len(ids) > card.context_tokens:
        path = f"input[{index}]" if index else "input"
        raise errors.input_too_long(path, card.context_tokens, len(ids))
    return ids


def _result(item: _Item, index: int, is_omni: bool) -> dict[str, Any]:
    """Each score is the worst of what was given; `[]` where no input was judged by a category."""
    texts = [part.text for part in item if isinstance(part, TextPart)]
    pictures = [
        _seen(part.image_url.url, f"input[{place}].image_url.url")
        for place, part in enumerate(item)
        if isinstance(part, ImagePart)
    ]
    judged: list[Mapping[str, float]] = [judge("\n".join(texts))] if texts else []
    judged += pictures
    known = [name for name, row in categories().items() if is_omni or not row.omni_only]
    scores = {name: max([each.get(name, 0.0) for each in judged]) for name in known}
    flags = flagged(scores)
    result = {"flagged": any(flags.values()), "categories": flags, "category_scores": scores}
    if is_omni:
        result["category_applied_input_types"] = {
            name: (["text"] if texts else [])
            + (["image"] if pictures and categories()[name].images else [])
            for name in known
        }
    return result


def _seen(url: str, path: str) -> Mapping[str, float]:
    """Raises 400 for what is no picture."""
    from fakeai_proxy.generate.seen import PictureError, words_and_evidence, words_of_address

    head = _DATA_URL.match(url)
    if head is None:
        if not re.match(r"https?://[^/\s]", url, re.IGNORECASE):
            raise errors.bad_parameter(
                path, "invalid_image_url",
                f"Invalid '{path}': expected an http or https address or a base64-encoded data URL "
                "of an image (data:image/png;base64,...).",
            )  # fmt: skip
        return judge_picture(words_of_address(url), {})
    try:
        words, scores = words_and_evidence(_decoded(url[head.end() :], head[1] or ""))
    except (PictureError, binascii.Error, ValueError):
        raise errors.bad_parameter(
            path, "invalid_image",
            f"Invalid '{path}': the image could not be read. Supported formats are PNG, JPEG, WebP "
            "and GIF.",
        ) from None  # fmt: skip
    return judge_picture(words, scores)


def _decoded(data: str, parameters: str) -> bytes:
    if parameters.lower().endswith(";base64"):
        return base64.b64decode("".join(data.split()), validate=True)
    return unquote_to_bytes(data)


OPERATIONS = (
    Operation(
        "createModeration", "POST", "/moderations", create_moderation, ModerationRequest,
        threaded=True,
    ),
)  # fmt: skip
