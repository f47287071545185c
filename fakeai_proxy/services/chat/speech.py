"""A plan as bytes: one JSON body, or the frames of a stream with one token each.

The constant part of a stream's frames is built once; a token costs one concatenation. What depends on
the back end (cached tokens) is a function of the admission, and only where a prompt is long enough to be
cached.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from fakeai_proxy.exchange import Admission, Chunk, Reply, Workload
from fakeai_proxy.services.answer.cached import cached_tokens, may_be_cached
from fakeai_proxy.services.answer.task import Answer, ToolCall
from fakeai_proxy.services.chat.plan import Plan
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.wire import (
    DONE,
    JSON_HEADERS,
    Late,
    counted,
    model_fingerprint,
    side_by_side,
    sse_reply,
)

_OBFUSCATED_CHARS = 16

_TIERS = {"flex": b"flex", "priority": b"priority", "scale": b"scale"}


def speak(call: Call, plan: Plan) -> Reply:
    workload = plan.workload
    if workload is None:
        workload = plan.workload = _workload(plan)
    identity = _identity(call, plan)
    if plan.request.stream:
        return sse_reply(_Stream(call, plan, identity).chunks(), workload)
    return _whole(call, plan, identity, workload)


def _workload(plan: Plan) -> Workload:
    request, card = plan.request, plan.card
    limit = request.max_completion_tokens or request.max_tokens or 0
    return Workload(
        card.id,
        plan.prompt.ids,
        plan.completion_tokens,
        priority=request.priority or 0,
        samples=len(plan.choices),
        output=plan.output_ids,
        lora=card.id if card.parent else "",
        cache_salt=request.cache_salt or "",
        # A pool that stands in for another model has another context: limits are the model's own.
        output_limit=limit if card.max_model_len else 0,
        session=request.prompt_cache_key or "",
        finishes=["length" if c.finish_reason == "length" else "stop" for c in plan.choices],
    )


def _identity(call: Call, plan: Plan) -> tuple[bytes, bytes, bytes]:
    """`"id":...` up to the object's name, what follows the name, and the end of the object."""
    request_id = call.dice.text_id(call.id_key, "chatcmpl", length=29)
    model, fingerprint = model_fingerprint(plan.model)
    before = b'{"id":"chatcmpl-%b","object":"chat.completion' % request_id.encode()
    after = b'","created":%d,"model":%b,' % (call.created, model)
    tier = _TIERS.get(plan.request.service_tier or "", b"default")
    closing = b'"service_tier":"%b","system_fingerprint":"%b"' % (tier, fingerprint)
    return before, after, closing


# --- the whole body ---------------------------------------------------------------------------


def _whole(
    call: Call, plan: Plan, identity: tuple[bytes, bytes, bytes], workload: Workload
) -> Reply:
    before, after, closing = identity
    in_functions = _in_functions(plan)
    choices = plan.rendered
    if choices is None:
        choices = b",".join(
            [_choice(call, k, choice, in_functions) for k, choice in enumerate(plan.choices)]
        )
        if not any(choice.calls for choice in plan.choices):  # whose ids are each request's own
            plan.rendered = choices
    start = b'%b%b"choices":[%b],"usage":' % (before, after, choices)
    usage = _usage(plan)
    if isinstance(usage, bytes):
        data = b"%b%b,%b}" % (start, usage, closing)
        headers = (*JSON_HEADERS, (b"content-length", b"%d" % len(data)))
        return Reply(200, headers, [Chunk(data, workload.output_tokens)], workload=workload)

    def body(admission: Admission) -> bytes:
        return b"%b%b,%b}" % (start, usage(admission), closing)

    return Reply(200, JSON_HEADERS, [Chunk(body, workload.output_tokens)], workload=workload)


def _choice(call: Call, index: int, choice: Answer, in_functions: bool) -> bytes:
    content = b"null" if choice.content is None else b'"%b"' % choice.content.json
    refusal = b"null" if choice.refusal is None else b'"%b"' % choice.refusal.json
    calls = b""
    if choice.calls and in_functions:
        calls = b',"function_call":' + _function(choice.calls[0])
    elif choice.calls:
        calls = b',"tool_calls":[%b]' % b",".join(
            [
                _tool_call(_call_id(call, index, place), made)
                for place, made in enumerate(choice.calls)
            ]
        )
    return (
        b'{"index":%d,"message":{"role":"assistant","content":%b,"refusal":%b,"annotations":[]%b},'
        b'"logprobs":%b,"finish_reason":"%b"}'
        % (index, content, refusal, calls, _logprobs(choice.logprobs, _field(choice)),
           choice.finish_reason.encode())
    )  # fmt: skip


def _function(call: ToolCall) -> bytes:
    return b'{"name":%b,"arguments":"%b"}' % (orjson.dumps(call.name), call.arguments.json)


def _call_id(call: Call, choice: int, place: int) -> bytes:
    return b"call_" + call.dice.text_id(call.id_key, "call", choice, place).encode()


def _tool_call(call_id: bytes, call: ToolCall) -> bytes:
    if call.custom:
        return b'{"id":"%b","type":"custom","custom":{"name":%b,"input":"%b"}}' % (
            call_id, orjson.dumps(call.name), call.arguments.json,
        )  # fmt: skip
    return b'{"id":"%b","type":"function","function":%b}' % (call_id, _function(call))


def _field(choice: Answer) -> bytes:
    """Where the words of a message are."""
    return b"content" if choice.refusal is None else b"refusal"


def _logprobs(entries: list[dict[str, Any]] | None, field: bytes) -> bytes:
    if entries is None:
        return b"null"
    said = orjson.dumps(entries)
    if field == b"refusal":
        return b'{"content":null,"refusal":%b}' % said
    return b'{"content":%b,"refusal":null}' % said


def _in_functions(plan: Plan) -> bool:
    """Whether calls take the deprecated form of `functions`."""
    return bool(plan.request.functions) and not plan.request.tools


def _usage(plan: Plan) -> Late:
    prompt, completion = len(plan.prompt.ids), plan.completion_tokens

    def usage(admission: Admission) -> bytes:
        cached = cached_tokens(plan.card, admission, prompt)
        return (
            b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":'
            b'{"cached_tokens":%d,"audio_tokens":%d},"completion_tokens_details":{"reasoning_tokens":%d,'
            b'"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}'
            % (prompt, completion, prompt + completion, cached, plan.prompt.audio_tokens,
               plan.reasoning_tokens)
        )  # fmt: skip

    return usage if may_be_cached(plan.card, prompt) else usage(Admission())


# --- the stream ---------------------------------------------------------------------------------


class _Stream:
    def __init__(self, call: Call, plan: Plan, identity: tuple[bytes, bytes, bytes]) -> None:
        before, after, closing = identity
        options = plan.request.stream_options
        self.call = call
        self.plan = plan
        self.in_functions = _in_functions(plan)
        self.with_usage = bool(options and options.include_usage)
        self.counted = bool(self.with_usage and options and options.continuous_usage_stats)
        self.obfuscated = bool(options and options.include_obfuscation)
        self.noise = call.dice.text_id(call.dice_key, "obfuscation", length=256)
        self.start = b'data: %b.chunk%b%b,"choices":[' % (before, after, closing)
        self.end = b"]%b}\n\n" % (b',"usage":null' if self.with_usage else b"")

    def chunks(self) -> list[Chunk]:
        choices = self.plan.choices
        heads = [self._role(k, choice) for k, choice in enumerate(choices)]
        bodies = [self._body(k, choice) for k, choice in enumerate(choices)]
        if self.counted:
            prompt = len(self.plan.prompt.ids)
            streams = [
                counted([head, *body], prompt) for head, body in zip(heads, bodies, strict=True)
            ]
            heads, bodies = [each[0] for each in streams], [each[1:] for each in streams]
        chunks = heads + side_by_side(bodies)
        if self.with_usage:
            chunks.append(Chunk(self._usage()))
        chunks.append(Chunk(DONE))
        return chunks

    def _role(self, index: int, choice: Answer) -> Chunk:
        """Leaves with the first token, after those that are only thought."""
        content = b"null" if choice.content is None else b'""'
        delta = b'"role":"assistant","content":%b,"refusal":null' % content
        return Chunk(self._frame(index, delta), choice.reasoning_tokens)

    def _body(self, index: int, choice: Answer) -> list[Chunk]:
        chunks: list[Chunk] = []
        chunks += self._content(index, choice)
        for place, call in enumerate(choice.calls):
            chunks += self._call(index, place, call)
        chunks.append(Chunk(self._frame(index, b"", finish=choice.finish_reason.encode())))
        return chunks

    def _content(self, index: int, choice: Answer) -> list[Chunk]:
        before, after = self._around(index, b'"%b":"' % _field(choice))
        if choice.logprobs is None and not self.obfuscated:
            tail = b'"%b' % after
            return [Chunk(before + piece + tail, 1) for piece in choice.said.escaped]
        return list(self._adorned(index, choice))

    def _adorned(self, index: int, choice: Answer) -> Iterator[Chunk]:
        field = _field(choice)
        for k, piece in enumerate(choice.said.escaped):
            entry = None if choice.logprobs is None else [choice.logprobs[k]]
            delta = b'"%b":"%b"' % (field, piece)
            yield Chunk(self._frame(index, delta, _logprobs(entry, field), seed=k), 1)

    def _call(self, index: int, place: int, call: ToolCall) -> list[Chunk]:
        if self.in_functions:
            head = b'"function_call":{"name":%b,"arguments":""}' % orjson.dumps(call.name)
            before, after = self._around(index, b'"function_call":{"arguments":"')
            tail = b'"}%b' % after
        else:
            kind, key = (b"custom", b"input") if call.custom else (b"function", b"arguments")
            head = b'"tool_calls":[{"index":%d,"id":"%b","type":"%b","%b":{"name":%b,"%b":""}}]' % (
                place,
                _call_id(self.call, index, place),
                kind,
                kind,
                orjson.dumps(call.name),
                key,
            )
            opening = b'"tool_calls":[{"index":%d,"%b":{"%b":"' % (place, kind, key)
            before, after = self._around(index, opening)
            tail = b'"}}]%b' % after
        first = Chunk(self._frame(index, head), call.head_tokens)
        return [first, *[Chunk(before + piece + tail, 1) for piece in call.arguments.escaped]]

    def _around(self, index: int, opening: bytes) -> tuple[bytes, bytes]:
        """What stands before and after the piece in a frame whose delta starts with `opening`."""
        before = b'%b{"index":%d,"delta":{%b' % (self.start, index, opening)
        return before, b'},"logprobs":null,"finish_reason":null}' + self.end

    def _frame(
        self,
        index: int,
        delta: bytes,
        logprobs: bytes = b"null",
        finish: bytes = b"",
        seed: int = 0,
    ) -> bytes:
        end = self.end
        if self.obfuscated:
            # Lengths of tokens are hidden by filling up to a round number.
            fill = self.noise[seed % 128 :][: _OBFUSCATED_CHARS - len(delta) % _OBFUSCATED_CHARS]
            end = b'%b,"obfuscation":"%b"}\n\n' % (end[: -len(b"}\n\n")], fill.encode())
        return b'%b{"index":%d,"delta":{%b},"logprobs":%b,"finish_reason":%b}%b' % (
            self.start, index, delta, logprobs, b'"%b"' % finish if finish else b"null", end,
        )  # fmt: skip

    def _usage(self) -> Late:
        usage = _usage(self.plan)
        start = self.start + b'],"usage":'
        if isinstance(usage, bytes):
            return start + usage + b"}\n\n"
        return lambda admission: start + usage(admission) + b"}\n\n"
