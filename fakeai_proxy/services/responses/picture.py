"""Pictures of a prompt as base64. They take tens of milliseconds: in a thread."""

from __future__ import annotations

from base64 import b64encode
from typing import Literal, NamedTuple


class Pictures(NamedTuple):
    """One, and what is to be seen before it is done."""

    done: str
    before: tuple[str, ...]


class Wish(NamedTuple):
    """A picture of `prompt`: `width` and `height` in pixels, without a background where it is `clear`,
    and `partials` times before it is done."""

    prompt: str
    width: int
    height: int
    seed: int
    clear: bool
    partials: int
    form: Literal["png", "webp", "jpeg"] = "png"
    compression: int = 100


def pictures(wish: Wish) -> Pictures:
    from fakeai_proxy.generate.pictures.painter import Brief
    from fakeai_proxy.generate.pictures.rendering import rendered, rendered_steps

    clear = wish.clear and wish.form != "jpeg"
    brief = Brief(wish.prompt, wish.width, wish.height, wish.seed, backdrop=not clear)
    before = rendered_steps(brief, wish.form, wish.compression, wish.partials)
    done = rendered(brief, wish.form, wish.compression)
    return Pictures(b64encode(done).decode(), tuple(b64encode(one).decode() for one in before))


def asks_for_picture(body: bytes) -> bool:
    """Whether a request may have one drawn."""
    return b'"image_generation' in body
