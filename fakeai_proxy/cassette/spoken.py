"""Which frames of a recorded stream bring words, and about how many tokens each."""

from __future__ import annotations

import re
from collections.abc import Iterator

#: A frame, and within it what a model says; names of fields that hold its words in any vendor's.
_FRAME = re.compile(rb"^data:(?! ?\[DONE\])[^\r\n]*", re.MULTILINE)
_SAID = re.compile(
    rb'"(?:content|text|arguments|refusal|thinking|partial_json|delta|reasoning|reasoning_content)"'
    rb'\s{0,4}:\s{0,4}"((?:[^"\\]|\\.)+)"'
)
#: English text has about four bytes to a token; frames with fewer than twice that have one each.
_BYTES_PER_TOKEN = 4
#: Events that say once more what was said before.
_REPEATS = re.compile(rb'"type"\s{0,4}:\s{0,4}"[\w.]{0,60}\.(?:done|completed|incomplete)"')


def spoken_frames(body: bytes) -> Iterator[tuple[int, int]]:
    """End and tokens of each frame that brings any; of every frame where none has words."""
    every, said = [], []
    for frame in _FRAME.finditer(body):
        every.append(frame.end())
        if _REPEATS.search(body, frame.start(), min(frame.end(), frame.start() + 100)):
            continue
        words = sum(len(match[1]) for match in _SAID.finditer(body, frame.start(), frame.end()))
        if words:
            said.append((frame.end(), words))
    if not said:
        yield from ((end, 1) for end in every)
        return
    single = sum(words for _, words in said) < 2 * _BYTES_PER_TOKEN * len(said)
    for end, words in said:
        yield end, 1 if single else max(round(words / _BYTES_PER_TOKEN), 1)
