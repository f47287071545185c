"""Pictures of a prompt as base64 of PNGs. They take tens of milliseconds: in a thread."""

from __future__ import annotations

from base64 import b64encode
from typing import NamedTuple


class Pictures(NamedTuple):
    """One, and what is to be seen before it is done."""

    done: str
    before: tuple[str, ...]


def pictures(
    prompt: str, size: tuple[int, int], seed: int, clear: bool, partials: int
) -> Pictures:  # fmt: skip
    """`size` in pixels; `clear` leaves the background out."""
    from fakeai_proxy.generate.pictures.painter import Brief
    from fakeai_proxy.generate.pictures.rendering import rendered, rendered_steps

    brief = Brief(prompt, *size, seed, backdrop=not clear)
    before = rendered_steps(brief, "png", 100, partials)
    return Pictures(
        b64encode(rendered(brief)).decode(), tuple(b64encode(one).decode() for one in before)
    )


def asks_for_picture(body: bytes) -> bool:
    """Whether a request may have one drawn."""
    return b'"image_generation' in body
