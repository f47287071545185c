"""A plan as bytes: one message, or the events of a stream with one token a delta.

What depends on the back end (tokens read from the cache, and so those written to it) is a function of
the admission, and only where the client asks for caching of a prefix that is long enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import orjson
from pydantic_core import from_json

from fakeai_proxy.exchange import BATCH, Admission, Chunk, Reply, Usage, Workload
from fakeai_proxy.services import metering
from fakeai_proxy.services.claude import traits_of
from fakeai_proxy.services.messages.block import Block
from fakeai_proxy.services.messages.plan import Plan
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.wire import JSON_HEADERS, sse_reply

#: Characters of what cannot be read: the signature of a thought, and a thought itself.
_SIGNATURE_CHARS, _REDACTED_CHARS = 332, 416
#: Seconds that a container stays after its last use (platform.claude.com, code execution tool).
_CONTAINER_LIFE_S = 300
_PING = b'event: ping\ndata: {"type":"ping"}\n\n'
_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'

Late = Callable[[Admission], bytes]


def speak(call: Call, plan: Plan) -> Reply:
    reply = _spoken(call, plan)
    reply.finish = plan.stop_reason
    return reply


def _spoken(call: Call, plan: Plan) -> Reply:
    workload = _workload(plan)
    speech = _Speech(call, plan, b"batch" if call.tier == BATCH else b"standard")
    if plan.request.stream:
        return sse_reply(list(speech.events()), workload, speech.usage.billed())
    body = speech.body()

    def whole(admission: Admission) -> bytes:
        return body % speech.usage.whole(admission)

    if speech.usage.is_late:
        chunk = Chunk(whole, workload.output_tokens)
        return Reply(200, JSON_HEADERS, [chunk], workload=workload, usage=speech.usage.billed())
    data = whole(Admission())
    headers = (*JSON_HEADERS, (b"content-length", b"%d" % len(data)))
    chunk = Chunk(data, workload.output_tokens)
    return Reply(200, headers, [chunk], workload=workload, usage=speech.usage.billed())


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

    def __init__(self, plan: Plan, tier: bytes) -> None:
        self._plan = plan
        self._total = len(plan.prompt.ids)
        least = traits_of(plan.card.id).cached_tokens_min
        marks = [mark for mark in plan.prompt.breakpoints if mark.tokens >= least]
        self._last = max([mark.tokens for mark in marks], default=0)
        self._hour = max([mark.tokens for mark in marks if mark.hour], default=0)
        self._output, self._thinking = plan.output_tokens, plan.thinking_tokens
        self._searches = b""
        if any(plan.searches):
            self._searches = (
                b',"server_tool_use":{"web_search_requests":%d,"web_fetch_requests":%d}'
                % plan.searches
            )
        request = plan.request
        geo = orjson.dumps(request.inference_geo or "global")
        self._end = b'"service_tier":"%b","inference_geo":%b' % (tier, geo)
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

    def billed(self) -> tuple[Usage, ...]:
        """For the organization's account, which counts what is cached within the input."""
        plan = self._plan
        late = self._cache if self.is_late else None
        made = [metering.completion(plan.card, self._total, self._output, late=late, amounts={})]
        if plan.searches[0]:
            made.append(metering.searches(metering.WEB_SEARCHES, plan.card, plan.searches[0]))
        if plan.runs_code:
            made.append(metering.session())
        return tuple(made)

    def _cache(self, admission: Admission) -> dict[str, int]:
        _, read, minutes, hour = self._parts(admission)
        return {
            "input_cached_tokens": read,
            "input_cache_write_tokens": minutes + hour,
            "input_cache_write_1h_tokens": hour,
        }

    def _in(self, admission: Admission) -> bytes:
        fresh, read, minutes, hour = self._parts(admission)
        return (
            b'"input_tokens":%d,"cache_creation_input_tokens":%d,"cache_read_input_tokens":%d'
            % (fresh, minutes + hour, read)
        )  # fmt: skip

    def _out(self) -> bytes:
        return b'"output_tokens":%d,"output_tokens_details":{"thinking_tokens":%d}%b' % (
            self._output, self._thinking, self._searches,
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
    def __init__(self, call: Call, plan: Plan, tier: bytes) -> None:
        self._call = call
        self._plan = plan
        self.usage = _Usage(plan, tier)
        name = call.dice.text_id(call.id_key, "msg", length=22).encode()
        self._start = b'{"id":"msg_01%b","type":"message","role":"assistant","model":%b,' % (
            name, orjson.dumps(plan.card.id),
        )  # fmt: skip
        sequence = orjson.dumps(plan.stop_sequence or None)
        details = b"null"
        if plan.stop_reason == "refusal":
            details = b'{"type":"refusal","category":null,"explanation":null}'
        self._container = b""
        if plan.runs_code:
            self._container = b',"container":' + orjson.dumps(self._place())
        self._stop = b'"stop_reason":"%b","stop_sequence":%b,"stop_details":%b' % (
            plan.stop_reason.encode(), sequence, details,
        )  # fmt: skip

    def _place(self) -> dict[str, str]:
        """The container that code ran in."""
        asked, expires = self._plan.request.container, self._call.created + _CONTAINER_LIFE_S
        name = f"container_01{self._call.dice.text_id(self._call.id_key, 'container', length=22)}"
        return {
            "id": asked if isinstance(asked, str) else name,
            "expires_at": datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    # --- the whole message ---

    def body(self) -> bytes:
        """With a place for the usage."""
        blocks = b",".join([self._block(k, block) for k, block in enumerate(self._plan.blocks)])
        whole = b'%b"content":[%b],%b%b,"usage":' % (
            self._start, blocks, self._stop, self._container,
        )  # fmt: skip
        return whole.replace(b"%", b"%%") + b"%b}"

    def _block(self, index: int, block: Block) -> bytes:
        text = b"" if block.hidden else block.passage.json
        if block.kind == "text":
            cites = b',"citations":' + orjson.dumps(block.citations) if block.citations else b""
            return b'{"type":"text","text":"%b"%b}' % (text, cites)
        if block.kind == "thinking":
            return b'{"type":"thinking","thinking":"%b","signature":"%b"}' % (
                text, self._signature(index),
            )  # fmt: skip
        if block.kind == "redacted_thinking":
            return self._redacted(index)
        if block.kind == "result":
            return self._result(index, block)
        return self._tool_use(index, block, orjson.dumps(_object(block.passage.text)))

    def _result(self, index: int, block: Block) -> bytes:
        return b'{"type":"%b","tool_use_id":"%b","content":%b}' % (
            block.name.encode(), self._tool_id(index - 1), orjson.dumps(block.result),
        )  # fmt: skip

    def _tool_id(self, index: int) -> bytes:
        prefix = "srvtoolu" if self._plan.blocks[index].kind == "server_tool_use" else "toolu"
        name = self._call.dice.text_id(self._call.id_key, "toolu", index, length=22)
        return f"{prefix}_01{name}".encode()

    def _tool_use(self, index: int, block: Block, value: bytes) -> bytes:
        return b'{"type":"%b","id":"%b","name":%b,"input":%b,"caller":{"type":"direct"}}' % (
            block.kind.encode(),
            self._tool_id(index),
            orjson.dumps(block.name),
            value,
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
            b'"stop_reason":null,"stop_sequence":null,"stop_details":null%b,"usage":'
            % (self._start, self._container)
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
        if block.kind in ("tool_use", "server_tool_use"):
            return self._tool_use(index, block, b"{}")
        if block.kind == "result":
            return self._result(index, block)
        if block.kind == "thinking":
            return b'{"type":"thinking","thinking":"","signature":""}'
        return b'{"type":"text","text":""}'

    def _deltas(self, index: int, block: Block) -> Iterator[Chunk]:
        if block.kind not in _DELTAS:
            return
        kind, key = _DELTAS[block.kind]
        before = (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":'
            b'{"type":"%b","%b":"' % (index, kind, key)
        )
        if block.kind in ("tool_use", "server_tool_use"):
            yield Chunk(before + b'"}}\n\n')
        if not block.hidden:
            for piece in block.passage.escaped:
                yield Chunk(before + piece + b'"}}\n\n', 1)
        for citation in block.citations:
            delta = orjson.dumps({"type": "citations_delta", "citation": citation})
            yield _event(b"content_block_delta", b'"index":%d,"delta":%b' % (index, delta))
        if block.kind == "thinking":
            signature = b'{"type":"signature_delta","signature":"%b"}' % self._signature(index)
            yield _event(b"content_block_delta", b'"index":%d,"delta":%b' % (index, signature),
                         block.tokens if block.hidden else 0)  # fmt: skip


_DELTAS = {
    "text": (b"text_delta", b"text"),
    "thinking": (b"thinking_delta", b"thinking"),
    "tool_use": (b"input_json_delta", b"partial_json"),
    "server_tool_use": (b"input_json_delta", b"partial_json"),
}


def _event(name: bytes, members: bytes, tokens: int = 0) -> Chunk:
    return Chunk(b'event: %b\ndata: {"type":"%b",%b}\n\n' % (name, name, members), tokens)


def _late(usage: _Usage, made: Late) -> Chunk:
    return Chunk(made if usage.is_late else made(Admission()))


def _object(text: str) -> object:
    """The input of a tool; of one that was cut short, what is there of it."""
    value = from_json(text, allow_partial=True) if text else {}
    return value if isinstance(value, dict) else {}
