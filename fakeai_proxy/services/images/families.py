"""What the models that make pictures can: the vendor's own tables, one row a family."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from fakeai_proxy import errors
from fakeai_proxy.errors import ApiError

Quality = Literal["low", "medium", "high", "xhigh", "max", "auto", "standard", "hd"]
Size = tuple[int, int]

_SQUARE: Size = (1024, 1024)
#: developers.openai.com/api/docs/guides/image-generation: arbitrary sizes.
_EDGE_MULTIPLE, _ASPECT_MAX, _LONG_MAX, _SHORT_MAX, _SHORT_MIN = 16, 3, 3840, 2160, 256
_SIZE = re.compile(r"([1-9]\d{1,4})x([1-9]\d{1,4})")
#: The names that the API's own schema lists.
LISTED_SIZES = (
    "256x256",
    "512x512",
    "1024x1024",
    "1536x1024",
    "1024x1536",
    "1792x1024",
    "1024x1792",
)


@dataclass(frozen=True)
class Family:
    """`refused` are parameters that its models do not know. `auto` stands for a size or a quality
    that the model chooses."""

    name: str
    sizes: tuple[str, ...]
    qualities: tuple[Quality, ...]
    prompt_chars_max: int
    refused: frozenset[str]
    images_max: int = 10
    is_gpt: bool = False
    any_size: bool = False
    #: Of `input_fidelity`.
    fidelities: tuple[str, ...] = ()

    def size(self, asked: str | None, chosen: Size = _SQUARE) -> Size:
        """`chosen` is what the model would choose. Raises 400."""
        if asked is None or (asked == "auto" and "auto" in self.sizes):
            return chosen if "auto" in self.sizes else _SQUARE
        found = _SIZE.fullmatch(asked)
        if asked in self.sizes and found:
            return int(found[1]), int(found[2])
        if self.any_size and found:
            return _arbitrary(asked, int(found[1]), int(found[2]))
        raise self._wrong_size(asked)

    def _wrong_size(self, asked: str) -> ApiError:
        if self.is_gpt:
            return errors.invalid_value("size", asked, self.sizes)
        return errors.size_unsupported(asked, asked in LISTED_SIZES, self.sizes)


def _arbitrary(asked: str, width: int, height: int) -> Size:
    long, short = max(width, height), min(width, height)
    if width % _EDGE_MULTIPLE or height % _EDGE_MULTIPLE:
        raise errors.bad_parameter(
            "size", "invalid_value",
            f"Invalid size '{asked}'. Width and height must both be divisible by {_EDGE_MULTIPLE}.",
        )  # fmt: skip
    if long > _ASPECT_MAX * short:
        raise errors.bad_parameter(
            "size", "invalid_value",
            f"Invalid size '{asked}'. The aspect ratio must be between 1:3 and 3:1.",
        )  # fmt: skip
    if long > _LONG_MAX or short > _SHORT_MAX or short < _SHORT_MIN:
        raise errors.bad_parameter(
            "size", "invalid_value",
            f"Invalid size '{asked}'. Supported resolutions are from {_SHORT_MIN}x{_SHORT_MIN} to "
            f"{_LONG_MAX}x{_SHORT_MAX}.",
        )  # fmt: skip
    return width, height


#: Parameters that only the GPT image models know.
GPT_ONLY = frozenset(
    ("background", "complexity", "input_fidelity", "moderation", "output_compression",
     "output_format", "partial_images", "stream")
)  # fmt: skip
_GPT_SIZES = ("1024x1024", "1024x1536", "1536x1024", "auto")
_GPT_QUALITIES: tuple[Quality, ...] = ("low", "medium", "high", "auto")
_DALL_E_ONLY = frozenset(("response_format", "style"))

DALL_E_2 = Family(
    "dall-e-2", ("256x256", "512x512", "1024x1024"), ("standard",), 1000, GPT_ONLY | {"style"}
)
DALL_E_3 = Family(
    "dall-e-3", ("1024x1024", "1792x1024", "1024x1792"), ("standard", "hd"), 4000, GPT_ONLY,
    images_max=1,
)  # fmt: skip
_GPT_1 = Family(
    "gpt-image-1", _GPT_SIZES, _GPT_QUALITIES, 32_000, _DALL_E_ONLY | {"complexity"}, is_gpt=True,
    fidelities=("low", "high"),
)  # fmt: skip
_GPT_1_MINI = Family(
    "gpt-image-1-mini", _GPT_SIZES, _GPT_QUALITIES, 32_000, _DALL_E_ONLY | {"complexity"},
    is_gpt=True, fidelities=("low",),
)  # fmt: skip
_GPT_2 = Family(
    "gpt-image-2", _GPT_SIZES, _GPT_QUALITIES, 32_000, _DALL_E_ONLY | {"complexity"}, is_gpt=True,
    any_size=True,
)  # fmt: skip
_GPT_2_5 = Family(
    "gpt-image-2.5", _GPT_SIZES, ("low", "medium", "high", "xhigh", "max", "auto"), 32_000,
    _DALL_E_ONLY, is_gpt=True, any_size=True,
)  # fmt: skip

#: By how names begin, the longest first.
_FAMILIES: tuple[tuple[str, Family], ...] = (
    ("dall-e-2", DALL_E_2),
    ("dall-e-3", DALL_E_3),
    ("gpt-image-1-mini", _GPT_1_MINI),
    ("gpt-image-2.", _GPT_2_5),
    ("gpt-image-2", _GPT_2),
    ("gpt-image-1", _GPT_1),
    ("chatgpt-image", _GPT_1),
)


def family_of(model: str) -> Family:
    """That of its name; of a name that says nothing, the one that takes the most."""
    return next((family for start, family in _FAMILIES if model.startswith(start)), _GPT_2_5)
