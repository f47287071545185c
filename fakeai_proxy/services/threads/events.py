"""What a stream tells of a turn, as frames: objects as they change, and what is said token by token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from fakeai_proxy.exchange import Chunk
from fakeai_proxy.generate.tokens import Passage
from fakeai_proxy.services.answer.task import Answer
from fakeai_proxy.services.threads.turn import Step
from fakeai_proxy.services.threads.works import Worked

DONE = b"event: done\ndata: [DONE]\n\n"


def frame(event: str, data: Mapping[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event.encode(), orjson.dumps(data))


def deltas(step: Step, step_id: str, message_id: str, call_ids: Sequence[str]) -> Iterator[Chunk]:
    """What the step says, each frame with the tokens that it stands for."""
    if step.answer is not None:
        yield from _said(step, step.answer, message_id)
    elif step.worked is not None:
        yield from _worked(step.worked, step_id, call_ids[0])
    for place, call in enumerate(step.calls):
        head = {
            "index": place, "id": call_ids[place], "type": "function",
            "function": {"name": call.name, "arguments": "", "output": None},
        }  # fmt: skip
        yield Chunk(_step_delta(step_id, head), call.head_tokens)
        opening = b'{"index":%d,"type":"function","function":{"arguments":"' % place
        yield from _pieces(_around_step(step_id, opening, b'"}}'), call.arguments)


# --- messages ------------------------------------------------------------------------------------------


def _said(step: Step, answer: Answer, message_id: str) -> Iterator[Chunk]:
    refused = answer.refusal is not None
    start = b'event: thread.message.delta\ndata: {"id":"%b","object":"thread.message.delta",' % (
        message_id.encode()
    )
    for index, file_id in enumerate(step.shown):
        image = {"index": index, "type": "image_file", "image_file": {"file_id": file_id}}
        yield Chunk(b'%b"delta":{"content":[%b]}}\n\n' % (start, orjson.dumps(image)))
    before = b'"delta":{"content":[{"index":%d,"type":' % len(step.shown)
    after = b"}]}}\n\n"
    if refused:
        around = (b'%b%b"refusal","refusal":"' % (start, before), b'"' + after)
        yield from _pieces(around, answer.said)
        return
    opening, closing = b'%b%b"text","text":{"value":"' % (start, before), b'"}' + after
    first = b'","annotations":[]}' + after
    for text, tokens, annotation in _cut(answer.said, step.annotations):
        tail = closing
        if annotation is not None:
            tail = b'","annotations":[%b]}%b' % (orjson.dumps(annotation), after)
        elif first:
            tail = first
        first = b""
        yield Chunk(opening + text + tail, tokens)


def _cut(
    said: Passage, annotations: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[bytes, int, Mapping[str, Any] | None]]:
    """The text piece by piece; one that is annotated comes whole, with its annotation."""
    left = list(enumerate(annotations))
    place, held, count = 0, b"", 0
    for piece, escaped in zip(said.pieces, said.escaped, strict=True):
        place += len(piece)
        held, count = held + escaped, count + 1
        if left and place > left[0][1]["start_index"]:
            if place < left[0][1]["end_index"]:
                continue
            index, annotation = left.pop(0)
            yield held, count, {"index": index, **annotation}
        else:
            yield held, count, None
        held, count = b"", 0
    if held:
        yield held, count, None


# --- steps ---------------------------------------------------------------------------------------------


def _worked(worked: Worked, step_id: str, call_id: str) -> Iterator[Chunk]:
    kind = worked.call["type"]
    if kind == "file_search":
        head = {"index": 0, "id": call_id, "type": kind, "file_search": {}}
        yield Chunk(_step_delta(step_id, head), worked.given.tokens)
        return
    head = {"index": 0, "id": call_id, "type": kind, kind: {"input": "", "outputs": []}}
    yield Chunk(_step_delta(step_id, head))
    opening = b'{"index":0,"type":"code_interpreter","code_interpreter":{"input":"'
    yield from _pieces(_around_step(step_id, opening, b'"}}'), worked.given)
    outputs = [{"index": k, **output} for k, output in enumerate(worked.call[kind]["outputs"])]
    yield Chunk(_step_delta(step_id, {"index": 0, "type": kind, kind: {"outputs": outputs}}))


def _step_delta(step_id: str, call: Mapping[str, Any]) -> bytes:
    before, after = _around_step(step_id, b"", b"")
    return before + orjson.dumps(call) + after


def _around_step(step_id: str, opening: bytes, closing: bytes) -> tuple[bytes, bytes]:
    before = (
        b'event: thread.run.step.delta\ndata: {"id":"%b","object":"thread.run.step.delta",'
        b'"delta":{"step_details":{"type":"tool_calls","tool_calls":[%b'
        % (step_id.encode(), opening)
    )
    return before, closing + b"]}}}\n\n"


def _pieces(around: tuple[bytes, bytes], passage: Passage) -> Iterator[Chunk]:
    before, after = around
    for piece in passage.escaped:
        yield Chunk(before + piece + after, 1)
