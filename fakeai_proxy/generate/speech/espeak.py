"""espeak-ng, when the extra `audio` brings it: each utterance in a short-lived process of its own, for the
reasons in `espeak_child.py`."""

from __future__ import annotations

import subprocess
import sys
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fakeai_proxy.generate.speech.voices import Voice

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CHILD = str(Path(__file__).with_name("espeak_child.py"))
#: The longest text takes a second; a process that hangs is ended.
_PATIENCE_S = 60

#: espeak-ng's names for the languages that `language.py` tells apart, where they differ from ISO 639-1.
_LANGUAGES = {"en": "en-us", "zh": "cmn"}


@lru_cache(maxsize=1)
def library() -> tuple[str, str] | None:
    """The library and its data, or None where the extra is not installed."""
    if find_spec("espeakng_loader") is None:
        return None
    import espeakng_loader

    return espeakng_loader.get_library_path(), espeakng_loader.get_data_path()


def utter(text: str, voice: Voice, language: str) -> tuple[NDArray[np.int16], int] | None:
    """Samples and their rate; None where espeak-ng cannot be had or will not run here."""
    import numpy as np

    found = library()
    if found is None:
        return None
    name = f"{_LANGUAGES.get(language, language)}+{voice.variant}"
    settings = (voice.words_per_minute, voice.pitch, voice.spread)
    command = [sys.executable, "-I", "-S", _CHILD, *found, name, *map(str, settings)]
    try:
        done = subprocess.run(  # noqa: S603 - our own file, and arguments out of our tables
            command,
            # What is left out by the text's end in C would be lost.
            input=text.replace("\0", " ").encode("utf-8", "replace"),
            capture_output=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode:
        return None
    rate = int.from_bytes(done.stdout[:4], "little")
    return np.frombuffer(done.stdout, "<i2", offset=4), rate
