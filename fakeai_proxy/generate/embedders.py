"""Which embedders there are. What they do is in `vectors.py`, which brings a table of what words mean."""

from __future__ import annotations

from typing import Literal

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.generate import semantic

Kind = Literal["hashed", "semantic"]


def embedder_kind(wanted: Literal["auto", "hashed", "semantic"]) -> Kind:
    """`auto` is the best that is installed. Raises ConfigError."""
    if wanted == "semantic" and not semantic.is_installed():
        raise ConfigError(
            "embedder: 'semantic' needs an extra: pip install 'fakeai-proxy[semantic]'"
        )
    if wanted == "auto":
        return "semantic" if semantic.is_installed() else "hashed"
    return wanted
