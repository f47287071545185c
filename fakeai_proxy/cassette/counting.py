"""How many there are of something, in words."""

from __future__ import annotations


def counted(count: int, of: str) -> str:
    """`of` is one of them, whose plural has an s more."""
    return f"{count:,} {of}{'' if count == 1 else 's'}"


def recordings(count: int) -> str:
    return counted(count, "recording")
