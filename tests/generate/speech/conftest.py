"""An install without the extra `audio`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from fakeai_proxy.generate.speech import encoding, espeak, listening, speaking
from fakeai_proxy.generate.speech.shelf import Shelf


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was ever spoken here."""
    monkeypatch.setattr(speaking, "_SPOKEN", Shelf(1 << 20))
    monkeypatch.setattr(listening, "_TEXTS", Shelf(1 << 20))


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The extra is not installed."""
    forget(monkeypatch)
    for name in ("av", "espeakng_loader"):
        monkeypatch.setitem(sys.modules, name, None)
    found = (encoding.has_codecs, espeak.library)
    for function in found:
        function.cache_clear()
    yield
    monkeypatch.undo()
    for function in found:
        function.cache_clear()
