"""A plan as bytes: one message, or the events of a stream with one token a delta.

What depends on the back end (tokens read from the cache, and so those written to it) is a function of
the admission, and only where the client asks for caching of a prefix that is long enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import orjson
from pydantic_core import from_json

from fakeai_proxy.exchange import Admission, Chunk, Reply, Workload
from fakeai_proxy.services.claude import traits_of
from fakeai_proxy.services.messages.plan import Block, Plan
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.wire import JSON_HEADERS, sse_reply

#: Characters of what cannot be read: the signature of a thought, and a thought itself.
_SIGNATURE_CHARS, _REDACTED_CHARS = 332, 416
_PING = b'event: ping\ndata: {"type":"ping"}\n\n'
_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'

Late = Callable[[Admission], bytes]


def speak(call: Call, plan: Plan) -> Reply:
    workload = _workload(plan)
    speech = _Speech(call, plan)
    if plan.request.stream:
        return sse_reply(list(speech.events()), workload)
    body = speech.body()

    def whole(admission: Admission) -> bytes:
        return body % speech.usage.whole(admission)

    if speech.usage.is_late:
        chunk = Chunk(whole, workload.output_tokens)
        return Reply(200, JSON_HEADERS, [chunk], workload=workload)
    data = whole(Admission())
    headers = (*JSON_HEADERS, (b"content-length", b"%d" % len(data)))
    return Reply(200, headers, [Chunk(data, workload.output_tokens)], workload=workload)


def _workload(plan: Plan) -> Workload:
    card = plan.card
    full = plan.stop_reason in ("max_tokens", "model_context_window_exceeded")
    return Workload(
        card.id,
        plan.prompt.ids,
        plan.output_tokens,
        output=plan.output_ids,
        lora=card.id if card.parent else "",
        # A pool that stands in for another model has another context: limits are the model's own.
        output_limit=plan.request.max_tokens if card.max_model_len else 0,
        finishes=("length" if full else "stop",),
    )


class _Usage:
    """Tokens as the vendor counts them: what is read from the cache and what is written to it are
    counted besides the input, not within it."""

    def __init__(self, plan: Plan) -> None:
        self._total = len(plan.prompt.ids)
        least = traits_of(plan.card.id).cached_tokens_min
        marks = [mark for mark in plan.prompt.breakpoints if mark.tokens >= least]
        self._last = max([mark.tokens for mark in marks], default=0)
        self._hour = max([mark.tokens for mark in marks if mark.hour], default=0)
        self._output, self._thinking = plan.output_tokens, plan.thinking_tokens
        request = plan.request
        geo = orjson.dumps(request.inference_geo or "global")
        self._end = b'"service_tier":"standard","inference_geo":%b' % geo
        if request.speed is not None:
            self._end += b',"speed":"%b"' % request.speed.encode()

    @property
    def is_late(self) -> bool:
        return self._last > 0

    def _parts(self, admission: Admission) -> tuple[int, int, int, int]:
        """Input, read, written for five minutes, written for an hour."""
        read = min(admission.cached_tokens, self._last)
        hour = max(self._hour - read, 0)
        return self._total - self._last, read, self._last - read - hour, hour

    def _in(self, admission: Admission) -> bytes:
        fresh, read, minutes, hour = self._parts(admission)
        return (
            b'"input_tokens":%d,"cache_creation_input_tokens":%d,"cache_read_input_tokens":%d'
            % (fresh, minutes + hour, read)
        )  # fmt: skip

    def _out(self) -> bytes:
        return b'"output_tokens":%d,"output_tokens_details":{"thinking_tokens":%d}' % (
            self._output, self._thinking,
        )  # fmt: skip

    def _message(self, admission: Admission, out: bytes) -> bytes:
        _, _, minutes, hour = self._parts(admission)
        written = (
            b'"cache_creation":{"ephemeral_5m_input_tokens":%d,"ephemeral_1h_input_tokens":%d}'
            % (minutes, hour)
        )
        return b"{%b,%b,%b,%b}" % (self._in(admission), written, out, self._end)

    def whole(self, admission: Admission) -> bytes:
        return self._message(admission, self._out())

    def begun(self, admission: Admission) -> bytes:
        """Of a message whose first token is there."""
        return self._message(admission, b'"output_tokens":%d' % min(self._output, 1))

    def ended(self, admission: Admission) -> bytes:
        return b"{%b,%b}" % (self._in(admission), self._out())


class _Speech:
    def __init__(self, call: Call, plan: Plan) -> None:
        self._call = call
        self._plan = plan
        self.usage = _Usage(plan)
        name = call.dice.text_id(call.id_key, "msg", length=22).encode()
        self._start = b'{"id":"msg_01%b","type":"message","role":"assistant","model":%b,' % (
            name, orjson.dumps(plan.card.id),
        )  # fmt: skip
        sequence = orjson.dumps(plan.stop_sequence or None)
        details = b"null"
        if plan.stop_reason == "refusal":
            details = b'{"type":"refusal","category":null,"explanation":null}'
        self._stop = b'"stop_reason":"%b","stop_sequence":%b,"stop_details":%b' % (
            plan.stop_reason.encode(), sequence, details,
        )  # fmt: skip

    # --- the whole message ---

    def body(self) -> bytes:
        """With a place for the usage."""
        blocks = b",".join([self._block(k, block) for k, block in enumerate(self._plan.blocks)])
        whole = b'%b"content":[%b],%b,"usage":' % (self._start, blocks, self._stop)
        return whole.replace(b"%", b"%%") + b"%b}"

    def _block(self, index: int, block: Block) -> bytes:
        text = b"" if block.hidden else block.passage.json
        if block.kind == "text":
            return b'{"type":"text","text":"%b"}' % text
        if block.kind == "thinking":
            return b'{"type":"thinking","thinking":"%b","signature":"%b"}' % (
                text, self._signature(index),
            )  # fmt: skip
        if block.kind == "redacted_thinking":
            return self._redacted(index)
        return self._tool_use(index, block, orjson.dumps(_object(block.passage.text)))

    def _tool_use(self, index: int, block: Block, value: bytes) -> bytes:
        name = self._call.dice.text_id(self._call.id_key, "toolu", index, length=22).encode()
        return (
            b'{"type":"tool_use","id":"toolu_01%b","name":%b,"input":%b,"caller":{"type":"direct"}}'
            % (name, orjson.dumps(block.name), value)
        )

    def _redacted(self, index: int) -> bytes:
        return b'{"type":"redacted_thinking","data":"%b"}' % self._opaque(index, _REDACTED_CHARS)

    def _signature(self, index: int) -> bytes:
        return self._opaque(index, _SIGNATURE_CHARS)

    def _opaque(self, index: int, length: int) -> bytes:
        """What looks like base64 and says nothing."""
        dice = self._call.dice
        return dice.text_id(self._plan.key, "signature", index, length=length).encode()

    # --- the stream ---

    def events(self) -> Iterator[Chunk]:
        usage = self.usage
        opening = (
            b'event: message_start\ndata: {"type":"message_start","message":%b"content":[],'
            b'"stop_reason":null,"stop_sequence":null,"stop_details":null,"usage":' % self._start
        )
        yield _late(usage, lambda admission: opening + usage.begun(admission) + b"}}\n\n")
        for index, block in enumerate(self._plan.blocks):
            head = self._redacted(index) if block.kind == "redacted_thinking" else self._head(index)
            started = block.tokens if block.kind == "redacted_thinking" else block.head_tokens
            yield _event(b"content_block_start", b'"index":%d,"content_block":%b' % (index, head),
                         started)  # fmt: skip
            if index == 0:
                yield Chunk(_PING)
            yield from self._deltas(index, block)
            yield _event(b"content_block_stop", b'"index":%d' % index)
        closing = (
            b'event: message_delta\ndata: {"type":"message_delta","delta":{%b},"usage":'
            % self._stop
        )
        yield _late(usage, lambda admission: closing + usage.ended(admission) + b"}\n\n")
        yield Chunk(_STOP)

    def _head(self, index: int) -> bytes:
        block = self._plan.blocks[index]
        if block.kind == "tool_use":
            return self._tool_use(index, block, b"{}")
        if block.kind == "thinking":
            return b'{"type":"thinking","thinking":"","signature":""}'
        return b'{"type":"text","text":""}'

    def _deltas(self, index: int, block: Block) -> Iterator[Chunk]:
        if block.kind == "redacted_thinking":
            return
        kind, key = _DELTAS[block.kind]
        before = (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":'
            b'{"type":"%b","%b":"' % (index, kind, key)
        )
        if block.kind == "tool_use":
            yield Chunk(before + b'"}}\n\n')
        if not block.hidden:
            for piece in block.passage.escaped:
                yield Chunk(before + piece + b'"}}\n\n', 1)
        if block.kind == "thinking":
            signature = b'{"type":"signature_delta","signature":"%b"}' % self._signature(index)
            yield _event(b"content_block_delta", b'"index":%d,"delta":%b' % (index, signature),
                         block.tokens if block.hidden else 0)  # fmt: skip


_DELTAS = {
    "text": (b"text_delta", b"text"),
    "thinking": (b"thinking_delta", b"thinking"),
    "tool_use": (b"input_json_delta", b"partial_json"),
}


def _event(name: bytes, members: bytes, tokens: int = 0) -> Chunk:
    return Chunk(b'event: %b\ndata: {"type":"%b",%b}\n\n' % (name, name, members), tokens)


def _late(usage: _Usage, made: Late) -> Chunk:
    return Chunk(made if usage.is_late else made(Admission()))


def _object(text: str) -> object:
    """The input of a tool; of one that was cut short, what is there of it."""
    value = from_json(text, allow_partial=True) if text else {}
    return value if isinstance(value, dict) else {}
