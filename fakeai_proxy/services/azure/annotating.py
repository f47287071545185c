"""Answers with what the content filter found in them, whole or as the frames of a stream.

A frame is read once, and written again only where something in it changes: what is added goes before
the last `"finish_reason":`, which no text can contain with its quotation marks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from fakeai_proxy.exchange import Chunk, Reply, is_event_stream
from fakeai_proxy.services.azure.content_filter import Policy, Results, Sight, seen

_FINISH = b'"finish_reason":'
_DATA, _END = b"data: ", b"\n\n"


@dataclass(frozen=True, slots=True)
class Annotator:
    """`prompts` is what was found in them; `chunk_object` what the frames of a stream call
    themselves. In the first frame, which has no choices, Azure leaves that empty, too; the types of
    its SDK do not allow it."""

    policy: Policy
    shielded: bool
    prompts: Sequence[Sight]
    chunk_object: str

    def whole(self, data: bytes) -> bytes:
        body = orjson.loads(data)
        for choice in body.get("choices", ()):
            self._choice(choice)
        body["prompt_filter_results"] = self._prompt_results()
        return orjson.dumps(body)

    def _choice(self, choice: dict[str, Any]) -> None:
        message = choice.get("message")
        text = choice.get("text") if message is None else message.get("content")
        if not text:
            choice["content_filter_results"] = {}
            return
        sight = seen(text)
        choice["content_filter_results"] = self._results(sight)
        if not sight.blocks(self.policy):
            return
        choice["finish_reason"] = "content_filter"
        if message is None:
            choice["text"] = ""
        else:
            message["content"] = None

    def frames(self, chunks: Sequence[Chunk]) -> list[Chunk]:
        voices: dict[int, _Voice] = {}
        read = [_read(chunk) for chunk in chunks]
        for place, frame in enumerate(read):
            if frame is not None:
                voices.setdefault(frame[0], _Voice()).hear(place, frame[1], chunks[place].tokens)
        for voice in voices.values():
            voice.judge(self.policy)
        first = {
            "choices": [], "created": 0, "id": "", "model": "", "object": self.chunk_object,
            "prompt_filter_results": self._prompt_results(),
        }  # fmt: skip
        said = [Chunk(_DATA + orjson.dumps(first) + _END)]
        for place, (chunk, frame) in enumerate(zip(chunks, read, strict=True)):
            if frame is None:
                said.append(chunk)
                continue
            annotated = self._frame(chunk, frame, place, voices[frame[0]])
            if annotated is not None:
                said.append(annotated)
        return said

    def _frame(self, chunk: Chunk, frame: _Frame, place: int, voice: _Voice) -> Chunk | None:
        """None after the place where the filter stopped it; there the stream of the choice ends."""
        assert isinstance(chunk.data, bytes)
        if place < voice.cut:
            found = voice.annotation(self._results) if frame[1] else b"{}"
            return Chunk(_annotated(chunk.data, found), chunk.tokens, chunk.age_s)
        if place > voice.cut:
            return None
        assert voice.worst is not None
        body = orjson.loads(chunk.data[len(_DATA) :])
        choice = body["choices"][0]
        choice["finish_reason"] = "content_filter"
        choice["content_filter_results"] = self._results(voice.worst)
        if "delta" in choice:
            choice["delta"] = {}
        else:
            choice["text"] = ""
        return Chunk(_DATA + orjson.dumps(body) + _END, voice.unsaid, chunk.age_s)

    def _results(self, sight: Sight) -> Results:
        return sight.of_answer(self.policy, self.shielded)

    def _prompt_results(self) -> list[Results]:
        return [
            {
                "prompt_index": place,
                "content_filter_results": sight.of_prompt(self.policy, self.shielded),
            }
            for place, sight in enumerate(self.prompts)
        ]


#: The index of the choice that a frame is of, and the text that it adds.
_Frame = tuple[int, str]


def _read(chunk: Chunk) -> _Frame | None:
    """None for what is no frame of a choice: usage, the end."""
    if not isinstance(chunk.data, bytes) or not chunk.data.startswith(b"data: {"):
        return None
    choices = orjson.loads(chunk.data[len(_DATA) :]).get("choices")
    if not choices:
        return None
    choice = choices[0]
    text = choice["delta"].get("content") if "delta" in choice else choice.get("text")
    return choice["index"], text or ""


def _annotated(data: bytes, found: bytes) -> bytes:
    before, key, after = data.rpartition(_FINISH)
    return b'%b"content_filter_results":%b,%b%b' % (before, found, key, after)


@dataclass(slots=True)
class _Voice:
    """One choice of a stream. `cut` is the place of the frame at which the filter stops it, beyond all
    places where it does not."""

    pieces: list[tuple[int, str]] = field(default_factory=list)
    tokens: list[tuple[int, int]] = field(default_factory=list)
    cut: int = 1 << 60
    worst: Sight | None = None
    usual: Sight | None = None
    _found: bytes = b""

    @property
    def unsaid(self) -> int:
        """The tokens from the cut on, which the model made and the client pays for."""
        return sum([tokens for place, tokens in self.tokens if place >= self.cut])

    def hear(self, place: int, text: str, tokens: int) -> None:
        self.tokens.append((place, tokens))
        if text:
            self.pieces.append((place, text))

    def judge(self, policy: Policy) -> None:
        """The filter sees more and more of the text, until it has seen enough."""
        if not self.pieces:
            return
        self.usual = seen(self._first(len(self.pieces)))
        if not self.usual.blocks(policy):
            return
        self.worst = self.usual
        lengths = range(1, len(self.pieces) + 1)
        needed = bisect_left(
            lengths, True, key=lambda length: seen(self._first(length)).blocks(policy)
        )
        self.cut = self.pieces[needed][0]
        self.usual = seen(self._first(needed))

    def _first(self, count: int) -> str:
        return "".join([text for _, text in self.pieces[:count]])

    def annotation(self, results: Callable[[Sight], Results]) -> bytes:
        if not self._found and self.usual is not None:
            self._found = orjson.dumps(results(self.usual))
        return self._found


def annotated(reply: Reply, annotator: Annotator) -> Reply:
    """The reply with annotations; one that is not a model's words stays as it is."""
    if reply.status != 200 or not isinstance(reply.chunks, Sequence):
        return reply
    if is_event_stream(reply.headers):
        reply.chunks = annotator.frames(reply.chunks)
        return reply
    reply.chunks = [_late(chunk, annotator) for chunk in reply.chunks]
    length = sum([len(each.data) for each in reply.chunks if isinstance(each.data, bytes)])
    reply.headers = tuple(
        [
            (name, b"%d" % length if name == b"content-length" else value)
            for name, value in reply.headers
        ]
    )
    return reply


def _late(chunk: Chunk, annotator: Annotator) -> Chunk:
    data = chunk.data
    if isinstance(data, bytes):
        return Chunk(annotator.whole(data), chunk.tokens, chunk.age_s)
    return Chunk(lambda admission: annotator.whole(data(admission)), chunk.tokens, chunk.age_s)
