"""Faults of what is said, in the shapes of every vendor: streams and whole bodies."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fakeai_proxy.exchange import Chunk, Reply
from fakeai_proxy.shaping.faults.frames import each
from fakeai_proxy.shaping.faults.injection import Chain
from tests.shaping.test_faults_stages import SSE, chain


def frame(value: object) -> bytes:
    kind = value.get("type") if isinstance(value, dict) else None
    name = f"event: {kind}\n" if kind else ""
    return f"{name}data: {json.dumps(value, separators=(',', ':'))}\n\n".encode()


def stream(fault: str, *events: object) -> list[Any]:
    """What becomes of a stream's events."""
    chunks = [Chunk(frame(event)) for event in events]
    passed = chain(fault, Reply(200, SSE, chunks)).all(chunks)
    return [json.loads(data.partition(b"data: ")[2]) for data in each(passed)]


def whole(fault: str, body: object) -> Any:
    chunks = [Chunk(json.dumps(body).encode())]
    reply = Reply(200, ((b"content-type", b"application/json"),), chunks)
    made = Chain(chain(fault, reply)._stages[1:])
    return json.loads(b"".join(each(made.all(chunks))))


TEXT = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}}
TOOL = {"type": "content_block_delta", "index": 1,
        "delta": {"type": "input_json_delta", "partial_json": '{"a":{}}'}}  # fmt: skip
STOP = {
    "type": "message_delta",
    "delta": {"stop_reason": "end_turn"},
    "usage": {"output_tokens": 3},
}
START = {"type": "message_start", "message": {"model": "claude", "usage": {"input_tokens": 2}}}
BLOCKS = [{"type": "text", "text": "hello"}, {"type": "tool_use", "input": {"a": 1}}]
MESSAGE = {"type": "message", "model": "claude", "stop_reason": "end_turn", "content": BLOCKS,
           "usage": {"output_tokens": 3}}  # fmt: skip

SAID = {"type": "response.output_text.delta", "delta": "hello", "sequence_number": 4}
ARGUED = {"type": "response.function_call_arguments.delta", "delta": '{"a":1}'}
RESPONSE = {"object": "response", "status": "completed", "model": "gpt-4o", "usage": {"total_tokens": 5},
            "output": [{"type": "message", "content": [{"type": "output_text", "text": "hello"}]},
                       {"type": "function_call", "arguments": '{"a":1}'}]}  # fmt: skip
COMPLETED = {"type": "response.completed", "response": RESPONSE}
COMPLETION = {"model": "m", "choices": [{"text": "hello", "finish_reason": "stop"}], "usage": {}}


@pytest.mark.parametrize(
    ("fault", "event", "expected"),
    [
        ("refusal:message=no", TEXT, {**TEXT, "delta": {"type": "text_delta", "text": "no"}}),
        ("refusal:message=no", SAID, {**SAID, "delta": "no"}),
        ("broken_arguments", TOOL, {**TOOL, "delta": {**TOOL["delta"], "partial_json": '{"a":{'}}),  # type: ignore[dict-item]
        ("broken_arguments", ARGUED, {**ARGUED, "delta": '{"a":1'}),
        ("finish:reason=length", STOP, {**STOP, "delta": {"stop_reason": "max_tokens"}}),
        ("finish:reason=content_filter", STOP, {**STOP, "delta": {"stop_reason": "refusal"}}),
        ("no_usage", STOP, {key: value for key, value in STOP.items() if key != "usage"}),
        ("no_usage", START, {**START, "message": {"model": "claude"}}),
        ("wrong_model:name=x", START, {**START, "message": {**START["message"], "model": "x"}}),  # type: ignore[dict-item]
        ("wrong_model:name=x", COMPLETED, {**COMPLETED, "response": {**RESPONSE, "model": "x"}}),
        ("finish:reason=length", COMPLETED, {"type": "response.incomplete", "response": {
            **RESPONSE, "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}}),
        ("garble:share=0", TEXT, TEXT),
    ],
)  # fmt: skip
def test_an_event_is_changed_where_its_vendor_has_it(fault: str, event: Any, expected: Any) -> None:
    assert stream(fault, event) == [expected]


@pytest.mark.parametrize(
    ("fault", "body", "path", "expected"),
    [
        ("finish:reason=length", MESSAGE, ["stop_reason"], "max_tokens"),
        ("finish:reason=length", COMPLETION, ["choices", 0, "finish_reason"], "length"),
        ("finish:reason=length", RESPONSE, ["incomplete_details", "reason"], "max_output_tokens"),
        ("refusal:message=no", MESSAGE, ["content", 0, "text"], "no"),
        ("refusal:message=no", RESPONSE, ["output", 0, "content", 0, "text"], "no"),
        ("refusal:message=no", COMPLETION, ["choices", 0, "text"], "no"),
        ("broken_arguments", RESPONSE, ["output", 1, "arguments"], '{"a":1'),
        ("broken_arguments", MESSAGE, ["content", 1, "input"], {"_raw": '{"a":1'}),
        ("wrong_model:name=x", MESSAGE, ["model"], "x"),
        ("garble:share=1", MESSAGE, ["model"], "claude"),
    ],
)
def test_a_body_is_changed_where_its_vendor_has_it(
    fault: str, body: Any, path: list[Any], expected: Any
) -> None:
    value = whole(fault, body)
    for step in path:
        value = value[step]
    assert value == expected


@pytest.mark.parametrize("body", [MESSAGE, COMPLETION, RESPONSE])
def test_usage_is_missing_and_nothing_else(body: dict[str, Any]) -> None:
    assert whole("no_usage", body) == {key: value for key, value in body.items() if key != "usage"}


@pytest.mark.parametrize(
    "events", [(START, TEXT, TEXT, STOP, {"type": "message_stop"}), (SAID, SAID, COMPLETED)]
)
def test_the_end_is_left_out_and_doubled_whatever_it_is_called(events: tuple[Any, ...]) -> None:
    assert stream("no_done", *events) == list(events[:-1])
    assert stream("double_done", *events) == [*events, events[-1]]
    cut = stream("truncate:after=1", *events)
    assert cut == list(events[: len(cut)])
    assert len(cut) == events.index(TEXT if TEXT in events else SAID) + 1
