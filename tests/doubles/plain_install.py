"""An install without the extra `audio`, that has spoken nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fakeai_proxy.generate.shelf import Shelf
from fakeai_proxy.generate.speech import encoding, espeak, listening, speaking


def forget(patched: pytest.MonkeyPatch) -> None:
    """Nothing was ever spoken here."""
    patched.setattr(speaking, "_SPOKEN", Shelf(1 << 20))
    patched.setattr(listening, "_TEXTS", Shelf(1 << 20))


@contextmanager
def plain_install() -> Iterator[None]:
    looked_for = (encoding.has_codecs, espeak.library)
    with pytest.MonkeyPatch.context() as patched:
        forget(patched)
        for name in ("av", "espeakng_loader"):
            patched.setitem(sys.modules, name, None)
        for function in looked_for:
            function.cache_clear()
        yield
    for function in looked_for:
        function.cache_clear()
