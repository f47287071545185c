"""What is to be painted: a request that has been checked, with everything chosen that it leaves open."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fakeai_proxy import errors
from fakeai_proxy.exchange import Usage, Workload
from fakeai_proxy.generate.pictures.formats import Format
from fakeai_proxy.generate.pictures.painter import Brief
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.images.families import Family, Quality, Size, family_of
from fakeai_proxy.services.images.tokens import PARTIAL_TOKENS, output_tokens
from fakeai_proxy.services.images.wire import Painted
from fakeai_proxy.services.metering import pictures
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.prompt_safety import violation
from fakeai_proxy.services.wire import Shape

#: How much is drawn, by quality.
_DETAILS: dict[str, int] = {
    "low": 1,
    "standard": 2,
    "medium": 2,
    "high": 3,
    "hd": 3,
    "xhigh": 3,
    "max": 3,
}
#: How much more saturated than plain.
_VIVIDNESS = {"vivid": 1.3, "natural": 0.75}
#: Words by which a model chooses what it may choose.
_TALL = re.compile(r"\b(?:portrait|poster|tall|vertical|full[- ]body|phone wallpaper)\b", re.I)
_WIDE = re.compile(r"\b(?:landscape|panoram\w+|wide|horizontal|banner|desktop wallpaper)\b", re.I)
#: Picture tokens stand in a prompt as one id, which other pictures do not have.
_ID_MAX = 100_000
_CUT_OUT = re.compile(
    r"\b(?:transparent|sticker|icon|logo|cut-?out|no background|clip ?art)\b", re.I
)


@dataclass(frozen=True, slots=True)
class Job:
    """`inputs_tokens` are those of the pictures that are sent along."""

    card: ModelCard
    family: Family
    prompt: str
    prompt_ids: Sequence[int]
    size: Size
    quality: Quality
    count: int
    style: str
    background: Literal["transparent", "opaque"]
    form: Format
    compression: int
    as_url: bool
    stream: bool
    partials: int
    seeds: tuple[int, ...]
    safety_identifier: str | None = None
    inputs_tokens: int = 0

    @property
    def picture_tokens(self) -> int:
        """Of one of them, with what is seen before it is done."""
        return output_tokens(*self.size, self.quality) + PARTIAL_TOKENS * self.partials

    def brief(self, index: int) -> Brief:
        return Brief(
            self.prompt, *self.size, self.seeds[index], _DETAILS[self.quality],
            _VIVIDNESS.get(self.style, 1.0), self.background == "opaque",
        )  # fmt: skip

    def workload(self) -> Workload:
        """A picture's tokens are read as those of a prompt are, and made one after the other."""
        prompt = [*self.prompt_ids, *([self.seeds[0] % _ID_MAX] * self.inputs_tokens)]
        made = self.picture_tokens * self.count
        return Workload(self.card.id, prompt, made, samples=self.count)

    def usage(self, count: int) -> dict[str, object]:
        """Of so many pictures; only GPT image models tell."""
        text, made = len(self.prompt_ids), self.picture_tokens * count
        read = text + self.inputs_tokens
        return {
            "input_tokens": read,
            "input_tokens_details": {"image_tokens": self.inputs_tokens, "text_tokens": text},
            "output_tokens": made,
            "output_tokens_details": {"image_tokens": made, "text_tokens": 0},
            "total_tokens": read + made,
        }

    def billed(self, source: str) -> tuple[Usage, ...]:
        """`source` is `image.generation` or `image.edit`."""
        read, made = len(self.prompt_ids), self.picture_tokens * self.count
        tokens = {
            "input_tokens": read + self.inputs_tokens,
            "input_image_tokens": self.inputs_tokens,
            "output_tokens": made,
            "output_image_tokens": made,
        }
        return (
            pictures(
                self.card, self.count, self.size, source, self.quality,
                tokens if self.family.is_gpt else {},
            ),
        )  # fmt: skip

    def with_inputs(self, tokens: int, size: Size) -> Job:
        return replace(self, inputs_tokens=tokens, size=size)


def card_for(call: Call, name: str | None, usual: str) -> ModelCard:
    """Raises 404."""
    deployment = call.params.get("deployment")
    return call.catalogue.asked_for(deployment, name if name is not None else usual, "image")


def job_of(call: Call, asked: Painted, card: ModelCard) -> Job:
    """Raises 400."""
    family = family_of(card.id)
    check(asked, family)
    words = asked.prompt
    _check_safety(call, asked, family)
    count = asked.n or 1
    if count > family.images_max:
        raise errors.one_image_only()
    form: Format = asked.output_format or "png"
    quality = _quality(asked.quality, family)
    return Job(
        card=card,
        family=family,
        prompt=words,
        prompt_ids=Tokens.load(card.vocabulary).encode(words),
        size=family.size(asked.size, _fitting(words)),
        quality=quality,
        count=count,
        style=asked.style or ("vivid" if "style" not in family.refused else ""),
        background=_background(asked, form),
        form=form,
        compression=100 if asked.output_compression is None else asked.output_compression,
        as_url=not family.is_gpt and asked.response_format != "b64_json",
        stream=bool(asked.stream),
        partials=asked.partial_images or 0,
        seeds=tuple(call.dice.number(call.dice_key, "picture", k) for k in range(count)),
        safety_identifier=asked.safety_identifier or asked.user or None,
    )


def check(asked: Shape, family: Family) -> None:
    """What the model does not know. Raises 400."""
    for name in asked.model_extra or ():
        raise errors.unknown_parameter(name[:100])
    for name in sorted(asked.model_fields_set & family.refused):
        if getattr(asked, name) is not None and getattr(asked, name) is not False:
            raise errors.unknown_parameter(name)
    prompt = getattr(asked, "prompt", "")
    if len(prompt) > family.prompt_chars_max:
        raise errors.wrong_length("prompt", "string", "<=", family.prompt_chars_max, len(prompt))
    if getattr(asked, "partial_images", None) and not getattr(asked, "stream", None):
        raise errors.only_allowed_when("partial_images", "'stream' is enabled")


def _check_safety(call: Call, asked: Painted, family: Family) -> None:
    found = violation(asked.prompt, asked.moderation)
    if found and family.is_gpt:
        raise errors.image_blocked(found, f"req_{call.dice.number(call.id_key, 'support'):032x}")
    if found:
        raise errors.prompt_rejected()


def _quality(asked: Quality | None, family: Family) -> Quality:
    if asked is not None and asked not in family.qualities:
        raise errors.invalid_value("quality", asked, family.qualities)
    if asked is None or asked == "auto":
        return "high" if family.is_gpt else "standard"
    return asked


def _background(asked: Painted, form: Format) -> Literal["transparent", "opaque"]:
    if asked.output_compression not in (None, 100) and form == "png":
        raise errors.png_compression()
    if asked.background == "transparent":
        if form == "jpeg":
            raise errors.transparent_jpeg()
        return "transparent"
    is_free = asked.background == "auto" and form != "jpeg"
    return "transparent" if is_free and _CUT_OUT.search(asked.prompt) else "opaque"


def _fitting(prompt: str) -> Size:
    if _TALL.search(prompt):
        return 1024, 1536
    return (1536, 1024) if _WIDE.search(prompt) else (1024, 1024)
