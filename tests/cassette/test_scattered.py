"""Texts that lie scattered over the frames of a stream are found whole, whatever they hold."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.cassette import sse

texts = st.text(alphabet='ab "\\\n,:{}é', max_size=6)
frames = st.tuples(st.integers(0, 1), texts, st.none() | texts, st.booleans())


@given(st.lists(frames, max_size=12))
def test_the_pieces_of_each_text_are_found_in_order(
    stream: list[tuple[int, str, str | None, bool]],
) -> None:
    lines, wanted = [], dict[tuple[str, int], list[str]]()
    for index, text, padding, spaced in stream:
        frame = {"id": "chatcmpl-1", "choices": [{"index": index, "delta": {"content": text}}]}
        wanted.setdefault(("content", index), []).append(text)
        if padding is not None:
            frame["obfuscation"] = padding
            wanted.setdefault(("obfuscation", index), []).append(padding)
        separators = (", ", ": ") if spaced else (",", ":")
        lines.append("data: " + json.dumps(frame, separators=separators))
    body = "\n\n".join(lines).encode()
    found = [
        [json.loads(b'"%b"' % body[start:end]) for start, end in places]
        for places in sse.scattered(body)
    ]
    assert sorted(found) == sorted(pieces for pieces in wanted.values() if len(pieces) > 1)
